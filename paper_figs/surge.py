"""Figure: what each policy does when the load jumps, with functions and without.

Reads result files only (``experiments/surge.py``):

    python paper_figs/surge.py results/surge figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Panel, distinct, grid_over_time, main, read_rows

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


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
