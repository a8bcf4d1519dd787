"""Figure: from which price on functions are no longer worth their quickness.

Reads result files only (``experiments/price_ratio.py``):

    python paper_figs/price_ratio.py results/price_ratio figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "price_ratio": Entry(
        "Price of functions",
        "experiments/results/price_ratio",
        "ablations.md#price-of-functions",
        "make study NAME=price_ratio",
    )
}
SWEPT = Swept("price_ratio", "Price of a request on functions / on an instance", log=True)


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below, a line per policy."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"With functions at 1 to 20 times an instance's price per request: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
