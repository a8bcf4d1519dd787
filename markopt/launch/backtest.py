"""``markopt backtest``: forecasters on what came after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from markopt.composition import parse, take_lists
from markopt.launch.display import show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import Job, compose_first, through_hydra


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
    if not flags:
        _backtest(overrides, parent=None)
        return
    compose_first(flags, overrides)
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    through_hydra([*flags, *overrides], None, _BacktestJob(frozenset(keys)))


class _BacktestJob(Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _backtest(overrides, parent, suffix)


def _backtest(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import check_seed
    from markopt.backtest_assembly import BacktestParts
    from markopt.evaluation.backtest import backtest, write_backtest
    from markopt.evaluation.backtest.results import read_backtest
    from markopt.evaluation.backtest.tables import backtest_table, warnings
    from markopt.evaluation.folder import whole_folder

    parts = BacktestParts(overrides)
    seed = check_seed(parts.base.seed)
    load = parts.load(seed)
    target, numbered = result_folder(parts.base.output, parent, f"backtest-{load.name}{suffix}")
    result = backtest(parts.makers(), load, parts.settings, seed)
    with whole_folder(target, numbered=numbered) as folder:
        write_backtest(result, parts.config(), folder.path)
        files = read_backtest(folder.path)
    for text in warnings(files.document):
        typer.echo(f"markopt: warning: {text}", err=True)
    show(backtest_table(files.document, files.timing), folder.final)
