"""Figure: how often a risk measure's promise is broken, on demands whose distribution is known.

Reads the committed benchmark only (``benchmarks/promises.py``):

    python paper_figs/promises.py benchmarks/results/promises.md figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import LIMIT, MARKERS, PALETTE, Entry, Row, chosen, distinct, main, read_markdown
from matplotlib import pyplot as plt

ENTRIES = {
    "promises": Entry(
        "What risk measures promise and keep",
        "benchmarks/results/promises.md",
        "formulation.md",
        "python benchmarks/promises.py",
    )
}
PROMISED = 5.0
"""The violation that every measure promises to stay below, in percent."""


def percent(cell: str) -> float:
    """Return a cell's number of percent."""
    return float(cell.rstrip(" %"))


def rows_of(path: Path) -> list[Row]:
    """Return a row per demand and measure."""
    return next(table for table in read_markdown(path) if "measure" in table[0])


def draw(path: Path) -> Any:
    """Return the figure: true violation, and share of broken promises, by measure and demand."""
    rows = rows_of(path)
    measures, demands = distinct(rows, "measure"), distinct(rows, "demand")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(6.0, 0.24 * len(measures) + 1.0), layout="constrained", sharey=True
    )
    for at, demand in enumerate(demands):
        found = chosen(rows, demand=demand)
        places = [measures.index(row["measure"]) + 0.22 * (at - 1) for row in found]
        look = {
            "color": PALETTE[at],
            "marker": MARKERS[at],
            "markersize": 4,
            "linestyle": "none",
            "label": demand,
        }
        left.plot([percent(row["mean"]) for row in found], places, **look)
        broken = [percent(row["broken"]) for row in found]
        ends = [[percent(end) for end in row["interval"].split(" to ")] for row in found]
        low = [max(value - end[0], 0.0) for value, end in zip(broken, ends, strict=True)]
        high = [max(end[1] - value, 0.0) for value, end in zip(broken, ends, strict=True)]
        right.errorbar(broken, places, xerr=[low, high], elinewidth=1.0, **look)
    left.axvline(PROMISED, **LIMIT)
    left.set_yticks(range(len(measures)), measures)
    left.invert_yaxis()
    left.set_xlabel("True violation, mean, %")
    right.set_xlabel("Promises broken, % of problems")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title="demand")
    return figure


def caption(path: Path) -> str:
    """Return what the figure finds."""
    rows = rows_of(path)
    told = {
        measure: [percent(row["broken"]) for row in chosen(rows, measure=measure)]
        for measure in distinct(rows, "measure")
    }
    return (
        "Each measure promises a violation of at most 5 % from 100 sample paths. A quantile of the "
        f"sample breaks that in {min(told['quantile']):.0f} to {max(told['quantile']):.0f} % of "
        f"problems, CVaR in {min(told['cvar']):.0f} to {max(told['cvar']):.0f} %, a sample-average "
        f"constraint at confidence 0.95 in {min(told['saa, confidence 0.95']):.0f} to "
        f"{max(told['saa, confidence 0.95']):.0f} %, and the Gaussian measure in "
        f"{min(told['gaussian']):.0f} to {max(told['gaussian']):.0f} %, most on skewed demand. "
        "Bars are 95 % intervals."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
