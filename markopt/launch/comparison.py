"""``markopt compare``: several policies on the same arrivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from markopt.composition import Composed, compose, split_lists
from markopt.errors import ConfigError
from markopt.launch.display import episode_title, show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import launch_sweep, through_hydra, wants_sweep
from markopt.launch.work import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from markopt.assembly import ConfigParts

RUN_ALONE = {
    "save_problems_every": "saves problems",
    "regret_every": "judges single decisions",
    "attribute_loss": "attributes its loss",
    "record_requests": "records requests",
}
"""What only ``markopt run`` does, by the key that asks for it."""


def launch_compare(arguments: Sequence[str]) -> None:
    """Compare policies; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, planners, seeds = split_lists(given)
    if planners is not None:
        # The first one is composed with too, since settings may be those of its class alone.
        overrides += [f"planner={planners[0]}", f"compare.planners=[{','.join(planners)}]"]
    if seeds is not None:
        overrides.append(f"compare.seeds=[{','.join(seeds)}]")
    if wants_sweep(flags):
        launch_sweep(flags, overrides, ComparisonWork, known={"planner", "seed"})
    elif flags:
        through_hydra([*flags, *overrides])
    else:
        show(ComparisonWork(overrides).do(None))


@final
class ComparisonWork:
    """One comparison.

    Raises:
        ConfigError: a key or an option does not exist, or a value is out of range.
    """

    stem = "comparison"

    def __init__(self, overrides: Sequence[str], composed: Composed | None = None) -> None:
        from markopt.assembly import compare_settings

        self.base: DictConfig = (composed or compose(overrides)).config
        self.settings = compare_settings(self.base)
        for key, what in RUN_ALONE.items():
            if self.base.get(key) not in (None, False):
                raise ConfigError(f"{key}: only markopt run {what}, got it in compare")
        self._overrides = tuple(overrides)

    @cached_property
    def parts(self) -> ConfigParts:
        """Return the parts of its episodes."""
        from markopt.assembly import ConfigParts

        return ConfigParts(self._overrides, self.settings.planners)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Return what the figures follow from: all settings but the number of workers."""
        from omegaconf import OmegaConf

        section: Any = OmegaConf.to_container(self.base.compare, resolve=True)
        del section["jobs"]
        seeds, policies = list(self.settings.seeds), self.settings.planners
        return {
            "compare": {**section, "planners": list(policies), "seeds": seeds},
            "policies": {policy: self.parts.config(policy, seeds[0]) for policy in policies},
        }

    @property
    def options(self) -> Mapping[str, Any]:
        """Return nothing: all that may be asked for changes the figures."""
        return {}

    def do(self, parent: Path | None, suffix: str = "") -> Done:
        """Compare and write the folder."""
        from markopt.evaluation.compare import compare, write_comparison
        from markopt.evaluation.folder import whole_folder
        from markopt.evaluation.provenance import provenance
        from markopt.evaluation.terminal import comparison_table, verdict_table

        target, numbered = result_folder(self.base.output, parent, f"{self.stem}{suffix}")
        origin = {"config": self.config, "provenance": provenance(self.config)}
        comparison = compare(self.parts, self.settings)
        with whole_folder(target, numbered=numbered) as folder:
            write_comparison(comparison, self.parts, folder.path, origin)
        title = episode_title(comparison.episodes[0])
        winner = comparison.winner()
        line = "no policy meets the SLO" if winner is None else f"{winner} wins"
        tables = [comparison_table(comparison.table(), title)]
        if len(self.settings.planners) > 1:
            tables.append(verdict_table(comparison.verdict))
        return Done(folder.final, tuple(tables), line)
