"""Figure: how far ahead to plan, and how often.

Reads result files only (``experiments/horizon.py``):

    python paper_figs/horizon.py results/horizon figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, chosen, distinct, main, read_rows, values
from swept_figure import Swept, draw_swept, told_costs

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
    rows = read_rows(folder / "episodes.csv")
    first = rows[0]["policy"]
    usd = {
        case: values(chosen(rows, variant=case, policy=first), "cost_usd").mean()
        for case in distinct(rows, "variant")
    }
    best, worst = min(usd, key=lambda case: usd[case]), max(usd, key=lambda case: usd[case])
    return (
        f"{first} costs least with '{best}' ({usd[best]:.3g} USD) and most with '{worst}' "
        f"({usd[worst]:.3g}). Whatever the horizon and the interval {told_costs(folder)}."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
