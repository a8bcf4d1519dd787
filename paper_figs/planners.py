"""Figure: what every policy costs against greedy on sample paths, over a day and hour by hour.

Reads result files only (``experiments/planners.py``):

    python paper_figs/planners.py results/planners figure.pdf
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    BLACK,
    BLUE,
    DASHES,
    RED,
    SMALL,
    Entry,
    Row,
    chosen,
    distinct,
    main,
    plt,
    read_rows,
    values,
)
from scipy import stats

ENTRIES = {
    "planners": Entry(
        "Planners, risk measures and recourse: cost against greedy",
        "experiments/results/planners",
        "studies.md#planners-risk-measures-and-recourse",
        "make study NAME=planners",
    )
}
REFERENCE = "greedy"
LARGEST_PERCENT = 40.0
HOURLY = ("program", "program_plain")
"""Policies whose saving is shown as the day goes on."""
COLORS = {"mark": RED, "greedy": BLACK, "program": BLUE}


def against(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
    """Return the cost against the reference's in percent, paired by seed, and half its interval."""
    change = 100.0 * (values(rows, "cost_usd") / values(reference, "cost_usd") - 1.0)
    if len(change) < 2:
        return float(change.mean()), 0.0
    half = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    return float(change.mean()), float(half)


def draw(folder: Path) -> Any:
    """Return the figure: a column per service and purchase.

    Above a line per policy, its cost over the day: open marks miss the SLO with some seed, and what
    costs beyond the edge is written there. Below what was saved since the day began.
    """
    rows, hours = read_rows(folder / "runs.csv"), read_rows(folder / "hours.csv")
    cases = list(dict.fromkeys((row["service"], row["purchase"]) for row in rows))
    policies = distinct(rows, "policy")
    with plt.rc_context(SMALL):
        figure, grid = plt.subplots(
            2,
            len(cases),
            figsize=(1.5 * len(cases) + 1.3, 0.17 * len(policies) + 2.4),
            layout="constrained",
            sharey="row",
            squeeze=False,
            height_ratios=(0.17 * len(policies) + 0.3, 1.2),
        )
        for (above, below), (service, purchase) in zip(grid.T, cases, strict=True):
            draw_case(above, chosen(rows, service=service, purchase=purchase), policies)
            above.set_title(f"{service},\n{purchase}")
            above.set_xlabel("Cost against greedy, %")
            draw_hours(below, chosen(hours, service=service, purchase=purchase))
        grid[0, 0].set_yticks(range(len(policies)), [name.replace("_", " ") for name in policies])
        grid[0, 0].set_ylim(len(policies) - 0.5, -0.5)
        grid[1, 0].set_ylabel("Saved since midnight,\n% of greedy's day")
        grid[1, 0].legend(loc="best")
    return figure


def draw_hours(axes: Any, hours: Sequence[Row]) -> None:
    """Draw what policies have saved against greedy since the span began."""
    axes.axhline(0.0, color=BLACK, linewidth=0.8)
    base_usd = values(hours, REFERENCE)
    ends = np.array([int(row["hour"]) + 1 for row in hours])
    for at, policy in enumerate(HOURLY):
        if not hours or policy not in hours[0] or not hours[0][policy]:
            continue
        saved = 100.0 * np.cumsum(base_usd - values(hours, policy)) / base_usd.sum()
        axes.plot(ends, saved, color=BLUE, linestyle=DASHES[at], label=policy)
    axes.set_xlabel("Hour of the day")
    axes.set_xticks(range(0, 25, 6))


def draw_case(axes: Any, rows: Sequence[Row], policies: Sequence[str]) -> None:
    """Draw a service's policies, one below the other."""
    reference = chosen(rows, policy=REFERENCE)
    axes.axvline(0.0, color=BLACK, linewidth=0.8)
    for place, policy in enumerate(policies):
        found = chosen(rows, policy=policy)
        if not found or not reference:
            continue
        mean, half = against(found, reference)
        met = values(found, "attainment").min() >= float(found[0]["sl_min"])
        color = COLORS[policy.split("_")[0]]
        if mean > LARGEST_PERCENT:
            text = f"{mean:+.0f} %"
            axes.text(LARGEST_PERCENT, place, text, ha="right", va="center", color=color)
            continue
        axes.errorbar(
            mean,
            place,
            xerr=half,
            fmt="o",
            markersize=4,
            color=color,
            markerfacecolor=color if met else "white",
            capsize=2,
        )
    axes.set_xlim(-LARGEST_PERCENT, LARGEST_PERCENT)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "runs.csv")

    def paired(purchase: str, policy: str, service: str = "inception_v3") -> tuple[float, float]:
        found = chosen(rows, service=service, purchase=purchase)
        return against(chosen(found, policy=policy), chosen(found, policy=REFERENCE))

    level, spot = paired("on demand", "program"), paired("with spot", "program")
    mark = paired("on demand", "mark")
    other = paired("on demand", "program", "inception_bn")
    return (
        "Each policy tuned on the whole day before, then judged on a whole day. On Inception-v3 "
        f"the program costs {level[0]:+.1f} ± {level[1]:.1f} % against greedy on the same sample "
        f"paths on demand and {spot[0]:+.1f} ± {spot[1]:.1f} % with spot, MArk's point forecast "
        f"{mark[0]:+.0f} ± {mark[1]:.0f} % on demand; on Inception-BN, whose functions are far too "
        f"dear to weigh, the program {other[0]:+.1f} ± {other[1]:.1f} % on demand. Bars are 95 % "
        "intervals over three seeds, open marks miss the SLO with some seed, colors tell MArk, "
        "greedy and program; below: what the program has saved against greedy as the day goes on."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
