"""The study's tables: one line per platform and purchase option, one per finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markopt.evaluation.characterization.study import Row
from markopt.evaluation.terminal import DASH

if TYPE_CHECKING:
    from rich.table import Table

HEADERS = (
    "catalogue",
    "platform",
    "option",
    "batch",
    "low p98 ms",
    "low USD/M",
    "one, 1/s",
    "saturation, 1/s",
    "pool p98 ms",
    "pool USD/M",
    "ready s",
    "known by",
)
_TEXT_COLUMNS = (0, 1, 2, 11)
FINDING_HEADERS = ("catalogue", "finding", "verdict", "because")


@dataclass(frozen=True)
class Line:
    """A platform in a purchase option at its best batch: the cheapest in a pool at high load.

    Where no batch meets the SLO there, the smallest one; ``pool`` then has no cost.
    """

    low: Row | None
    one: Row | None
    pool: Row

    @property
    def cheapest_known(self) -> bool:
        """True where nothing of it is assumed."""
        return self.pool.confidence != "assumed"


def lines(rows: Sequence[Row]) -> tuple[Line, ...]:
    """Return one line per catalogue, platform and purchase option, in the order of the rows."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.catalog, row.platform, row.purchase), []).append(row)
    found = []
    for group in groups.values():
        pools = [row for row in group if row.load == "pool"]
        best = min(pools, key=lambda r: (r.usd_per_million is None, r.usd_per_million or 0.0))

        def at(load: str, *, batch_size: int, group: list[Row] = group) -> Row | None:
            some = [row for row in group if row.load == load]
            exact = [row for row in some if row.batch_size == batch_size]
            return next(iter(exact or some), None)

        found.append(
            Line(
                low=at("low", batch_size=best.batch_size),
                one=at("one", batch_size=best.batch_size),
                pool=best,
            )
        )
    return tuple(found)


def _number(value: float | None, form: str = ".4g", scale: float = 1.0) -> str:
    return DASH if value is None else f"{value * scale:{form}}"


def cells(line: Line) -> tuple[str, ...]:
    """Return a line as text."""
    low, one, pool = line.low, line.one, line.pool
    low_late = " †" if low is not None and not low.meets_slo else ""
    return (
        pool.catalog,
        pool.platform,
        pool.purchase,
        str(pool.batch_size),
        _number(low.p98_s if low else None, ".0f", 1000.0) + low_late,
        _number(low.usd_per_million if low else None),
        _number(one.rate_rps if one and one.rate_rps else None),
        _number(pool.saturation_rps),
        _number(pool.p98_s, ".0f", 1000.0),
        _number(pool.usd_per_million),
        _number(pool.ready_s, "g"),
        pool.confidence,
    )


def because(finding: Mapping[str, Any]) -> str:
    """Return in words what decided a finding, or why nothing did, with the figures."""
    verdict = finding["verdict"]
    wanted = [c for c in finding["claims"] if c["verdict"] == verdict]
    parts = []
    for claim in wanted:
        less, more = claim["less"], claim["more"]
        if less is None or more is None:
            parts.append(f"{claim['text']}: {claim['reason']}")
            continue
        unit = claim["unit"].replace("USD per million", "USD/M")
        figures = (
            f"{less['platform']} {_side(less)} against {more['platform']} {_side(more)} {unit}"
        )
        hint = ""
        if verdict == "not decided":
            hint = "; indicated" if claim["indicated"] else "; not indicated"
        parts.append(f"{claim['text']}: {figures}{hint}")
    return "; ".join(parts) or str(finding["reason"])


def _side(side: Mapping[str, Any]) -> str:
    mark = " assumed" if side["confidence"] == "assumed" else ""
    return f"{side['value']:.4g}{mark}"


def options_markdown(rows: Sequence[Row]) -> str:
    """Return the platforms' table as Markdown."""
    rule = ["---" if at in _TEXT_COLUMNS else "---:" for at in range(len(HEADERS))]
    body = [HEADERS, tuple(rule), *(cells(line) for line in lines(rows))]
    return "".join(f"| {' | '.join(entry)} |\n" for entry in body)


def findings_markdown(findings: Sequence[Mapping[str, Any]]) -> str:
    """Return the findings' table as Markdown."""
    body = [FINDING_HEADERS, ("---",) * 4]
    body += [(f["catalog"], f["statement"], f["verdict"], because(f)) for f in findings]
    return "".join(f"| {' | '.join(entry)} |\n" for entry in body)


def options_table(rows: Sequence[Row], title: str) -> Table:
    """Return the platforms' table for a terminal; what rests on assumptions is dimmed."""
    from rich import box
    from rich.table import Table

    caption = (
        "At each option's cheapest batch. low: one lone stream; one, pool: the largest rates that "
        f"meet the SLO; {DASH} none does; † misses the SLO"
    )
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    for at, header in enumerate(HEADERS):
        justify = "left" if at in _TEXT_COLUMNS else "right"
        table.add_column(header, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for line in lines(rows):
        table.add_row(*cells(line), style=None if line.cheapest_known else "dim")
    return table


def findings_table(findings: Sequence[Mapping[str, Any]]) -> Table:
    """Return the findings' verdicts for a terminal."""
    from rich import box
    from rich.table import Table

    styles = {"holds": "green", "fails": "red", "not decided": "yellow"}
    table = Table(title="MArk's findings on this data", box=box.SIMPLE_HEAD, show_lines=False)
    for header in FINDING_HEADERS[:3]:
        table.add_column(header, no_wrap=True)
    for finding in findings:
        table.add_row(
            finding["catalog"],
            finding["statement"],
            f"{finding['verdict']}" + (f" ({finding['reason']})" if finding["reason"] else ""),
            style=styles[finding["verdict"]],
        )
    return table
