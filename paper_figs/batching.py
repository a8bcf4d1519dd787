"""Figure: what batching is worth.

Reads result files only (``experiments/batching.py``):

    python paper_figs/batching.py results/batching figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "batching": Entry(
        "Batching",
        "experiments/results/batching",
        "ablations.md#batching",
        "make study NAME=batching",
    )
}
SWEPT = Swept("batching", "Batching", panel="service")


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a column per service."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"With the best batches, MArk's and none, on five services: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
