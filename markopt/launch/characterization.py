"""``markopt characterize``: one service on every platform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markopt.composition import compose, parse, take_lists
from markopt.launch.display import show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import Job, compose_first, through_hydra


def launch_characterize(arguments: Sequence[str]) -> None:
    """Characterise one service; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, lists = take_lists(given, ("catalog",))
    catalogs = lists["catalog"]
    if catalogs is not None:
        overrides.append(f"characterize.catalogs=[{','.join(catalogs)}]")
    if not flags:
        _characterize(overrides, parent=None)
        return
    compose_first(flags, overrides)
    # The service is in the folder's name already; the seed is not, unlike a run's.
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    named = frozenset(keys - {"service"})
    through_hydra([*flags, *overrides], None, _CharacterizeJob(named))


class _CharacterizeJob(Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _characterize(overrides, parent, suffix)


def _characterize(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import characterization_options, characterize_settings, check_seed
    from markopt.evaluation.characterization import characterize, judge, write_characterization
    from markopt.evaluation.characterization.findings import as_document
    from markopt.evaluation.characterization.tables import findings_table, options_table
    from markopt.evaluation.folder import whole_folder

    base = compose(overrides).config
    settings, seed = characterize_settings(base), check_seed(base.seed)
    service, options = characterization_options(overrides, settings)
    target, numbered = result_folder(
        base.output, parent, f"characterization-{service.name}{suffix}"
    )
    result = characterize(service, options, settings, seed)
    findings = judge(result.rows)
    with whole_folder(target, numbered=numbered) as folder:
        write_characterization(result, findings, folder.path)
    slo = service.slo
    title = f"{service.name}, {100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
    documents = [as_document(finding) for finding in findings]
    show(options_table(result.rows, title), folder.final, findings_table(documents))
