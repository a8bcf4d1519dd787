"""Figure: latency, attainment and cost per hour under constant load, by service and policy.

Reads result files only (``experiments/steady_load.py``):

    python paper_figs/steady_load.py results/steady_load figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    LIMIT,
    Entry,
    chosen,
    distinct,
    draw_over_time,
    legend_below,
    look,
    main,
    mean,
    read_rows,
    use_log_scale,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "steady_load": Entry(
        "Steady load: latency, attainment and cost by the minute",
        "experiments/results/steady_load",
        "studies.md#steady-load",
        "make study NAME=steady_load",
    )
}
PANELS = (
    ("p98_ms", 1.0, "p98 of answered, ms"),
    ("attainment", 100.0, "Within RT_max, %"),
    ("usd_per_h", 1.0, "Cost, USD/h"),
)


def draw(folder: Path) -> Any:
    """Return the figure: a column per service, a row per quantity."""
    rows = read_rows(folder / "windows.csv")
    services = distinct(rows, "service")
    looks = look(distinct(rows, "policy"))
    figure, grid = plt.subplots(
        len(PANELS),
        len(services),
        figsize=(1.75 * len(services) + 0.3, 4.6),
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    for column, service in enumerate(services):
        of_service = chosen(rows, service=service)
        for line, (key, factor, _) in enumerate(PANELS):
            draw_over_time(grid[line, column], of_service, key, looks, factor=factor)
        grid[0, column].set_title(service)
        grid[0, column].set_ylim(bottom=0.0)
        grid[1, column].axhline(98.0, **LIMIT)
        use_log_scale(grid[2, column])
        grid[2, column].set_xlabel("Minute")
    least = 100.0 * np.nanmin(values(rows, "attainment"))
    for axes in grid[1]:
        axes.set_ylim(min(least, 98.0) - 0.3, 100.2)
    for line, (_, _, label) in enumerate(PANELS):
        grid[line, 0].set_ylabel(label)
    legend_below(figure, grid[0, 0])
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "episodes.csv")
    ratios: dict[str, list[float]] = {}
    for service in distinct(rows, "service"):
        of_service = chosen(rows, service=service)
        least = mean(chosen(of_service, policy="program"), "cost_usd")
        for policy in distinct(rows, "policy"):
            cost = mean(chosen(of_service, policy=policy), "cost_usd")
            ratios.setdefault(policy, []).append(cost / least)
    greedy, tracking = ratios["greedy"], ratios["target_tracking"]
    return (
        "Under constant load every policy is level and no minute of any seed falls below "
        f"{values(rows, 'worst_minute_attainment', 100.0).min():.2f} %. Greedy costs "
        f"{100.0 * (min(greedy) - 1.0):.1f} to {100.0 * (max(greedy) - 1.0):.1f} % more than the "
        f"program, target tracking on demand {min(tracking):.1f} to {max(tracking):.1f} times as "
        "much. The limit is the SLO's 98 %."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
