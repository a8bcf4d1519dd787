"""What ``markopt deploy`` does with its arguments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from markopt.control.journal import Carried, JournalReader
from markopt.control.record import IntervalRecord
from markopt.deployment.dry_run import dry_run
from markopt.deployment.parts import Parts, parts_of
from markopt.deployment.session import Listeners, Outcome, Start, deploy
from markopt.deployment.watching.audience import watched
from markopt.errors import ConfigError


def launch_deploy(
    arguments: Sequence[str],
    config_file: Path | None,
    *,
    confirmed: bool = False,
    dry: bool = False,
) -> None:
    """Run a deployment and say on standard output what it decides; ``dry``: what it would do.

    Raises:
        MarkoptError: see ``deploy``.
    """
    flags = [text for text in arguments if text.startswith("-")]
    if flags:
        raise ConfigError(f"{flags[0]}: no such option; markopt deploy --help lists them")
    if dry:
        for line in dry_run(parts_of([*arguments, "controller.mode=advise"], config_file)):
            typer.echo(line)
        return
    parts = parts_of(arguments, config_file)
    _confirm(parts, confirmed)
    with watched(parts, _terminal(parts)) as listeners:
        deploy(parts, listeners)


def _confirm(parts: Parts, confirmed: bool) -> None:
    """Ask, before a deployment changes a real account for the first time.

    Raises:
        ConfigError: it is not confirmed.
    """
    if parts.controller.mode != "act" or parts.replays_workload or confirmed or _has_acted(parts):
        return
    cloud = type(parts.cloud).__name__
    text = f"Deployment '{parts.deploy.name}' is to launch and end instances on {cloud}."
    if not sys.stdin.isatty():
        raise ConfigError(f"controller.mode=act: {text} Confirm with --yes")
    typer.echo(text)
    typed = typer.prompt("Type its name to confirm", default="", show_default=False)
    if typed != parts.deploy.name:
        raise ConfigError(f"controller.mode=act: expected '{parts.deploy.name}', got '{typed}'")


def _has_acted(parts: Parts) -> bool:
    path = parts.deploy.journal_path
    if not path.exists():
        return False
    with JournalReader(path) as reader:
        return any(session.mode == "act" for session in reader.sessions())


def _terminal(parts: Parts) -> Listeners:
    def on_start(start: Start) -> None:
        typer.echo(
            f"{parts.deploy.name}: {parts.controller.mode}, journal {parts.deploy.journal_path}, "
            f"from {start.now_s:.0f} s: {start.why}"
        )

    def on_carried(carried: Carried) -> None:
        if not carried.wanted.empty or carried.kind == "plan":
            typer.echo(carried_text(carried))

    def on_interval(record: IntervalRecord) -> None:
        typer.echo(interval_text(record))

    def on_trouble(text: str) -> None:
        typer.echo(f"markopt: warning: {printable(text)}", err=True)

    def on_end(outcome: Outcome) -> None:
        typer.echo(_ending(outcome))

    return Listeners(
        on_start=on_start,
        on_carried=on_carried,
        on_interval=on_interval,
        on_trouble=on_trouble,
        on_end=on_end,
    )


def carried_text(carried: Carried) -> str:
    """Return a decision and what became of it as lines of text."""
    wanted, report = carried.wanted, carried.report
    changes = [f"+{count} {name}" for name, count in sorted(wanted.launch.items()) if count]
    changes += [f"-{len(wanted.terminate)}"] if wanted.terminate else []
    if wanted.warm_functions is not None:
        changes.append(f"{wanted.warm_functions} functions warm")
    if wanted.function_share is not None:
        changes.append(f"{wanted.function_share:.1%} to functions")
    verb = {"advise": "would change", "shadow": "in mind", "act": "changes"}[carried.mode]
    what = f"{verb}: {', '.join(changes)}" if changes else "changes nothing"
    lines = [f"{carried.time_s:10.0f} s  {carried.kind}  {what}  ({wanted.reason})"]
    lines += [f"{'':12}  refused: {text}" for text in report.refused]
    return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """Return a text without what could steer a terminal, since clouds and files have said it."""
    return "".join(c if c.isprintable() else " " for c in text)


def interval_text(record: IntervalRecord) -> str:
    """Return what came of an interval as a line of text."""
    length_s = record.end_s - record.start_s
    ready = ", ".join(f"{count} {name}" for name, count in sorted(record.ready.items()) if count)
    return (
        f"{record.end_s:10.0f} s  load {record.arrivals / length_s:.1f}/s "
        f"(forecast {record.forecast_mean_rps:.1f})  spilled {record.spilled}  late {record.late}  "
        f"refused {record.refused}  ready {ready or 'nothing'}  bill {record.bill_usd:.4f} USD"
    )


def _ending(outcome: Outcome) -> str:
    bill = "" if outcome.ledger is None else f", {outcome.ledger.total_usd:.4f} USD"
    if outcome.beside_usd is not None:
        bill += f" in mind beside {outcome.beside_usd:.4f} USD of the real fleet"
    return f"{outcome.ending}: {outcome.intervals} intervals{bill}; journal {outcome.journal}"
