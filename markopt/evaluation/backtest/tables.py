"""A backtest's table: one line per forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markopt.evaluation.terminal import DASH, TIMES

if TYPE_CHECKING:
    from rich.table import Table

HEADERS = (
    "forecaster",
    "pinball",
    "to first",
    "CRPS",
    "MAE, 1/s",
    "energy",
    "peak error",
    "50 % band",
    "90 % band",
    "fair 90 % band",
)
TIMING_HEADERS = ("ms/interval", "CPU ms", "fit s")
NOTE = (
    "Pinball loss, CRPS and energy score of log(1 + rate), means over all steps; peak error: "
    "of the largest rate within the horizon; bands: share that they held; fair: a rate that "
    "several paths share counts in part, since a closed band of counts holds more than it claims"
)


def _number(value: float | None, form: str = ".4f", scale: float = 1.0, unit: str = "") -> str:
    return DASH if value is None else f"{value * scale:{form}}{unit}"


def cells(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a forecaster's line as text; the loss stands beside that of the first one."""
    found = document["forecasters"][name]
    first = next(iter(document["forecasters"].values()))["pinball_log"]
    loss = found["pinball_log"]
    change = None if loss is None or not first else loss / first - 1.0
    return (
        name,
        _number(loss),
        _number(change, "+.1f", 100.0, " %"),
        _number(found["crps_log"]),
        _number(found["mae_rps"], ".3g"),
        _number(found["energy_log"], ".3f"),
        _number(found["peak_error"], ".1f", 100.0, " %"),
        _number(found["coverage"]["50"], ".1f", 100.0, " %"),
        _number(found["coverage"]["90"], ".1f", 100.0, " %"),
        _number(found["fair_coverage"]["90"], ".1f", 100.0, " %"),
    )


def timing_cells(timing: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a forecaster's clock readings as text."""
    return (
        _number(timing["interval_s"], ".2f", 1000.0),
        _number(timing["interval_cpu_s"], ".2f", 1000.0),
        _number(timing["fit_s"], ".1f"),
    )


def title(document: Mapping[str, Any]) -> str:
    """Return in a line what was tested on what."""
    interval_s, settings = document["interval_s"], document["settings"]
    days = [document[part]["intervals"] * interval_s / 86400.0 for part in ("train", "test")]
    return (
        f"{document['trace']}: fitted to {days[0]:.3g} days, {document['origins']} forecasts of "
        f"{settings['horizon']} {TIMES} {interval_s:g} s over {days[1]:.3g} days"
    )


def warnings(document: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know: gaps, and forecasters that refused."""
    found = []
    train, test = document["train"], document["test"]
    if train["without_data"] or test["without_data"]:
        found.append(
            f"no data in {train['without_data']} of {train['intervals']} intervals learnt from "
            f"and {test['without_data']} of {test['intervals']} tested on: left out of all scores"
        )
    found += [f"{name} refused: {reason}" for name, reason in document["refused"].items()]
    return found


def markdown(document: Mapping[str, Any]) -> str:
    """Return the table as Markdown, without clock readings."""
    rule = ["---", *["---:"] * (len(HEADERS) - 1)]
    body: Sequence[Sequence[str]] = [
        HEADERS,
        rule,
        *(cells(document, name) for name in document["forecasters"]),
    ]
    lines = [f"{title(document)}.\n\n"]
    lines += [f"| {' | '.join(line)} |\n" for line in body]
    lines.append(f"\n{NOTE}.\n")
    lines += [f"\nWarning: {text}.\n" for text in warnings(document)]
    return "".join(lines)


def backtest_table(document: Mapping[str, Any], timing: Mapping[str, Any]) -> Table:
    """Return the table for a terminal, clock readings included."""
    from rich import box
    from rich.table import Table

    table = Table(title=title(document), caption=NOTE, box=box.SIMPLE_HEAD, caption_justify="left")
    for at, header in enumerate((*HEADERS, *TIMING_HEADERS)):
        table.add_column(header, justify="left" if at == 0 else "right", no_wrap=True)
    for name in document["forecasters"]:
        table.add_row(*cells(document, name), *timing_cells(timing[name]))
    return table
