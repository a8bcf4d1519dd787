"""Figure: what spot instances and maximum prices are worth.

Reads result files only (``experiments/spot.py``):

    python paper_figs/spot.py results/spot figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs, told_ends

ENTRIES = {
    "spot": Entry(
        "Spot and maximum prices",
        "experiments/results/spot",
        "ablations.md#spot-and-maximum-prices",
        "make study NAME=spot",
    )
}
SWEPT = Swept("variant", "")


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a line per policy."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"{told_ends(folder, 'variant')}. Whatever is bought: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
