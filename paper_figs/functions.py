"""Figure: what functions are worth.

Reads result files only (``experiments/functions.py``):

    python paper_figs/functions.py results/functions figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "functions": Entry(
        "Functions",
        "experiments/results/functions",
        "ablations.md#functions",
        "make study NAME=functions",
    )
}
SWEPT = Swept("variant", "", panel="service")


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a column per service."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"Without functions, with warm calls and provisioned concurrency: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
