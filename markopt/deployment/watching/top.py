"""The live view of a deployment on a terminal: one frame per second, from the journal alone."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from markopt.control.journal import ActionEntry
from markopt.deployment.watching.board import Board, read_board

SILENT_S = 180.0
"""A journal that was not written for so long is of a process that hangs or was killed."""

_BLOCKS = "▁▂▃▄▅▆▇█"
SIDE_BY_SIDE = 104
"""From so many columns on, panels stand side by side."""

_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
SHOWN = 36
"""Intervals in a row of blocks."""


def show_top(path: Path, *, once: bool, svg: Path | None = None, period_s: float = 1.0) -> None:
    """Show frames until interrupted, or one; ``svg``: write one as an image, too.

    Raises:
        DataError: the journal cannot be read.
    """
    board = read_board(path)
    if svg is not None:
        write_svg(board, svg)
    if once or svg is not None:
        console = Console()
        console.print(frame(board, console.width))
        return
    from rich.live import Live

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(frame(board, live.console.width), refresh=True)
            time.sleep(period_s)
            board = read_board(path)


def write_svg(board: Board, path: Path, width: int = 110) -> None:
    """Write a frame as an image."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(frame(board, width))
    drawn = console.export_svg(title=f"markopt top: {board.deployment}")
    text = _FONTS.sub("", drawn)  # an image asks no server for fonts
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def frame(board: Board, width: int) -> RenderableType:
    """Return one frame for a terminal of so many columns."""
    upper: list[RenderableType] = [_load(board), _service(board)]
    if width >= SIDE_BY_SIDE:
        grid = Table.grid(expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*upper)
        upper = [grid]
    parts: list[RenderableType] = [_head(board), *upper, _fleet(board), _decision(board)]
    if board.changes:
        parts.append(_changes(board.changes))
    return Group(*parts)


def _head(board: Board) -> Text:
    session = board.session
    text = Text.assemble((board.deployment, "bold"))
    if session is None:
        return text.append("  has not begun")
    text.append(f"  {session.mode}", style="cyan")
    if board.time_s is not None:
        text.append(f"  at {_clock(board.time_s)}")
    if session.ending is not None:
        text.append(f"  ended: {session.ending}", style="yellow")
    elif board.silent_s is not None and board.silent_s > SILENT_S:
        text.append(f"  silent for {board.silent_s:.0f} s: hangs or was killed", style="bold red")
    else:
        text.append(f"  runs (process {session.process})", style="green")
    if board.intervals and board.intervals[-1].scale_in_frozen:
        text.append("  scale-in frozen: load data missing", style="bold red")
    return text


def _clock(time_s: float) -> str:
    """Return a time of day: of the trace, or (beyond 2001) of the calendar, UTC."""
    if time_s > 1e9:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_s)) + " UTC"
    days, rest_s = divmod(int(time_s), 86400)
    return f"day {days} {rest_s // 3600:02d}:{rest_s // 60 % 60:02d}:{rest_s % 60:02d}"


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """Return values as a row of blocks, from the least one at ``low`` to a full one at ``high``."""
    span, steps = high - low, len(_BLOCKS) - 1
    if span <= 0.0:
        return _BLOCKS[0] * len(values)
    return "".join(_BLOCKS[min(max(round((v - low) / span * steps), 0), steps)] for v in values)


def _load(board: Board) -> Panel:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim")
    table.add_column()
    if not board.intervals:
        table.add_row("load", "no interval is over yet")
        return Panel(table, title="load", title_align="left")
    rates = [entry.arrivals / (entry.end_s - entry.time_s) for entry in board.intervals]
    expected = [entry.forecast_rps.get("mean", 0.0) for entry in board.intervals]
    both = (*rates[-SHOWN:], *expected[-SHOWN:])
    low, high = min(both), max(both)
    table.add_row("load", Text(sparkline(rates[-SHOWN:], low, high), style="green"))
    table.add_row("forecast", Text(sparkline(expected[-SHOWN:], low, high), style="blue"))
    newest = board.intervals[-1]
    table.add_row("last", f"{rates[-1]:.1f} requests/s  (here {low:.1f} to {high:.1f})")
    band = newest.forecast_rps
    table.add_row(
        "expected", f"{band['mean']:.1f}  (90 % within {band['p05']:.1f} to {band['p95']:.1f})"
    )
    if board.plan is not None and board.plan.time_s >= newest.end_s - 1e-6:
        mean_rps = float(board.plan.problem.forecast.mean_rps()[0])
        table.add_row("next", f"{mean_rps:.1f} requests/s")
    return Panel(table, title="load", title_align="left")


