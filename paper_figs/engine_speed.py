"""Figure: requests simulated per second, by fleet, and beside models written in Python.

Reads the committed benchmark only (``benchmarks/engine.py``):

    python paper_figs/engine_speed.py benchmarks/results/engine.md figure.pdf
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figure_style import (
    BLUE,
    DASHES,
    GRAY,
    MARKERS,
    PALETTE,
    Entry,
    Row,
    chosen,
    main,
    read_markdown,
)
from matplotlib import pyplot as plt

ENTRIES = {
    "engine_speed": Entry(
        "How fast requests are simulated: by fleet, and beside SimPy",
        "benchmarks/results/engine.md",
        "simulator.md",
        "python benchmarks/engine.py",
    )
}
SPEED = "requests/s"


def tables(path: Path) -> tuple[list[Row], list[Row]]:
    """Return the speeds by fleet, and those of the engine and of models in Python."""
    found = read_markdown(path)
    by_fleet = next(table for table in found if "servers" in table[0])
    return by_fleet, next(table for table in found if "model" in table[0])


def per_s(row: Row) -> float:
    """Return how many requests a model simulates per second."""
    return float(row[SPEED].replace(",", ""))


def draw(path: Path) -> Any:
    """Return the figure: speed over servers, and by model."""
    by_fleet, models = tables(path)
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.5), layout="constrained")
    servers = [float(row["servers"]) for row in by_fleet]
    for at, column in enumerate(name for name in by_fleet[0] if name != "servers"):
        left.plot(
            servers,
            [float(row[column]) for row in by_fleet],
            color=PALETTE[at],
            marker=MARKERS[at],
            linestyle=DASHES[at],
            markersize=4,
            label=column.split(",")[0],
        )
    left.set_xscale("log")
    left.set_xticks(servers, [f"{count:,.0f}" for count in servers])
    left.set_xticks([], minor=True)
    left.set_ylim(bottom=0.0)
    left.set_xlabel("Servers")
    left.set_ylabel("Million requests per second")
    left.legend(loc="upper right")
    names = [f"{row['model']} ({row['kind']})" for row in models]
    speeds = [per_s(row) for row in models]
    colors = [BLUE if row["model"] == "engine" else GRAY for row in models]
    right.barh(names, speeds, color=colors, height=0.7)
    for at, speed in enumerate(speeds):
        text = f"{speed / 1e6:.1f} M" if speed > 1e6 else f"{speed / 1e3:.0f} k"
        right.annotate(
            text, (speed, at), (3, 0), textcoords="offset points", va="center", fontsize=6
        )
    right.set_xscale("log")
    right.set_xlim(1e4, 2e8)
    right.set_xticks([1e4, 1e6, 1e8], ["10 k", "1 M", "100 M"])
    right.set_xticks([], minor=True)
    right.invert_yaxis()
    right.grid(axis="y", visible=False)
    right.set_xlabel("Requests per second, 50 servers")
    return figure


def caption(path: Path) -> str:
    """Return what the figure finds."""
    by_fleet, models = tables(path)
    batch = chosen(models, kind="batch 1")
    engine = per_s(chosen(batch, model="engine")[0])
    simpy = per_s(chosen(batch, model="SimPy, all rules")[0])
    column = next(name for name in by_fleet[0] if name != "servers")
    return (
        f"One core simulates {engine / 1e6:.0f} million requests per second through 50 servers, "
        f"{engine / simpy:.0f} times as many as the same rules in SimPy, with the same answers, "
        f"and {float(by_fleet[-1][column]):.0f} million through {int(by_fleet[-1]['servers']):,}."
    )


if __name__ == "__main__":
    sys.exit(main(draw, sys.argv[1:]))
