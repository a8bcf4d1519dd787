"""Figure: cost against attainment of the policies on one day, and what the money goes to.

Reads result files only (``markopt compare`` or ``experiments/policies_on_one_day.py``):

    python paper_figs/policies_on_one_day.py results/policies_on_one_day figure.pdf
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    BLUE,
    GREEN,
    MARKERS,
    MUTED,
    ORANGE,
    PALETTE,
    PINK,
    RED,
    SKY,
    STYLE,
    YELLOW,
    use_log_scale,
)
from figure_style import main as draw_to_file
from matplotlib import pyplot as plt

KINDS = {
    "on_demand": ("On demand", BLUE, ""),
    "spot": ("Spot", SKY, "//"),
    "burstable": ("Burstable", GREEN, "xx"),
    "container": ("Containers", YELLOW, "++"),
    "lambda": ("Lambda", ORANGE, ".."),
    "warm": ("Warm functions", PINK, "\\\\"),
}


def rows_by_policy(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return a comparison's rows by policy, in the order in which they were compared."""
    document = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in document["policies"]}
    for row in document["rows"]:
        groups[row["policy"]].append(row)
    return groups


def draw_scatter(axes: Any, groups: dict[str, list[dict[str, Any]]]) -> None:
    """Draw cost over attainment: small marks per seed, a large one for the mean."""
    for at, (policy, rows) in enumerate(groups.items()):
        share = np.array([100.0 * row["attainment"] for row in rows])
        cost = np.array([row["cost_usd"] for row in rows])
        look = {"color": PALETTE[at % len(PALETTE)], "marker": MARKERS[at % len(MARKERS)]}
        if len(rows) > 1:
            axes.scatter(share, cost, s=10, alpha=0.5, linewidths=0, **look)
        # Open marks, so that policies that coincide remain to be seen.
        ring = {"s": 40, "facecolors": "none", "edgecolors": look["color"], "linewidths": 1.6}
        axes.scatter(share.mean(), cost.mean(), label=policy, marker=look["marker"], **ring)
    first = next(iter(groups.values()))[0]
    axes.axvline(100.0 * first["sl_min"], color=RED, linestyle="--", linewidth=1)
    bounds = [
        row["clairvoyant_bound_usd"]
        for rows in groups.values()
        for row in rows
        if row["clairvoyant_bound_usd"] is not None
    ]
    if bounds:
        axes.axhline(np.mean(bounds), color=MUTED, linestyle=":", linewidth=1)
        axes.annotate(
            "clairvoyant bound",
            (0.06, float(np.mean(bounds))),
            xytext=(0, 2),
            textcoords="offset points",
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=7,
            color=MUTED,
        )
    costs = [row["cost_usd"] for rows in groups.values() for row in rows]
    if max(costs) > 8.0 * min(costs):
        use_log_scale(axes)
    else:
        axes.set_ylim(bottom=0.0)
    axes.set_xlabel("Requests within RT_max, %")
    axes.set_ylabel("Cost, USD")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(0.05, 0.62))


def draw_bills(axes: Any, groups: dict[str, list[dict[str, Any]]]) -> None:
    """Draw each policy's mean bill, stacked by kind."""
    names = list(groups)
    left = np.zeros(len(names))
    for kind, (label, color, hatch) in KINDS.items():
        usd = np.array(
            [np.mean([row.get(f"cost_{kind}_usd", 0.0) for row in groups[name]]) for name in names]
        )
        if usd.any():
            look = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.3}
            axes.barh(names, usd, left=left, label=label, **look)
            left += usd
    axes.invert_yaxis()
    axes.set_xlabel("Cost, USD")
    axes.legend(fontsize=7)


def draw(folder: Path) -> Any:
    """Return the figure: cost over attainment, and the bills by kind."""
    groups = rows_by_policy(folder)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.8), layout="constrained")
    draw_scatter(left, groups)
    draw_bills(right, groups)
    return figure


def main(arguments: list[str]) -> int:
    """Draw from the given result folder into the given file."""
    return draw_to_file(draw, arguments, style=STYLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