def _service(board: Board) -> Panel:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim")
    table.add_column()
    hour = board.last_hour
    attained = hour.attainment_share
    if attained is None:
        table.add_row("attainment", "no requests yet")
    else:
        poor = board.sl_min is not None and attained < board.sl_min
        promised = "" if board.sl_min is None else f" of {board.sl_min:.1%} promised"
        style = "bold red" if poor else "bold green"
        text = Text.assemble((f"{attained:.3%}", style), f"{promised}, last hour")
        table.add_row("attainment", text)
        table.add_row("spill", f"{hour.spill_share:.2%} to functions, last hour")
    table.add_row("functions", f"{board.warm_functions} kept warm")
    table.add_row("bill", f"{board.bill_usd:.4f} USD so far")
    table.add_row("fleet", f"{board.fleet_usd_per_h:.4f} USD/h at its price")
    return Panel(table, title="service and money", title_align="left")


def _fleet(board: Board) -> Panel:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("offer")
    for name in ("ready", "booting", "draining", "under notice", "wanted", "USD/h each"):
        table.add_column(name, justify="right")
    for row in board.offers:
        here = row.ready + row.booting
        short = row.wanted is not None and row.wanted != here
        table.add_row(
            row.name,
            str(row.ready),
            str(row.booting or ""),
            str(row.draining or ""),
            Text(str(row.noticed or ""), style="yellow"),
            Text("" if row.wanted is None else str(row.wanted), style="cyan" if short else ""),
            "" if row.usd_per_h is None else f"{row.usd_per_h:.4f}",
        )
    if not board.offers:
        table.add_row("nothing runs")
    return Panel(table, title="fleet", title_align="left")


def _decision(board: Board) -> Panel:
    decision = board.decision
    if decision is None:
        return Panel("none yet", title="last decision", title_align="left")
    lines = [Text.assemble((what(decision), "bold"), f"  at {_clock(decision.time_s)}")]
    lines.append(Text(decision.wanted.reason))
    plan = None if board.plan is None or decision.plan is None else board.plan.plan
    if plan is not None:
        said = f"planner {plan.planner}, rung {plan.rung}"
        if plan.objective_usd is not None:
            said += f", {plan.objective_usd:.4f} USD expected over the horizon"
        if plan.gap is not None:
            said += f", gap {plan.gap:.2%}"
        lines.append(Text(said, style="dim"))
    if decision.report is None:
        lines.append(Text("its effects are not known yet", style="yellow"))
    elif decision.mode != "act":
        lines.append(Text(f"mode {decision.mode}: the cloud is not changed", style="cyan"))
    refused = () if decision.report is None else decision.report.refused
    lines += [Text(f"refused: {text}", style="yellow") for text in refused]
    return Panel(Group(*lines), title="last decision, and why", title_align="left")


def _changes(actions: Sequence[ActionEntry]) -> Panel:
    table = Table.grid(padding=(0, 2))
    for action in reversed(actions):
        rules = ", ".join(cut.rule for cut in action.cuts)
        table.add_row(
            _clock(action.time_s),
            action.kind,
            what(action),
            outcome(action),
            Text(f"guard rails: {rules}" if rules else "", style="yellow"),
        )
    return Panel(table, title="last changes", title_align="left")


def what(action: ActionEntry) -> str:
    """Return in a few words what actions change."""
    wanted = action.wanted
    changes = [f"+{count} {name}" for name, count in sorted(wanted.launch.items()) if count]
    if wanted.terminate:
        changes.append(f"-{len(wanted.terminate)}")
    if wanted.warm_functions is not None:
        changes.append(f"{wanted.warm_functions} functions warm")
    if wanted.function_share is not None:
        changes.append(f"{wanted.function_share:.1%} to functions")
    return ", ".join(changes) or "keep the fleet"


def outcome(action: ActionEntry) -> Text:
    """Return in a few words what came of it."""
    report = action.report
    if report is None:
        return Text("not known yet", style="yellow")
    if action.mode == "advise":
        return Text("advice", style="cyan")
    wanted = sum(action.wanted.launch.values())
    launched = sum(len(ids) for ids in report.launched.values())
    if launched < wanted:
        return Text(f"{launched} of {wanted} launched", style="yellow")
    return Text("in mind" if action.mode == "shadow" else "done", style="dim")
