"""The comparison's table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

DASH, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
HEADERS = (
    "policy",
    "cost USD",
    "over bound",
    "attainment",
    "worst window",
    "p98 ms",
    "Lambda",
    "launches",
    "planning ms",
    "gap max",
)


def _number(value: float | None, form: str, scale: float = 1.0, unit: str = "") -> str:
    return DASH if value is None else f"{value * scale:{form}}{unit}"


def table_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of means as text; † marks an attainment below SL_min."""
    mark = "" if row["met"] else " †"
    return (
        row["policy"],
        _number(row["cost_usd"], ".4g"),
        _number(row["cost_over_bound"], ".2f", unit=f" {TIMES}"),
        _number(row["attainment"], ".2f", 100.0, " %") + mark,
        _number(row["worst_window_attainment"], ".2f", 100.0, " %"),
        _number(row["p98_s"], ".0f", 1000.0),
        _number(row["lambda_share"], ".2f", 100.0, " %"),
        _number(row["launches"], ".0f"),
        _number(row["plan_mean_s"], ".1f", 1000.0),
        _number(row["gap_max"], ".2f", 100.0, " %"),
    )


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown, for a README or an issue."""
    lines = [HEADERS, ("---", *["---:"] * (len(HEADERS) - 1)), *(table_cells(row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def comparison_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """Return the table, one line per policy; what misses the SLO is marked."""
    from rich import box
    from rich.table import Table

    missed = any(not row["met"] for row in rows)
    caption = "† misses the SLO: its cost is not compared with the bound" if missed else None
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    for at, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if at == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*table_cells(row), style=None if row["met"] else "yellow")
    return table
