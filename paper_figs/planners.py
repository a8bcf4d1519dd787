"""Figure: what every policy costs against greedy on sample paths, at equal attainment.

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
LARGEST_PERCENT = 60.0
COLORS = {"mark": RED, "greedy": BLACK, "program": BLUE}


def against(rows: Sequence[Row], reference: Sequence[Row]) -> tuple[float, float]:
    """Return the cost against the reference's in percent, paired by seed, and half its interval."""
    change = 100.0 * (values(rows, "cost_usd") / values(reference, "cost_usd") - 1.0)
    if len(change) < 2:
        return float(change.mean()), 0.0
    half = stats.t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / np.sqrt(len(change))
    return float(change.mean()), float(half)


def draw(folder: Path) -> Any:
    """Return the figure: a panel per service and purchase, a line per policy.

    Open marks miss the SLO with some seed; what costs beyond the edge is written there.
    """
    rows = read_rows(folder / "runs.csv")
    cases = list(dict.fromkeys((row["service"], row["purchase"]) for row in rows))
    policies = distinct(rows, "policy")
    with plt.rc_context(SMALL):
        figure, grid = plt.subplots(
            1,
            len(cases),
            figsize=(1.9 * len(cases) + 1.3, 0.2 * len(policies) + 0.9),
            layout="constrained",
            sharey=True,
            squeeze=False,
        )
        for axes, (service, purchase) in zip(grid[0], cases, strict=True):
            draw_case(axes, chosen(rows, service=service, purchase=purchase), policies)
            axes.set_title(f"{service},\n{purchase}")
            axes.set_xlabel("Cost against greedy, %")
        grid[0, 0].set_yticks(range(len(policies)), [name.replace("_", " ") for name in policies])
        grid[0, 0].invert_yaxis()
    return figure


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

    def paired(purchase: str, policy: str) -> tuple[float, float]:
        found = chosen(rows, service="inception_v3", purchase=purchase)
        return against(chosen(found, policy=policy), chosen(found, policy=REFERENCE))

    level, loss = paired("on demand", "program"), paired("with spot", "program")
    mark = paired("on demand", "mark")
    return (
        "Each policy tuned on the day before, then judged. On Inception-v3 on demand the program "
        f"is level with greedy on sample paths ({level[0]:+.1f} ± {level[1]:.1f} %), with spot, "
        f"tuned on two hours, it loses ({loss[0]:+.1f} ± {loss[1]:.1f} %); MArk's point forecast "
        f"costs {mark[0]:.0f} ± {mark[1]:.0f} % more. Bars are 95 % intervals over three seeds, "
        "open marks miss the SLO with some seed, colors tell MArk, greedy and program."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
