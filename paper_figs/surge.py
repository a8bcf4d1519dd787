"""Figure: what each policy does when the load jumps, with functions and without.

Reads result files only (``experiments/surge.py``):

    python paper_figs/surge.py results/surge figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import (
    Entry,
    Panel,
    chosen,
    distinct,
    grid_over_time,
    main,
    mean,
    read_rows,
    values,
)

ENTRIES = {
    "surge": Entry(
        "Surges: the load jumps within a minute",
        "experiments/results/surge",
        "studies.md#surges",
        "make study NAME=surge",
    )
}
WITH, WITHOUT = {"functions": "True"}, {"functions": "False"}
PANELS = (
    Panel("attainment", "Within RT_max, %", 100.0, WITH),
    Panel("p98_ms", "p98 of answered,\nms", 1.0, WITH, log=True),
    Panel("lambda_share", "On Lambda, %", 100.0, WITH),
    Panel("usd_per_h", "Cost, USD/h", 1.0, WITH),
    Panel("attainment", "Within RT_max, %,\nwithout functions", 100.0, WITHOUT),
)


def draw(folder: Path) -> Any:
    """Return the figure: a column per surge, a row per quantity."""
    rows = read_rows(folder / "windows.csv")
    surges = distinct(rows, "surge")
    cases = {rf"load $\times$ {float(surge):g}": {"surge": surge} for surge in surges}
    return grid_over_time(rows, cases, PANELS)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "episodes.csv")
    largest = max(distinct(rows, "surge"), key=float)
    found = chosen(rows, surge=largest, policy="program")
    kept, lost = chosen(found, **WITH), chosen(found, **WITHOUT)
    key = "worst_minute_attainment"
    return (
        f"Functions carry a jump of the load to {float(largest):g} times for the two to three "
        "minutes until instances have booted: the worst minute of any seed keeps "
        f"{values(kept, key, 100.0).min():.1f} % in time with the program, without functions "
        f"{values(lost, key, 100.0).min():.1f} %. Over the half hour "
        f"{mean(kept, 'attainment', 100.0):.2f} against {mean(lost, 'attainment', 100.0):.2f} %."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
