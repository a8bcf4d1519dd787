"""Figure: ten minutes on the local back end: load, fleet, response times, as clients saw them.

Reads result files only (``experiments/live.py``):

    python paper_figs/live.py results/live figure.pdf
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
    Row,
    main,
    read_rows,
    use_log_scale,
    values,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "live": Entry(
        "Ten minutes with real processes",
        "experiments/results/live",
        "live.md",
        "make study NAME=live",
    )
}


def draw(folder: Path) -> Any:
    """Return the figure: load and functions' part, fleet, response times, attainment, over time."""
    rows = read_rows(folder / "windows.csv")
    (whole,) = read_rows(folder / "requests.csv")
    minutes = values(rows, "time_s", 1.0 / 60.0)
    figure, grid = plt.subplots(4, 1, figsize=(4.4, 5.0), layout="constrained", sharex=True)
    load, fleet, times, share = grid
    _lines(load, minutes, rows, (("rate_rps", "all"), ("function_rps", "on functions")))
    load.plot(
        minutes,
        values(rows, "forecast_rps"),
        color=PALETTE[6],
        linestyle=DASHES[2],
        drawstyle="steps-post",
        label="forecast of the minute",
    )
    load.set_ylabel("Requests/s")
    _lines(fleet, minutes, rows, (("ready", "ready"), ("billed", "billed")), drawstyle="steps-post")
    fleet.set_ylabel("Instances")
    _lines(times, minutes, rows, (("p50_ms", "p50"), ("p98_ms", "p98")))
    use_log_scale(times)
    times.axhline(float(whole["rt_max_ms"]), **LIMIT)
    times.set_ylabel("Response, ms")
    share.plot(minutes, values(rows, "attainment", 100.0), color=PALETTE[0])
    share.axhline(98.0, **LIMIT)
    share.set_ylabel("Within RT_max, %")
    share.set_xlabel("Minute")
    for axes in (load, fleet):
        axes.set_ylim(bottom=0.0)
    for axes in (load, fleet, times):
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _lines(axes: Any, minutes: Any, rows: list[Row], columns: Any, **more: Any) -> None:
    for at, (key, label) in enumerate(columns):
        style = {"color": PALETTE[(0, 5)[at]], "linestyle": DASHES[at], "label": label}
        axes.plot(minutes, values(rows, key), **style, **more)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    (whole,) = read_rows(folder / "requests.csv")
    number = {key: float(value) for key, value in whole.items()}
    return (
        f"{number['requests']:,.0f} requests over HTTP through HAProxy: "
        f"{100.0 * number['attainment']:.2f} % within {number['rt_max_ms']:.0f} ms, p98 "
        f"{number['p98_ms']:.0f} ms, {100.0 * number['function_share']:.1f} % on functions, "
        f"{number['refused']:.0f} refused, {number['lost']:.0f} lost."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
