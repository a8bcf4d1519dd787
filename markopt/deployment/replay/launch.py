"""What ``markopt replay`` does with its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from markopt.control.journal import JournalReader
from markopt.deployment.replay.listing import (
    alternatives_json,
    alternatives_table,
    reproduction_json,
    reproduction_text,
)
from markopt.deployment.replay.planners import other_planner, recorded_planner
from markopt.deployment.replay.reproduction import Verdict, reproduce
from markopt.deployment.replay.what_if import alternatives
from markopt.errors import ConfigError
from markopt.evaluation.progress import late_bar

DIVERGED = 1
"""The exit code where a plan did not come out as recorded."""


def launch_replay(
    journal: Path, other: str | None, overrides: Sequence[str], *, as_json: bool, trusted: bool
) -> int:
    """Go through a journal again and say on standard output what came of it; return an exit code.

    Raises:
        DataError: the journal cannot be read.
        ConfigError: a planner cannot be built.
    """
    if other is None and overrides:
        raise ConfigError(f"{overrides[0]}: settings go with another planner, --with planner=NAME")
    with JournalReader(journal) as reader:
        if other is not None:
            return _what_if(reader, journal, other, overrides, as_json=as_json)
        return _reproduce(reader, journal, as_json=as_json, trusted=trusted)


def _reproduce(reader: JournalReader, journal: Path, *, as_json: bool, trusted: bool) -> int:
    with late_bar("Planning again", reader.plan_count()) as bar:
        made = reproduce(reader, lambda epoch: recorded_planner(epoch, trusted=trusted))
        plans = tuple(bar.over(made))
    deployment = str(reader.meta("deployment"))
    if as_json:
        typer.echo(reproduction_json(str(journal), deployment, plans))
    else:
        typer.echo(reproduction_text(plans))
    return DIVERGED if any(plan.verdict is Verdict.DIVERGED for plan in plans) else 0


def _what_if(
    reader: JournalReader, journal: Path, other: str, overrides: Sequence[str], *, as_json: bool
) -> int:
    policy, planner = other_planner(other, overrides)
    with late_bar(f"Asking {policy}", reader.plan_count()) as bar:
        found = tuple(bar.over(alternatives(reader, planner)))
    if as_json:
        typer.echo(alternatives_json(str(journal), str(reader.meta("deployment")), policy, found))
        return 0
    from rich.console import Console

    table = alternatives_table(policy, found)
    console = Console()
    needed = Console(width=1000).measure(table).maximum
    (console if console.width >= needed else Console(width=needed)).print(table)
    return 0
