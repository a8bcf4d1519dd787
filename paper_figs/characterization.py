"""Figure: cost per request of a service on every platform, at low and at high load, and by batch.

Reads result files only (``markopt characterize``):

    python paper_figs/characterization.py results/characterization-inception_bn figure.pdf [CATALOG]
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

from figure_style import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    STYLE,
    Entry,
)
from figure_style import main as draw_to_file
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

ENTRIES = {
    f"characterization_{service}": Entry(
        f"{name} on every platform: cost by load and by batch",
        f"experiments/results/characterization/{service}",
        page,
        f"markopt characterize service={service}",
    )
    for service, name, page in (
        (
            "inception_bn",
            "Inception-BN",
            "characterization.md#inception-bn-98--within-200-ms",
        ),
        (
            "inception_v3",
            "Inception-v3",
            "characterization.md#inception-v3-98--within-500-ms",
        ),
    )
}
MODELS = {
    "CPU": ("CPU instance", BLUE, "o", "-"),
    "GPU": ("GPU instance", GREEN, "s", "--"),
    "CaaS": ("Container", PINK, "D", ":"),
    "FaaS": ("Function", ORANGE, "^", "-."),
}
VERDICTS = {
    "small_cpu": "that small CPUs are cheaper per request {verdict}",
    "gpu": "that a GPU pays off only with batching and load {verdict}",
    "cost_order": "that instances are cheaper than containers and these than functions {verdict}",
}
UNDISCOUNTED = ("on_demand", "container", "function")


def read(folder: Path, catalog: str | None) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the study's document and its rows of one catalogue (the first one by default)."""
    document = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    with (folder / "characterization.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = catalog or rows[0]["catalog"]
    return document, [row for row in rows if row["catalog"] == chosen]


def kind(row: dict[str, str]) -> str:
    """Return which of ``MODELS`` a row belongs to."""
    if row["model"] != "IaaS":
        return row["model"]
    return "CPU" if row["processor"] == "CPU" else "GPU"


def cheapest(rows: list[dict[str, str]], load: str) -> dict[str, dict[str, str]]:
    """Return each platform's cheapest row at a load, among those that meet the SLO."""
    best: dict[str, dict[str, str]] = {}
    for row in rows:
        wanted = row["load"] == load and row["meets_slo"] == "True" and row["usd_per_million"]
        if not wanted or row["purchase"] not in UNDISCOUNTED:
            continue
        held = best.get(row["platform"])
        if held is None or float(row["usd_per_million"]) < float(held["usd_per_million"]):
            best[row["platform"]] = row
    return best


def draw_platforms(axes: Any, rows: list[dict[str, str]], low_rps: float) -> None:
    """Draw cost per million by platform: a lone stream, and a pool at high load."""
    low, high = cheapest(rows, "low"), cheapest(rows, "pool")
    names = sorted({*low, *high}, key=lambda name: _usd(high.get(name)) or _usd(low.get(name)))
    looks = ((low, f"lone stream, {low_rps:.2g}/s", ORANGE, "D"), (high, "high load", BLUE, "o"))
    for name_at, name in enumerate(names):
        if name in low and name in high:
            ends = [_usd(low[name]), _usd(high[name])]
            axes.plot(ends, [name_at, name_at], color="#c5ccd6", linewidth=1, zorder=1)
    for best, label, color, marker in looks:
        for assumed in (False, True):
            some = [name for name in best if (best[name]["confidence"] == "assumed") is assumed]
            axes.scatter(
                [_usd(best[name]) for name in some],
                [names.index(name) for name in some],
                s=22,
                marker=marker,
                facecolors="white" if assumed else color,
                edgecolors=color,
                linewidths=1.2,
                label=None if assumed else label,
                zorder=2,
            )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("USD per million requests")
    plain(axes.xaxis)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, 1.12), ncols=2)


def _usd(row: dict[str, str] | None) -> float:
    return float(row["usd_per_million"]) if row else 0.0


def draw_batches(axes: Any, rows: list[dict[str, str]]) -> None:
    """Draw cost per million at high load by largest batch; thin lines rest on assumed figures."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        wanted = row["load"] == "pool" and row["meets_slo"] == "True" and row["usd_per_million"]
        if wanted and row["purchase"] in UNDISCOUNTED:
            groups.setdefault(row["platform"], []).append(row)
    named: set[str] = set()
    for group in groups.values():
        label, color, marker, line = MODELS[kind(group[0])]
        assumed = group[0]["confidence"] == "assumed"
        axes.plot(
            [int(row["batch_size"]) for row in group],
            [_usd(row) for row in group],
            color=color,
            marker=marker,
            markersize=3.5,
            markerfacecolor="white" if assumed else color,
            linestyle=line,
            linewidth=0.7 if assumed else 1.3,
            label=None if label in named else label,
        )
        named.add(label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    plain(axes.xaxis)
    plain(axes.yaxis)
    axes.set_xlabel("Largest batch")
    axes.set_ylabel("USD per million requests, high load")
    axes.legend(fontsize=7)


def plain(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    document, rows = read(folder, None)
    slo, catalog = document["slo"], rows[0]["catalog"]
    told = [
        VERDICTS[found["key"]].format(
            verdict="is not decided" if found["verdict"] == "not decided" else found["verdict"]
        )
        for found in document["findings"]
        if found["key"] in VERDICTS and found["catalog"] == catalog
    ]
    best = cheapest(rows, "pool")
    name = min(best, key=lambda each: _usd(best[each]))
    return (
        f"{100.0 * slo['sl_min']:g} % within {1000.0 * slo['rt_max_s']:g} ms on {catalog}, each "
        "platform at its cheapest batch that meets the SLO. Cheapest at high load: "
        f"{name} at {_usd(best[name]):.3g} USD per million requests. Of MArk's findings, "
        f"{'; '.join(told)}. Open marks and thin lines rest on assumed figures."
    )


def draw(folder: Path, catalog: str | None = None) -> Any:
    """Return the figure: cost by platform, and by largest batch."""
    document, rows = read(folder, catalog)
    platforms = len({row["platform"] for row in rows if row["purchase"] in UNDISCOUNTED})
    size = (7.2, max(1.0 + 0.17 * platforms, 3.0))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, layout="constrained")
    draw_platforms(left, rows, document["low_rps"])
    draw_batches(right, rows)
    return figure


def main(arguments: list[str]) -> int:
    """Draw from the given result folder into the given file, for the given catalogue."""
    catalog = arguments[2] if len(arguments) == 3 else None
    paths = arguments[:2] if len(arguments) == 3 else arguments
    return draw_to_file(lambda folder: draw(folder, catalog), paths, style=STYLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
