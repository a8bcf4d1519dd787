"""Figure: what becomes of the SLO when spot instances are taken, with and without standbys.

Reads result files only (``experiments/interruption.py``):

    python paper_figs/interruption.py results/interruption figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, Panel, chosen, grid_over_time, main, mean, read_rows, values

ENTRIES = {
    "interruption": Entry(
        "Interruptions: spot instances are taken, with and without standbys",
        "experiments/results/interruption",
        "studies.md#interruptions",
        "make study NAME=interruption",
    )
}
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


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "episodes.csv")
    half = chosen(rows, taken="50 %", outage="False")
    plain, standbys = (
        chosen(half, policy=policy) for policy in ("program", "program_with_standbys")
    )
    without = [mean(chosen(found, **WITHOUT), "attainment", 100.0) for found in (plain, standbys)]
    usd = [mean(chosen(found, **WITH), "cost_usd") for found in (plain, standbys)]
    return (
        "Standbys bridge the gap between the notice and the replacement. With half of the spot "
        f"fleet taken and no functions {without[1]:.1f} % of the span is in time instead of "
        f"{without[0]:.1f} % (program); with functions the SLO holds in every case and policy "
        f"(at least {values(chosen(rows, **WITH), 'attainment', 100.0).min():.2f} %), and standbys "
        f"make that {100.0 * (1.0 - usd[1] / usd[0]):.0f} % cheaper."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
