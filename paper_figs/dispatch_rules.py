"""Figure: attainment and spill of dispatch rules over utilization, and what each pair costs.

Reads result files only (``experiments/dispatch_rules.py``):

    python paper_figs/dispatch_rules.py results/dispatch_rules figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    LIMIT,
    MARKERS,
    PALETTE,
    Entry,
    chosen,
    distinct,
    legend_below,
    look,
    main,
    mean,
    read_rows,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "dispatch_rules": Entry(
        "Dispatch rules: attainment, spill and cost over utilization",
        "experiments/results/dispatch_rules",
        "studies.md#dispatch-rules",
        "make study NAME=dispatch_rules",
    )
}


def draw_curves(axes: Any, rows: list[dict[str, str]], key: str, looks: dict[str, Any]) -> None:
    """Draw a share, in percent, over utilization, a line per dispatcher."""
    for dispatcher, style in looks.items():
        found = chosen(rows, dispatcher=dispatcher)
        axes.plot(
            values(found, "utilisation"), values(found, key, 100.0), label=dispatcher, **style
        )


def draw_ratios(axes: Any, rows: list[dict[str, str]], bouncers: list[str]) -> None:
    """Draw each pair's cost ratio with its interval; what never holds the SLO stays empty."""
    dispatchers = distinct(rows, "dispatcher")
    for at, bouncer in enumerate(bouncers):
        found = chosen(rows, bouncer=bouncer)
        ratio = values(found, "cost_ratio")
        place = [dispatchers.index(row["dispatcher"]) + 0.22 * (at - 1) for row in found]
        ends = np.abs(np.array([values(found, "ci95_low"), values(found, "ci95_high")]) - ratio)
        axes.errorbar(
            ratio,
            place,
            xerr=np.nan_to_num(ends),
            fmt=MARKERS[at],
            markersize=3.5,
            color=PALETTE[4 + at],
            linewidth=1.0,
            label=bouncer,
        )
    axes.axvline(1.0, **LIMIT)
    axes.set_yticks(range(len(dispatchers)), dispatchers)
    axes.set_ylim(len(dispatchers) - 0.5, -0.5)
    axes.set_xlabel("Least cost with 98 %,\nratio")


def draw(folder: Path) -> Any:
    """Return the figure: a column per fleet; attainment, spill, cost."""
    runs, worth = read_rows(folder / "fleets.csv"), read_rows(folder / "worth.csv")
    fleets, bouncers = distinct(runs, "fleet"), distinct(runs, "bouncer")
    looks = look(distinct(runs, "dispatcher"))
    figure, grid = plt.subplots(
        3,
        len(fleets),
        figsize=(1.75 * len(fleets) + 0.9, 5.2),
        layout="constrained",
        sharey="row",
        squeeze=False,
    )
    for column, fleet in enumerate(fleets):
        top, middle, bottom = grid[:, column]
        draw_curves(top, chosen(runs, fleet=fleet, bouncer="none"), "attainment", looks)
        top.axhline(98.0, **LIMIT)
        top.set_ylim(60.0, 101.5)
        top.set_title(fleet)
        guarded = chosen(runs, fleet=fleet, bouncer="predicted_deadline")
        draw_curves(middle, guarded, "spill_share", looks)
        middle.set_xlabel("Utilization")
        draw_ratios(bottom, chosen(worth, fleet=fleet), bouncers)
    grid[0, 0].set_ylabel("Within RT_max, %,\nno bouncer")
    grid[1, 0].set_ylabel("Spilled, %,\npredicted_deadline")
    legend_below(figure, grid[0, 0])
    grid[2, -1].legend(fontsize=6, title="bouncer", title_fontsize=6, loc="upper right")
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    worth = read_rows(folder / "worth.csv")

    def percent(fleet: str, dispatcher: str, bouncer: str = "none") -> float:
        found = chosen(worth, fleet=fleet, dispatcher=dispatcher, bouncer=bouncer)
        return 100.0 * (mean(found, "cost_ratio") - 1.0)

    return (
        "Rules differ where service times or servers differ. Against weighted round robin, least "
        f"expected delay costs {-percent('CPU, varying', 'least_expected_delay'):.0f} % less on "
        "CPUs of varying service times; join shortest queue, which does not know speeds, "
        f"{percent('CPU and GPU', 'join_shortest_queue'):.0f} % more on unlike servers. On alike "
        "servers of steady service times the best pair saves "
        f"{-percent('CPU', 'least_expected_delay', 'predicted_deadline'):.1f} %."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
