"""Figure: response times that the simulation predicts and that real servers had, and the lateness.

Reads result files only (``experiments/twin.py``):

    python paper_figs/twin.py results/twin figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import (
    DASHES,
    LIMIT,
    PALETTE,
    Entry,
    chosen,
    distinct,
    legend_below,
    main,
    read_rows,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "twin": Entry(
        "Does the simulation predict what real servers do?",
        "experiments/results/twin",
        "live.md",
        "make study NAME=twin",
    )
}
NAMES = {"stand_in": "stand-ins", "model": "real model servers"}
LINES = (
    ("predicted_ms", "simulated", PALETTE[0], DASHES[1]),
    ("measured_ms", "live", PALETTE[5], DASHES[0]),
)


def draw(folder: Path) -> Any:
    """Return the figure: a column per case, response times above, lateness below."""
    quantiles = read_rows(folder / "quantiles.csv")
    compared = read_rows(folder / "comparison.csv")
    cases = distinct(quantiles, "case")
    figure, grid = plt.subplots(
        2,
        len(cases),
        figsize=(3.2 * len(cases), 3.6),
        layout="constrained",
        squeeze=False,
        height_ratios=(2.0, 1.0),
        sharey="row",
    )
    for column, case in enumerate(cases):
        rows = chosen(quantiles, case=case)
        first = chosen(compared, case=case)[0]
        levels = values(rows, "level", 100.0)
        above, below = grid[:, column]
        for key, label, color, dashes in LINES:
            above.plot(values(rows, key), levels, color=color, linestyle=dashes, label=label)
        above.axvline(float(first["rt_max_ms"]), **LIMIT)
        above.set_title(
            f"{first['instances']} {NAMES.get(case, case)}, {float(first['rate_rps']):.0f} "
            f"requests/s"
        )
        above.set_xlim(left=0.0)
        above.set_ylim(0.0, 100.0)
        above.set_xlabel("Response time, ms (dotted: RT_max)")
        below.plot(values(rows, "lateness_ms"), levels, color=PALETTE[6])
        below.set_xscale("log")
        below.set_xlim(0.1, 100.0)
        below.set_xticks([0.1, 1.0, 10.0, 100.0], ["0.1", "1", "10", "100"])
        below.set_xticks([], minor=True)
        below.set_ylim(0.0, 100.0)
        below.set_xlabel("Lateness of the load generator, ms")
    grid[0, 0].set_ylabel("Requests, %")
    grid[1, 0].set_ylabel("Requests, %")
    legend_below(figure, grid[0, 0])
    return figure


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    compared = read_rows(folder / "comparison.csv")
    texts = []
    for case in distinct(compared, "case"):
        rows = chosen(compared, case=case)
        worst = max(rows, key=lambda row: abs(float(row["difference_percent"])))
        texts.append(
            f"{rows[0]['instances']} {NAMES.get(case, case)} ({int(rows[0]['requests']):,} "
            f"requests): all within {abs(float(worst['difference_percent'])):.1f} % of the "
            f"simulation (attainment, p50, p98, mean), the generator late by "
            f"{float(rows[0]['lateness_p99_ms']):.1f} ms at p99"
        )
    return "; ".join(texts) + "."


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
