"""Figure: what a quicker launch is worth.

Reads result files only (``experiments/launch_delay.py``):

    python paper_figs/launch_delay.py results/launch_delay figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "launch_delay": Entry(
        "Launch delay",
        "experiments/results/launch_delay",
        "ablations.md#launch-delay",
        "make study NAME=launch_delay",
    )
}
SWEPT = Swept("launch_delay_s", "Launch delay, s", log=True)


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a line per policy."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"From launches of 10 s to such of 300 s, at equal attainment: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
