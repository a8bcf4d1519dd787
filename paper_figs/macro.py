"""Figure: what every policy costs beside SageMaker-style scaling, for each service and load.

Reads result files only (``experiments/macro.py``):

    python paper_figs/macro.py results/macro figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    MARKERS,
    MUTED,
    PALETTE,
    Entry,
    Row,
    chosen,
    distinct,
    legend_below,
    main,
    name_lines,
    plt,
    read_rows,
    use_log_scale,
    values,
)

ENTRIES = {
    "macro": Entry(
        "MArk's macro-benchmark: all policies, services and loads",
        "experiments/results/macro",
        "ablations.md#macro-benchmark",
        "make study NAME=macro",
    )
}
REFERENCE = "sagemaker_target_tracking"
LIST_PRICE = 1.4
"""SageMaker's list prices of 2018-19 over EC2's, which the simulator bills."""
TARGET = 0.98


def savings(rows: list[Row]) -> dict[tuple[str, str, str], float]:
    """Return by load, service and policy how many times SageMaker-style scaling's bill is its own.

    Policies that miss the SLO are left out.
    """
    found = {}
    for load in distinct(rows, "variant"):
        for service in distinct(rows, "service"):
            of_case = chosen(rows, variant=load, service=service)
            base = values(chosen(of_case, policy=REFERENCE), "cost_usd").mean()
            for policy in distinct(of_case, "policy"):
                own = chosen(of_case, policy=policy)
                if values(own, "attainment").mean() >= TARGET:
                    found[load, service, policy] = base / values(own, "cost_usd").mean()
    return found


def draw(folder: Path) -> Any:
    """Return the figure: a panel per load, a line of dots per policy, a dot per service."""
    rows = read_rows(folder / "episodes.csv")
    found = savings(rows)
    loads, services = distinct(rows, "variant"), distinct(rows, "service")
    policies = [name for name in distinct(rows, "policy") if name != REFERENCE]
    figure, grid = plt.subplots(
        1,
        len(loads),
        figsize=(7.2, 0.22 * len(policies) + 1.2),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, load in zip(grid[0], loads, strict=True):
        for at, service in enumerate(services):
            shown = [(found.get((load, service, policy)), y) for y, policy in enumerate(policies)]
            axes.plot(
                [x for x, _ in shown if x is not None],
                [y for x, y in shown if x is not None],
                linestyle="none",
                marker=MARKERS[(at + at // len(PALETTE)) % len(MARKERS)],
                markersize=3.5,
                color=PALETTE[at % len(PALETTE)],
                label=service,
            )
        axes.axvline(1.0, color=MUTED, linewidth=0.8)
        use_log_scale(axes, (1.0,), across=True)
        axes.set_title(load)
    name_lines(grid[0, 0], policies)
    grid[0, len(loads) // 2].set_xlabel(
        "Times cheaper than SageMaker-style scaling, at EC2's prices"
    )
    legend_below(figure, grid[0, 0], columns=5)
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    found = savings(read_rows(folder / "episodes.csv"))
    own = {case: factor for case, factor in found.items() if case[2] == "program"}
    (load, service, _), best = max(own.items(), key=lambda entry: entry[1])
    middle = float(np.median(list(own.values())))
    return (
        f"Where it meets the SLO the program costs between 1/{best:.1f} ({service}, {load}) and "
        f"1/{min(own.values()):.1f} of SageMaker-style scaling, in the middle 1/{middle:.1f}, both "
        f"at EC2's prices and tuned to 98 %; at SageMaker's list prices times {LIST_PRICE:g}: up "
        f"to {LIST_PRICE * best:.1f} times. MArk's abstract says up to 7.8."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
