"""Figure: what each policy does when the load jumps, with functions and without.

Reads result files only (``experiments/surge.py``):

    python paper_figs/surge.py results/surge figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import (
    LIMIT,
    chosen,
    distinct,
    draw_over_time,
    legend_below,
    look,
    main,
    read_rows,
)
from matplotlib import pyplot as plt

PANELS = (
    ("True", "attainment", 100.0, "Within RT_max, %"),
    ("True", "p98_ms", 1.0, "p98 of answered, ms"),
    ("True", "lambda_share", 100.0, "On Lambda, %"),
    ("True", "usd_per_h", 1.0, "Cost, USD/h"),
    ("False", "attainment", 100.0, "Within RT_max, %,\nwithout functions"),
)
"""With functions or without, column, factor, label."""


def draw(folder: Path) -> Any:
    """Return the figure: a column per surge, a row per quantity."""
    rows = read_rows(folder / "windows.csv")
    surges = distinct(rows, "surge")
    looks = look(distinct(rows, "policy"))
    panels = [panel for panel in PANELS if panel[0] in distinct(rows, "functions")]
    figure, grid = plt.subplots(
        len(panels),
        len(surges),
        figsize=(1.75 * len(surges) + 0.3, 1.25 * len(panels) + 0.6),
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, surge in enumerate(surges):
        for line, (functions, key, factor, _) in enumerate(panels):
            axes = grid[line, column]
            of_panel = chosen(rows, surge=surge, functions=functions)
            draw_over_time(axes, of_panel, key, looks, factor=factor)
            if key == "attainment":
                axes.axhline(98.0, **LIMIT)
        grid[0, column].set_title(rf"load $\times$ {float(surge):g}")
        grid[-1, column].set_xlabel("Minute")
    for line, (_, key, _, label) in enumerate(panels):
        grid[line, 0].set_ylabel(label)
        if key != "attainment":
            grid[line, 0].set_ylim(bottom=0.0)  # of the whole row, once all is drawn
    legend_below(figure, grid[0, 0])
    return figure


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
