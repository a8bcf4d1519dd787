"""``markopt backtest``: forecasters on what came after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from markopt.composition import Composed, take_lists
from markopt.launch.display import show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import launch_sweep, through_hydra, wants_sweep
from markopt.launch.work import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from markopt.evaluation.backtest.load import Load


def launch_backtest(arguments: Sequence[str]) -> None:
    """Backtest forecasters; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, lists = take_lists(given, ("forecaster",))
    forecasters = lists["forecaster"]
    if forecasters is not None:
        # The first one is composed with too, since settings may be those of its class alone.
        overrides += [
            f"forecaster={forecasters[0]}",
            f"backtest.forecasters=[{','.join(forecasters)}]",
        ]
    if wants_sweep(flags):
        launch_sweep(flags, overrides, BacktestWork, known=set())
    elif flags:
        through_hydra([*flags, *overrides])
    else:
        show(BacktestWork(overrides).do(None))


@final
class BacktestWork:
    """Several forecasters on one load.

    Raises:
        ConfigError: a key or an option does not exist, or a value is out of range.
    """

    def __init__(self, overrides: Sequence[str], composed: Composed | None = None) -> None:
        from markopt.assembly import check_seed
        from markopt.backtest_assembly import BacktestParts

        self.parts = BacktestParts(overrides, composed)
        self.base: DictConfig = self.parts.base
        self.seed = check_seed(self.base.seed)

    @cached_property
    def load(self) -> Load:
        """Return the load, read once."""
        return self.parts.load(self.seed)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Return what the scores follow from."""
        return self.parts.config()

    @property
    def options(self) -> Mapping[str, Any]:
        """Return nothing: all that may be asked for changes the scores."""
        return {}

    @property
    def stem(self) -> str:
        """Return the folder's name."""
        return f"backtest-{self.load.name}"

    def do(self, parent: Path | None, suffix: str = "") -> Done:
        """Backtest and write the folder."""
        from markopt.evaluation.backtest import backtest, write_backtest
        from markopt.evaluation.backtest.results import read_backtest
        from markopt.evaluation.backtest.tables import backtest_table, warnings
        from markopt.evaluation.folder import whole_folder
        from markopt.evaluation.provenance import provenance

        origin = provenance(self.config)
        target, numbered = result_folder(self.base.output, parent, f"{self.stem}{suffix}")
        result = backtest(self.parts.makers(), self.load, self.parts.settings, self.seed)
        with whole_folder(target, numbered=numbered) as folder:
            write_backtest(result, self.config, folder.path, origin)
            files = read_backtest(folder.path)
        table = backtest_table(files.document, files.timing)
        line = f"{len(files.document['forecasters'])} forecasters"
        return Done(folder.final, (table,), line, tuple(warnings(files.document)))
