"""Figure: how long a decision takes the program and the textbook formulations, by size.

Reads the committed benchmark only (``benchmarks/planner.py``):

    python paper_figs/planner_speed.py benchmarks/results/planner.md figure.pdf
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
    MUTED,
    ORANGE,
    PINK,
    Entry,
    Row,
    chosen,
    distinct,
    main,
    read_markdown,
    use_log_scale,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "planner_speed": Entry(
        "How fast a decision is made: the program beside textbook formulations",
        "benchmarks/results/planner.md",
        "formulation.md",
        "python benchmarks/planner.py",
    )
}
SIZE, TIME = "offers x intervals x scenarios", "CPU, ms"
LOOKS = {
    "program": (BLUE, "o"),
    "cvxpy, HiGHS": (ORANGE, "s"),
    "PuLP, CBC": (PINK, "D"),
    "greedy": (BLACK, "^"),
}
TIMES = "\N{MULTIPLICATION SIGN}"
GIVEN_UP_S = 100.0
"""Where the benchmark ends a formulation that has found nothing."""


def decisions(path: Path) -> list[Row]:
    """Return a row per size, seed and planner."""
    return next(table for table in read_markdown(path) if SIZE in table[0] and TIME in table[0])


def draw(path: Path) -> Any:
    """Return the figure: seconds per decision over size; crosses found nothing."""
    rows = decisions(path)
    sizes = distinct(rows, SIZE)
    figure, axes = plt.subplots(figsize=(4.6, 2.9), layout="constrained")
    for shift, (planner, (color, marker)) in enumerate(LOOKS.items()):
        for place, size in enumerate(sizes):
            found = chosen(rows, **{SIZE: size, "planner": planner})
            draw_decisions(axes, found, place + 0.16 * (shift - 1.5), color, marker)
        axes.plot([], [], color=color, marker=marker, linestyle="none", label=planner)
    axes.plot([], [], color=MUTED, marker="x", linestyle="none", label="nothing found")
    use_log_scale(axes, subs=(1.0,))
    axes.set_ylim(5e-4, 4.0 * GIVEN_UP_S)
    axes.set_xticks(range(len(sizes)), [size.replace(" x ", f"\n{TIMES} ") for size in sizes])
    axes.set_xlabel(f"Offers {TIMES} intervals {TIMES} scenarios")
    axes.set_ylabel("CPU seconds per decision")
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside upper center", ncols=5, columnspacing=1.0, handletextpad=0.2)
    return figure


def draw_decisions(axes: Any, rows: Sequence[Row], place: float, color: str, marker: str) -> None:
    """Draw a planner's decisions of one size, one mark per seed."""
    seconds = values(rows, TIME, 1e-3)
    found = np.isfinite(seconds)
    axes.plot(
        [place] * int(found.sum()),
        seconds[found],
        color=color,
        marker=marker,
        markersize=4,
        linestyle="none",
    )
    if not found.all():
        axes.plot([place], [GIVEN_UP_S], color=color, marker="x", markersize=5, linestyle="none")


def median_s(rows: Sequence[Row], size: str, planner: str) -> float:
    """Return a planner's median time of one size, in seconds; infinite where it found nothing."""
    seconds = values(chosen(rows, **{SIZE: size, "planner": planner}), TIME, 1e-3)
    return float(np.median(np.where(np.isfinite(seconds), seconds, np.inf)))


def caption(path: Path) -> str:
    """Return what the figure finds."""
    rows = decisions(path)
    size = "400 x 30 x 100"
    textbook = [name for name in LOOKS if median_s(rows, size, name) == np.inf]
    small = distinct(rows, SIZE)[0]
    faster = median_s(rows, small, "cvxpy, HiGHS") / median_s(rows, small, "program")
    return (
        f"With 400 offers, 30 intervals and 100 scenarios the program proves a gap of 0.1 % in "
        f"{1000.0 * median_s(rows, size, 'program'):.0f} ms of CPU time (median of three seeds); "
        f"{' and '.join(textbook)} find nothing in {GIVEN_UP_S:g} s. On the smallest problems it "
        f"is {faster:.0f} times faster than the same program through cvxpy. Greedy decides in "
        "milliseconds, without a bound."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
