"""Figure: what a forecast error of known size costs.

Reads result files only (``experiments/forecast_error.py``):

    python paper_figs/forecast_error.py results/forecast_error figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, main
from swept_figure import Swept, draw_swept, told_costs

ENTRIES = {
    "forecast_error": Entry(
        "Forecast error",
        "experiments/results/forecast_error",
        "ablations.md#forecast-error",
        "make study NAME=forecast_error",
    )
}
SWEPT = Swept(
    "error",
    "Error of the forecast",
    panel="admitted",
    panel_title="admitted: {} of it",
)


def draw(folder: Path) -> Any:
    """Return the figure: cost above, attainment below; hidden errors left, admitted right."""
    return draw_swept(folder, SWEPT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    return f"With forecast errors of 0 to 80 %, hidden and admitted: {told_costs(folder)}."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
