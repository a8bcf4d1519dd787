"""Figure: how far ahead to plan, and how often.

Reads result files only (``experiments/horizon.py``):

    python paper_figs/horizon.py results/horizon figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs, told_ends

ENTRIES = {
    "horizon": Entry(
        "Horizon and interval",
        "experiments/results/horizon",
        "ablations.md#horizon-and-interval",
        "make study NAME=horizon",
    )
}
SWEPT = Swept("variant", "")


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a line per policy."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"{told_ends(folder, 'variant')}. Whatever the horizon: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
