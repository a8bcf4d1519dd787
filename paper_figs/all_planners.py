"""Figure and README.md's table: what every policy costs on three real traces, beside the program.

Reads result files only (``experiments/all_planners.py``):

    python paper_figs/all_planners.py results/all_planners figure.pdf
    python paper_figs/all_planners.py experiments/results/all_planners README.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    MUTED,
    PALETTE,
    Entry,
    Row,
    chosen,
    distinct,
    name_lines,
    plt,
    read_rows,
    use_log_scale,
    values,
)
from figure_style import main as draw_to_file
from first_result import with_table
from studies_page import Cells, cost, markdown

ENTRIES = {
    "all_planners": Entry(
        "All planners on three real traces",
        "experiments/results/all_planners",
        "results.md#all-planners-on-three-real-traces",
        "make study NAME=all_planners",
    )
}
MARKS = ("<!-- all planners: begin -->", "<!-- all planners: end -->")
TARGET = 0.98


def ratios(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return by trace and policy its mean bill over the program's."""
    found: dict[str, dict[str, float]] = {}
    for trace in distinct(rows, "variant"):
        of_trace = chosen(rows, variant=trace)
        usd = {
            policy: values(chosen(of_trace, policy=policy), "cost_usd").mean()
            for policy in distinct(of_trace, "policy")
        }
        base = usd[_reference(rows)]
        found[trace] = {policy: own / base for policy, own in usd.items()}
    return found


def by_cost(rows: Sequence[Row]) -> list[str]:
    """Return the policies from the cheapest to the dearest, by the geometric mean of the ratios."""
    found = ratios(rows)
    return sorted(
        distinct(rows, "policy"),
        key=lambda policy: float(np.mean([np.log(of[policy]) for of in found.values()])),
    )


def table(folder: Path) -> list[Cells]:
    """Return the table: a line per policy from the cheapest on, three columns per trace."""
    rows = read_rows(folder / "episodes.csv")
    traces, reference = distinct(rows, "variant"), _reference(rows)
    heads = [f"{trace}: USD | against {reference} | in time" for trace in traces]
    lines = [["place", "policy", *" | ".join(heads).split(" | ")]]
    for place, policy in enumerate(by_cost(rows), start=1):
        cells = []
        for trace in traces:
            own, base = (chosen(rows, variant=trace, policy=name) for name in (policy, reference))
            attained = values(own, "attainment").mean()
            missed = " (misses)" if attained < TARGET else ""
            cells += [*cost(own, base), f"{100.0 * attained:.2f} %{missed}"]
        lines.append([str(place), policy, *cells])
    return lines


def draw(folder: Path) -> Any:
    """Return the figure: a panel per trace, a bar per policy from the cheapest on."""
    rows = read_rows(folder / "episodes.csv")
    found, order = ratios(rows), by_cost(rows)
    figure, grid = plt.subplots(
        1,
        len(found),
        figsize=(7.2, 0.17 * len(order) + 0.9),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, (trace, of_trace) in zip(grid[0], found.items(), strict=True):
        for place, policy in enumerate(order):
            own = chosen(rows, variant=trace, policy=policy)
            met = values(own, "attainment").mean() >= TARGET
            color = PALETTE[1] if policy == _reference(rows) else PALETTE[0]
            face = color if met else "white"
            axes.plot([1.0, of_trace[policy]], [place, place], color=color, linewidth=1.0)
            axes.plot(of_trace[policy], place, "o", color=color, markerfacecolor=face, markersize=4)
        axes.axvline(1.0, color=MUTED, linewidth=0.8)
        use_log_scale(axes, across=True)
        axes.set_title(trace.replace("_", " "))
    name_lines(grid[0, 0], order)
    grid[0, len(found) // 2].set_xlabel(f"Bill over {_reference(rows)}'s (hollow: misses 98 %)")
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "episodes.csv")
    found, reference = ratios(rows), _reference(rows)
    told = []
    for trace, of_trace in found.items():
        others = {policy: ratio for policy, ratio in of_trace.items() if policy != reference}
        best = min(others, key=lambda policy: others[policy])
        middle = float(np.median([*others.values()]))
        told.append(
            f"{trace.replace('_', ' ')}: the cheapest other is {best} at {others[best]:.2f} times "
            f"its bill, the middle one pays {middle:.2f} times"
        )
    return (
        f"All policies tuned to 98 % on the same hours of the day before, beside {reference}. "
        f"{'; '.join(told)}."
    )


def _reference(rows: Sequence[Row]) -> str:
    return rows[0]["policy"]


def main(arguments: Sequence[str]) -> int:
    """Draw the figure, or put the table into a page between its marks."""
    if len(arguments) == 2 and arguments[1].endswith(".md"):
        folder, page = map(Path, arguments)
        text = with_table(page.read_text(encoding="utf-8"), markdown(table(folder)), MARKS)
        page.write_text(text, encoding="utf-8")
        print(page)
        return 0
    return draw_to_file(draw, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
