"""``markopt characterize``: one service on every platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from markopt.composition import Composed, compose, take_lists
from markopt.launch.display import show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import launch_sweep, through_hydra, wants_sweep
from markopt.launch.work import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig


def launch_characterize(arguments: Sequence[str]) -> None:
    """Characterise one service; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, lists = take_lists(given, ("catalog",))
    catalogs = lists["catalog"]
    if catalogs is not None:
        overrides.append(f"characterize.catalogs=[{','.join(catalogs)}]")
    if wants_sweep(flags):
        # The service is in the folder's name already; the seed is not, unlike a run's.
        launch_sweep(flags, overrides, CharacterizationWork, known={"service"})
    elif flags:
        through_hydra([*flags, *overrides])
    else:
        show(CharacterizationWork(overrides).do(None))


@final
class CharacterizationWork:
    """One service on every platform.

    Raises:
        ConfigError: a key or an option does not exist, or a value is out of range.
        CatalogError: nothing on sale has a profile of the service.
    """

    def __init__(self, overrides: Sequence[str], composed: Composed | None = None) -> None:
        from markopt.assembly import characterization_options, characterize_settings, check_seed

        self.base: DictConfig = (composed or compose(overrides)).config
        self.settings, self.seed = characterize_settings(self.base), check_seed(self.base.seed)
        self.service, self.rows = characterization_options(overrides, self.settings)
        self._overrides = tuple(overrides)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Return what the figures follow from."""
        from omegaconf import OmegaConf

        base: Any = OmegaConf.to_container(self.base, resolve=True)
        catalogs = {
            name: OmegaConf.to_container(
                compose([*self._overrides, f"catalog={name}"]).config.catalog, resolve=True
            )
            for name in self.settings.catalogs
        }
        kept = {key: base[key] for key in ("service", "characterize", "seed")}
        return {**kept, "catalogs": catalogs}

    @property
    def options(self) -> Mapping[str, Any]:
        """Return nothing: all that may be asked for changes the figures."""
        return {}

    @property
    def stem(self) -> str:
        """Return the folder's name."""
        return f"characterization-{self.service.name}"

    def do(self, parent: Path | None, suffix: str = "") -> Done:
        """Measure, judge and write the folder."""
        from markopt.evaluation.characterization import characterize, judge, write_characterization
        from markopt.evaluation.characterization.findings import as_document
        from markopt.evaluation.characterization.tables import findings_table, options_table
        from markopt.evaluation.folder import whole_folder
        from markopt.evaluation.provenance import provenance

        target, numbered = result_folder(self.base.output, parent, f"{self.stem}{suffix}")
        origin = {"config": self.config, "provenance": provenance(self.config)}
        result = characterize(self.service, self.rows, self.settings, self.seed)
        findings = judge(result.rows)
        with whole_folder(target, numbered=numbered) as folder:
            write_characterization(result, findings, folder.path, origin)
        slo = self.service.slo
        title = f"{self.service.name}, {100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
        documents = [as_document(finding) for finding in findings]
        tables = (options_table(result.rows, title), findings_table(documents))
        return Done(folder.final, tables, f"{len(result.rows)} options, {len(findings)} findings")
