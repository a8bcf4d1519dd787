"""Figure: cost over head-room by forecaster and by target, and cost against forecast accuracy.

Reads result files only (``experiments/forecast_worth.py``):

    python paper_figs/forecast_worth.py results/forecast_worth figure.pdf
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from figure_style import (
    DASHES,
    MARKERS,
    PALETTE,
    Row,
    chosen,
    distinct,
    legend_below,
    main,
    read_rows,
    values,
)
from matplotlib import pyplot as plt

COLORS = (*PALETTE[:-1], "#8c8c8c")  # yellow is too pale for a thin line


def draw_costs(axes: Any, rows: Sequence[Row], looks: Mapping[str, Any]) -> None:
    """Draw the first seed's cost over the head-room, a line per forecaster."""
    rows = chosen(rows, seed=distinct(rows, "seed")[0])
    for name, style in looks.items():
        found = sorted(chosen(rows, forecaster=name), key=lambda row: float(row["headroom"]))
        costs = values(found, "cost_usd")
        axes.plot(values(found, "headroom"), costs, markersize=3.5, label=name, **style)


def draw_accuracy(axes: Any, rows: Sequence[Row], looks: Mapping[str, Any]) -> None:
    """Draw the least cost over the pinball loss; filled for the first policy, open for others."""
    for at, policy in enumerate(distinct(rows, "policy")):
        for row in chosen(rows, policy=policy, target="mean"):
            if not row["cost_usd"]:
                continue
            style = looks[row["forecaster"]]
            axes.plot(
                float(row["pinball"]),
                float(row["cost_usd"]),
                linestyle="none",
                marker=style["marker"],
                markersize=5,
                color=style["color"],
                markerfacecolor="none" if at else style["color"],
            )


def draw(folder: Path) -> Any:
    """Return the figure: costs of each policy by forecaster, and cost against accuracy."""
    runs, worth = read_rows(folder / "runs.csv"), read_rows(folder / "worth.csv")
    names, policies = distinct(worth, "forecaster"), distinct(worth, "policy")
    looks = {
        name: {
            "color": COLORS[at % len(COLORS)],
            "marker": MARKERS[at % len(MARKERS)],
            "linestyle": DASHES[at % len(DASHES)],
        }
        for at, name in enumerate(names)
    }
    panels = len(policies) + 1
    figure, grid = plt.subplots(
        1, panels, figsize=(2.3 * panels, 2.9), layout="constrained", sharey=True, squeeze=False
    )
    for axes, policy in zip(grid[0], policies, strict=False):
        draw_costs(axes, chosen(runs, policy=policy), looks)
        axes.set_title(policy)
        axes.set_xlabel("Head-room")
    draw_accuracy(grid[0, -1], worth, looks)
    grid[0, -1].set_title("Best head-room")
    kinds = [f"{'open' if at else 'filled'}: {policy}" for at, policy in enumerate(policies)]
    grid[0, -1].set_xlabel("Pinball loss of log(1 + rate)\n" + ", ".join(kinds))
    grid[0, 0].set_ylabel("Cost, USD")
    grid[0, 0].set_ylim(bottom=0.0)
    legend_below(figure, grid[0, 0], columns=4)
    return figure


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
