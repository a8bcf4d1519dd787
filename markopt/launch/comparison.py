"""``markopt compare``: several policies on the same arrivals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markopt.composition import compose, split_lists
from markopt.errors import ConfigError
from markopt.launch.display import episode_title, show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import Job, compose_first, swept, through_hydra


def launch_compare(arguments: Sequence[str]) -> None:
    """Compare policies; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, planners, seeds = split_lists(given)
    if planners is not None:
        # The first one is composed with too, since settings may be those of its class alone.
        overrides += [f"planner={planners[0]}", f"compare.planners=[{','.join(planners)}]"]
    if seeds is not None:
        overrides.append(f"compare.seeds=[{','.join(seeds)}]")
    if not flags:
        _compare(overrides, parent=None)
        return
    compose_first(flags, overrides)
    through_hydra([*flags, *overrides], None, _CompareJob(swept(overrides)))


class _CompareJob(Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _compare(overrides, parent, suffix)


def _compare(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import ConfigParts, compare_settings
    from markopt.evaluation.compare import compare, write_comparison
    from markopt.evaluation.folder import whole_folder
    from markopt.evaluation.terminal import comparison_table

    base = compose(overrides).config
    settings = compare_settings(base)
    if base.get("save_problems_every") is not None:
        raise ConfigError("save_problems_every: only markopt run saves problems, got it in compare")
    if base.get("regret_every") is not None:
        raise ConfigError(
            "regret_every: only markopt run judges single decisions, got it in compare"
        )
    if base.get("attribute_loss"):
        raise ConfigError("attribute_loss: only markopt run attributes its loss, got it in compare")
    if base.get("record_requests"):
        raise ConfigError("record_requests: only markopt run records requests, got it in compare")
    target, numbered = result_folder(base.output, parent, f"comparison{suffix}")
    parts = ConfigParts(overrides, settings.planners)
    comparison = compare(parts, settings)
    with whole_folder(target, numbered=numbered) as folder:
        write_comparison(comparison, parts, folder.path)
    show(comparison_table(comparison.table(), episode_title(comparison.episodes[0])), folder.final)
