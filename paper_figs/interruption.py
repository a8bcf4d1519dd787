"""Figure: what becomes of the SLO when spot instances are taken, with and without standbys.

Reads result files only (``experiments/interruption.py``):

    python paper_figs/interruption.py results/interruption figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Panel, grid_over_time, main, read_rows

WITH, WITHOUT = {"functions": "True"}, {"functions": "False"}
PANELS = (
    Panel("attainment", "Within RT_max, %,\nwithout functions", 100.0, WITHOUT),
    Panel("attainment", "Within RT_max, %,\nwith functions", 100.0, WITH),
    Panel("p98_ms", "p98 of answered,\nms, with functions", 1.0, WITH, log=True),
    Panel("lambda_share", "On Lambda, %", 100.0, WITH),
    Panel("usd_per_h", "Cost, USD/h,\nwith functions", 1.0, WITH),
)


def draw(folder: Path) -> Any:
    """Return the figure: a column per interruption, a row per quantity."""
    rows = read_rows(folder / "windows.csv")
    cases = {}
    for row in rows:
        title = f"{row['taken']} taken" + ("\nnone to be had" if row["outage"] == "True" else "")
        cases[title] = {"taken": row["taken"], "outage": row["outage"]}
    return grid_over_time(rows, cases, PANELS, column_width=1.4)


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
