"""Figure: what batching is worth.

Reads result files only (``experiments/batching.py``):

    python paper_figs/batching.py results/batching figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import Entry, chosen, distinct, main, read_rows, values
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
    rows = chosen(read_rows(folder / "episodes.csv"), policy="program") or read_rows(
        folder / "episodes.csv"
    )
    told = []
    for service in distinct(rows, "service"):
        usd = {
            row: values(chosen(rows, service=service, batching=row), "cost_usd").mean()
            for row in distinct(rows, "batching")
        }
        told.append(f"{max(usd.values()) / min(usd.values()):.3g} times ({service})")
    return (
        f"Without batches {rows[0]['policy']} costs {', '.join(told)} what it costs with the best "
        f"ones. Over services and batch sizes {told_costs(folder)}."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
