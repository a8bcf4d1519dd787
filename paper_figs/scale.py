"""Figure: whether the saving holds at any scale.

Reads result files only (``experiments/scale.py``):

    python paper_figs/scale.py results/scale figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "scale": Entry(
        "Scale",
        "experiments/results/scale",
        "ablations.md#scale",
        "make study NAME=scale",
    )
}
SWEPT = Swept("scale", "Times the trace's 54 requests/s", log=True, per_million=True)


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a line per policy."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"From one request per second to a hundred thousand: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
