"""Figure: cost over head-room by forecaster on the tuning span, and judged cost against accuracy.

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
    Entry,
    Row,
    chosen,
    distinct,
    legend_below,
    main,
    mean,
    read_rows,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "forecast_worth": Entry(
        "What a forecast is worth: cost by head-room, and cost against accuracy",
        "experiments/results/forecast_worth",
        "studies.md#what-forecasts-are-worth",
        "make study NAME=forecast_worth",
    )
}
COLORS = (*PALETTE[:-1], "#8c8c8c")  # yellow is too pale for a thin line
TARGET = 0.98


def draw_costs(axes: Any, rows: Sequence[Row], looks: Mapping[str, Any]) -> None:
    """Draw cost over the head-room, a line per forecaster; open where the SLO is missed."""
    for name, style in looks.items():
        found = sorted(chosen(rows, forecaster=name), key=lambda row: float(row["headroom"]))
        headrooms, costs = values(found, "headroom"), values(found, "cost_usd")
        axes.plot(headrooms, costs, markersize=3.5, label=name, **style)
        missed = values(found, "attainment") < TARGET
        axes.plot(
            headrooms[missed],
            costs[missed],
            linestyle="none",
            marker=style["marker"],
            markersize=3.5,
            color=style["color"],
            markerfacecolor="white",
        )
    axes.set_xscale("log")
    ticks = [tick for tick in (0.25, 0.5, 1.0, 2.0, 4.0) if inside(tick, values(rows, "headroom"))]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Head-room")


def inside(tick: float, found: Any) -> bool:
    """Return whether a tick lies within a range."""
    return bool(found.min() <= tick <= found.max())


def draw_accuracy(axes: Any, rows: Sequence[Row], looks: Mapping[str, Any]) -> None:
    """Draw the judged cost over the pinball loss; filled for the first policy, open for others."""
    for at, policy in enumerate(distinct(rows, "policy")):
        for row in chosen(rows, policy=policy, target="mean"):
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
    names = distinct(worth, "forecaster")
    looks = {
        name: {
            "color": COLORS[at % len(COLORS)],
            "marker": MARKERS[at % len(MARKERS)],
            "linestyle": DASHES[at % len(DASHES)],
        }
        for at, name in enumerate(names)
    }
    cases = list(dict.fromkeys((row["functions"], row["policy"]) for row in worth))
    panels = len(cases) + 1
    figure, grid = plt.subplots(
        1, panels, figsize=(1.9 * panels, 2.9), layout="constrained", sharey=True, squeeze=False
    )
    for axes, (functions, policy) in zip(grid[0], cases, strict=False):
        found = chosen(runs, span="tuning", functions=functions, policy=policy)
        draw_costs(axes, found, looks)
        axes.set_title(policy if functions == "True" else f"{policy},\nno functions")
    with_functions = chosen(worth, functions="True")
    draw_accuracy(grid[0, -1], with_functions, looks)
    grid[0, -1].set_title("judged, tuned\nhead-room")
    policies = distinct(with_functions, "policy")
    kinds = [f"{'open' if at else 'filled'}: {policy}" for at, policy in enumerate(policies)]
    grid[0, -1].set_xlabel("\n".join(["Pinball loss", *kinds]))
    grid[0, 0].set_ylabel("Cost, USD")
    grid[0, 0].set_ylim(bottom=0.0)
    legend_below(figure, grid[0, 0], columns=4)
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = chosen(read_rows(folder / "worth.csv"), policy="program", functions="True")
    least, most = (chosen(rows, forecaster=name) for name in ("oracle", "last_value"))
    lstm, arima = (chosen(rows, forecaster=name) for name in ("lstm_calibrated", "arima"))
    naive = chosen(rows, forecaster="seasonal_naive")
    return (
        f"Knowing the minutes' rates takes the program's bill from {mean(most, 'cost_usd'):.2f} to "
        f"{mean(least, 'cost_usd'):.2f} USD. At its tuned head-room the calibrated LSTM saves "
        f"{mean(lstm, 'gap_share', 100.0):.0f} % of that, the daily naive forecast "
        f"{mean(naive, 'gap_share', 100.0):.0f} %, ARIMA {mean(arima, 'gap_share', 100.0):.0f} %, "
        "though its pinball loss is "
        f"{100.0 * (1.0 - mean(arima, 'pinball') / mean(most, 'pinball')):.0f} % below the last "
        "value's: accuracy alone does not lower cost. Open marks on the left miss 98 %."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
