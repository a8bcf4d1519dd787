"""Figure: each forecaster's loss and coverage by step, and where the truth lay in its forecasts.

Reads result files only (``experiments/backtest.py``):

    python paper_figs/backtest.py results/backtest figure.pdf
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    BLACK,
    GRID,
    Entry,
    Row,
    chosen,
    distinct,
    legend_below,
    look,
    main,
    plt,
    read_rows,
    use_log_scale,
    values,
)

ENTRIES = {
    "backtest": Entry(
        "Forecasters on eight real traces: loss, coverage and calibration",
        "experiments/results/backtest",
        "forecasting.md#which-one-to-use",
        "OMP_NUM_THREADS=1 python experiments/backtest.py",
    )
}
HONEST = {"color": BLACK, "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 0}
COLUMNS = 4
LABELS = (
    "Pinball loss\nto the first's",
    "Within 90 %\nband (fair), %",
    "PIT density",
)


def draw(folder: Path) -> Any:
    """Return the figure: a column per trace; loss and coverage by step, and the PIT histogram.

    Beyond four traces it goes on below, in three more rows.
    """
    steps, pit = read_rows(folder / "steps.csv"), read_rows(folder / "pit.csv")
    traces = distinct(steps, "trace")
    names = distinct(steps, "forecaster")
    looks = look(names)
    columns = min(len(traces), COLUMNS)
    bands = -(-len(traces) // columns)
    figure, grid = plt.subplots(
        3 * bands,
        columns,
        figsize=(1.75 * columns + 0.6, 4.6 * bands + 0.5),
        layout="constrained",
        sharey="row",
        squeeze=False,
    )
    for at, trace in enumerate(traces):
        first = 3 * (at // columns)
        loss, coverage, density = grid[first : first + 3, at % columns]
        draw_steps(loss, coverage, chosen(steps, trace=trace), looks)
        draw_pit(density, chosen(pit, trace=trace), looks)
        loss.set_title(trace.replace("_", " "))
        use_log_scale(loss)
    for band in range(bands):
        for line, label in zip(grid[3 * band : 3 * band + 3], LABELS, strict=True):
            line[0].set_ylabel(label)
        grid[3 * band + 1, 0].set_ylim(top=100.0)
        grid[3 * band + 2, 0].set_ylim(0.0, pit_top(pit))
    for empty in range(len(traces), bands * columns):
        for axes in grid[3 * (empty // columns) : 3 * (empty // columns) + 3, empty % columns]:
            axes.set_axis_off()
    used = [grid[3 * (at // columns), at % columns] for at in range(len(traces))]
    legend_below(figure, fullest(used, len(names)), columns=3)
    return figure


def fullest(axes: Sequence[Any], wanted: int) -> Any:
    """Return a panel with a line for every forecaster, else the one with the most."""
    return max(axes, key=lambda each: min(len(each.get_legend_handles_labels()[0]), wanted))


def pit_top(pit: Sequence[Row]) -> float:
    """Return where to cut the density: outer bins of bad forecasts would flatten all others."""
    bins = len(distinct(pit, "from"))
    return float(min(1.05 * bins * np.nanmax(values(pit, "share")), 4.0))


def draw_steps(loss: Any, coverage: Any, rows: Sequence[Row], looks: Any) -> None:
    """Draw loss, relative to that of the first forecaster, and coverage by minutes ahead."""
    base = values(chosen(rows, forecaster=rows[0]["forecaster"]), "pinball_log")
    coverage.axhspan(88.0, 92.0, color=GRID, zorder=0)
    for name in distinct(rows, "forecaster"):
        own = chosen(rows, forecaster=name)
        minutes = values(own, "lead_s", 1.0 / 60.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            loss.plot(minutes, values(own, "pinball_log") / base, label=name, **looks[name])
        coverage.plot(minutes, values(own, "fair_coverage_90", 100.0), label=name, **looks[name])
    coverage.set_xlabel("Minutes ahead")


def draw_pit(axes: Any, rows: Sequence[Row], looks: Any) -> None:
    """Draw the density of the probability at which forecasts place the truth."""
    axes.axhline(1.0, **HONEST)
    for name in distinct(rows, "forecaster"):
        shares = values(chosen(rows, forecaster=name), "share")
        edges = np.linspace(0.0, 1.0, len(shares) + 1)
        axes.stairs(shares * len(shares), edges, label=name, baseline=None, **looks[name])
    axes.set_xlabel("Probability of truth")


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    rows = read_rows(folder / "traces.csv")

    def by_trace(forecaster: str, key: str) -> np.ndarray:
        return values(chosen(rows, forecaster=forecaster), key)

    loss = by_trace("lstm_calibrated", "pinball_log") / by_trace("last_value", "pinball_log")
    held = 100.0 * by_trace("lstm_calibrated", "fair_coverage_90")
    plain = 100.0 * by_trace("lstm", "fair_coverage_90")
    return (
        f"On {len(loss)} real traces the calibrated LSTM loses {100.0 * (1.0 - loss.max()):.0f} to "
        f"{100.0 * (1.0 - loss.min()):.0f} % less than the last value, and its 90 % band holds "
        f"{held.min():.1f} to {held.max():.1f} %; without calibration {plain.min():.1f} to "
        f"{plain.max():.1f} %. Shaded: 88 to 92 %. A density of one is an honest forecast."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
