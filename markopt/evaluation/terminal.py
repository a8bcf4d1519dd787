"""The comparison's table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from markopt.evaluation.compare import Verdict

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


VERDICT_HEADERS = (
    "policy",
    "difference USD",
    "95 % interval",
    "p (t)",
    "p (signs)",
    "mean rank",
    "dominated by",
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


def verdict_table(verdict: Verdict) -> Table:
    """Return what the seeds say: cost differences with interval and test, ranks, who is beaten."""
    from rich import box
    from rich.table import Table

    tests = {test.policy: test for test in verdict.tests if test.metric == "cost_usd"}
    first = verdict.tests[0]
    seeds = verdict.ranks.blocks
    notes = f"paired by seed, {seeds} seeds; p of the paired t-test and of flipped signs, by Holm"
    if verdict.ranks.critical_difference is not None:
        notes += f"; ranks differ from {verdict.ranks.critical_difference:.2f} on"
    table = Table(
        title=f"Cost beside {first.reference}'s",
        caption=notes,
        box=box.SIMPLE_HEAD,
        caption_justify="left",
    )
    for at, header in enumerate(VERDICT_HEADERS):
        table.add_column(header, justify="left" if at == 0 else "right", no_wrap=True)
    for point in verdict.points:
        rank = f"{verdict.ranks.mean_rank[point.policy]:.2f}"
        test = tests.get(point.policy)
        beaten = point.dominated_by or DASH
        if test is None:
            table.add_row(point.policy, *[DASH] * 4, rank, beaten)
            continue
        interval = DASH
        if test.bootstrap_low is not None and test.bootstrap_high is not None:
            interval = f"{test.bootstrap_low:+.4g} … {test.bootstrap_high:+.4g}"
        table.add_row(
            point.policy,
            f"{test.mean_difference:+.4g}",
            interval,
            _number(test.p_t_holm, ".3f"),
            _number(test.p_permutation_holm, ".3f"),
            rank,
            beaten,
        )
    return table
