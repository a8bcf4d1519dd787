"""Figure: from the bill down to the clairvoyant bound, part by part, for each load and policy.

Reads result files only (``experiments/attribution.py``):

    python paper_figs/attribution.py results/attribution figure.pdf
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    BLUE,
    GRAY,
    ORANGE,
    Entry,
    Row,
    chosen,
    distinct,
    main,
    mean,
    read_rows,
    values,
)
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

ENTRIES = {
    "attribution": Entry(
        "Where the loss comes from: from the bill down to the clairvoyant bound",
        "experiments/results/attribution",
        "studies.md#where-the-loss-comes-from",
        "make study NAME=attribution",
    )
}
LABELS = {
    "forecast": "Forecast error",
    "interruptions": "Interruptions",
    "launch_delay": "Launch delay",
    "capacity_profile": "Capacity profile",
    "within_interval": "Within the minute",
    "solver_gap": "Solver gap",
    "rest": "Rest: rules, loop",
    "integrality": "Whole instances",
    "bound_slack": "Slack of the bound",
}
"""Parts as ``losses.csv`` names them, in the order of the series, in words."""


def title(row: Row) -> str:
    """Return in words what a case serves, and with what."""
    return f"{row['trace']}, {'with spot' if row['spot'] == 'True' else 'on demand'}"


def cases_of(rows: Sequence[Row]) -> dict[str, Row]:
    """Return what tells the rows of each case, by its title."""
    return {title(row): {"trace": row["trace"], "spot": row["spot"]} for row in rows}


def ends_of(runs: Sequence[Row]) -> tuple[float, float]:
    """Return the bill and the bound of a case and policy, means over its seeds."""
    bill = values(chosen(runs, order="forward", perfect="nothing"), "cost_usd").mean()
    return float(bill), float(values(chosen(runs, order="end", perfect="bound"), "cost_usd").mean())


def draw_waterfall(axes: Any, losses: Sequence[Row], runs: Sequence[Row]) -> None:
    """Draw a case of one policy: bill, parts and bound, one below the other."""
    bill, bound = ends_of(runs)
    axes.barh(0, bill, color=GRAY, height=0.7)
    at = bill
    for line, part in enumerate(LABELS, start=1):
        found = chosen(losses, part=part)
        usd = float(values(found, "usd").mean())
        axes.barh(line, -usd, left=at, color=BLUE if usd >= 0.0 else ORANGE, height=0.7)
        axes.plot([at, at], [line - 0.65, line - 0.35], color=GRAY, linewidth=0.7)
        reverse = values(found, "reverse_usd")
        if abs(reverse.mean() - usd) > 0.005 * bill:  # false where it was not run
            axes.plot(at - reverse.mean(), line, "D", color="black", mfc="white", ms=3.2, mew=0.8)
        right = max(at, at - usd, at - float(np.nanmean([*reverse, usd])))
        axes.annotate(
            f"{usd:.2f}", (right, line), (4, 0), textcoords="offset points", va="center", size=6
        )
        at -= usd
    last = len(LABELS) + 1
    axes.plot([at, at], [last - 0.65, last - 0.35], color=GRAY, linewidth=0.7)
    axes.barh(last, bound, color=GRAY, height=0.7)
    for line, usd in ((0, bill), (last, bound)):
        axes.annotate(
            f"{usd:.2f}", (usd, line), (4, 0), textcoords="offset points", va="center", size=6
        )
    axes.set_yticks(range(last + 1), ["Bill", *LABELS.values(), "Clairvoyant bound"])
    axes.set_ylim(last + 0.6, -0.6)
    axes.set_xlim(0.0, 1.16 * max(axes.dataLim.x1, bill))
    axes.grid(axis="y", visible=False)


def draw(folder: Path) -> Any:
    """Return the figure: a row per policy, a column per case."""
    losses, runs = read_rows(folder / "losses.csv"), read_rows(folder / "runs.csv")
    cases, policies = cases_of(losses), distinct(losses, "policy")
    figure, grid = plt.subplots(
        len(policies),
        len(cases),
        figsize=(2.3 * len(cases) + 1.0, 2.0 * len(policies) + 0.5),
        layout="constrained",
        sharey=True,
        sharex="col",
        squeeze=False,
    )
    for line, policy in enumerate(policies):
        for column, (name, case) in enumerate(cases.items()):
            wanted = {**case, "policy": policy}
            axes = grid[line, column]
            draw_waterfall(axes, chosen(losses, **wanted), chosen(runs, **wanted))
            axes.set_title(f"{name}: {policy}")
    for axes in grid[-1]:
        axes.set_xlabel("USD")
    diamond = Line2D([], [], marker="D", color="black", mfc="white", ms=3.2, mew=0.8, ls="none")
    handles = [Patch(color=BLUE), Patch(color=ORANGE), diamond]
    words = ["Loss", "Gain", "Where the bar would end with its loss in reverse order"]
    figure.legend(handles, words, loc="outside lower center", ncols=3)
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    losses, runs = read_rows(folder / "losses.csv"), read_rows(folder / "runs.csv")
    wanted = {"trace": "sample", "spot": "False", "policy": "program"}
    bill, bound = ends_of(chosen(runs, **wanted))
    forecast = chosen(losses, **wanted, part="forecast")
    gap = chosen(losses, **wanted, part="solver_gap")
    return (
        "Not knowing the load makes most of the loss: on the sample's burst the program pays "
        f"{bill:.2f} USD on demand, foresight {bound:.2f}, and {mean(forecast, 'usd'):.2f} of the "
        f"{bill - bound:.2f} USD between them go with the forecast's error. With launches that are "
        f"ready at once it would cost {mean(forecast, 'reverse_usd'):.2f}. The solver's gap costs "
        f"{mean(gap, 'usd'):.2f} USD."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
