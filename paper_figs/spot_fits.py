"""Figure: spot markets as recorded, and as the fitted processes make them.

Reads the result file of ``experiments/fit_spot_markets.py`` only:

    python paper_figs/spot_fits.py results/spot_fits/fits.json docs/images/spot_fits.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import BLUE, GREEN, MUTED, ORANGE, STYLE, Entry
from figure_style import main as draw_to_file
from matplotlib import pyplot as plt

ENTRIES = {
    "spot_fits": Entry(
        "Spot markets as recorded, and as the fitted processes make them",
        "experiments/results/spot_fits/fits.json",
        "markets.md#5-the-fits",
        "python experiments/fit_spot_markets.py",
    )
}
POOLS = {
    "r3.large/us-east-1a": (BLUE, "o"),
    "g2.2xlarge/us-east-1e": (ORANGE, "s"),
    "c3.xlarge/us-east-1a": (GREEN, "^"),
}


def draw_survival(axes: Any, curves: dict[str, Any], title: str) -> None:
    """Draw survival of spells: observed, and each family's fit."""
    hours = np.array(curves["times_s"]) / 3600.0
    axes.loglog(hours, curves["observed"], color="black", lw=1.8, label="observed")
    for family, color, line in (
        ("exponential", MUTED, ":"),
        ("weibull", ORANGE, "--"),
        ("lognormal", BLUE, "-"),
    ):
        axes.loglog(hours, curves[family], color=color, linestyle=line, lw=1.2, label=family)
    axes.set(ylim=(3e-4, 1.3), xlabel="duration (h)", ylabel="share longer", title=title)
    axes.legend(loc="lower left")


def draw_rates(axes: Any, document: dict[str, Any]) -> None:
    """Draw interruption rates over the maximum price: marks observed, lines fitted."""
    for name, (color, marker) in POOLS.items():
        pool = document["prices_2015"][name]
        for key, look in (
            ("observed", {"marker": marker, "linestyle": "none"}),
            ("fitted", {"linestyle": "-"}),
        ):
            axes.loglog(
                document["maxima"],
                np.maximum(pool[key]["per_h"], 1e-3),
                color=color,
                label=name if key == "observed" else None,
                **look,
            )
    axes.set(
        xlabel="maximum price (multiples of on demand)",
        ylabel="interruptions per hour",
        title="(d) 2015: rates of interruption",
    )
    axes.set_xticks(document["maxima"], [f"{m:g}" for m in document["maxima"]])
    axes.minorticks_off()
    axes.legend(loc="lower left", fontsize=6.5)


def draw_quantiles(axes: Any, document: dict[str, Any]) -> None:
    """Draw the price's quantiles by time: marks observed, lines fitted."""
    shares = [1, *range(5, 96, 5), 99]
    for name, (color, marker) in POOLS.items():
        pool = document["prices_2015"][name]
        axes.semilogy(shares, pool["observed"]["quantiles"], marker, color=color, ms=3, label=name)
        axes.semilogy(shares, pool["fitted"]["quantiles"], "-", color=color)
    axes.set(
        xlabel="share of time (%)",
        ylabel="price (multiples of on demand)",
        title="(c) 2015: prices (marks: recorded)",
    )
    axes.legend(loc="upper left", fontsize=6.5)


def draw_autocorrelation(axes: Any, document: dict[str, Any]) -> None:
    """Draw the autocorrelation of the log price: marks observed, lines fitted."""
    for name, (color, marker) in POOLS.items():
        pool = document["prices_2015"][name]
        hours = np.array(pool["lags_s"]) / 3600.0
        axes.semilogx(hours, pool["autocorrelation"], marker, color=color)
        axes.semilogx(hours, pool["autocorrelation_fitted"], "-", color=color)
    axes.set(
        xlabel="lag (h)",
        ylabel="autocorrelation of log price",
        ylim=(-0.1, 1.0),
        title="(e) 2015: memory",
    )


def draw_smooth(axes: Any, document: dict[str, Any]) -> None:
    """Draw the spread of prices of the smooth era by type: zones observed, and the fit."""
    types = document["prices_2021"]
    for at, (name, kind) in enumerate(types.items()):
        for row in kind["observed"]:
            axes.plot([row[0], row[-1]], [at + 0.15] * 2, color="black", lw=0.8, marker="|", ms=4)
        fitted = kind["fitted"]
        axes.plot([fitted[0], fitted[-1]], [at - 0.2] * 2, color=BLUE, lw=2, marker=".", ms=3)
        axes.text(
            -0.02,
            at,
            name,
            ha="right",
            va="center",
            fontsize=6.5,
            transform=axes.get_yaxis_transform(),
        )
    axes.set_yticks([])
    axes.plot([], [], color="black", lw=0.8, marker="|", label="recorded, by zone")
    axes.plot([], [], color=BLUE, lw=2, label="fitted")
    axes.set(
        xlabel="price, 1 to 99 % (multiples of on demand)", title="(f) 2021: spread in three months"
    )
    axes.legend(loc="upper right", fontsize=6.5)


def caption(path: Path) -> str:
    """Return what the figure finds."""
    document = json.loads(path.read_text(encoding="utf-8"))
    at = document["maxima"].index(1.0)
    factors = []
    for name in POOLS:
        pool = document["prices_2015"][name]
        observed, fitted = pool["observed"]["per_h"][at], pool["fitted"]["per_h"][at]
        if observed and fitted:
            factors.append(max(observed / fitted, fitted / observed))
    dearest = max(row[-1] for kind in document["prices_2021"].values() for row in kind["observed"])
    return (
        "Spells of capacity have heavy tails: of the three families lognormal is closest, "
        "exponential far too light (a, b). Of the bidding era the fitted processes (lines) keep "
        "prices by share of time (c) and, at a maximum of the on-demand price, rates of "
        f"interruption within a factor of {max(factors):.1f} (d), but not what happens within a "
        "spike, and they forget faster (e). In 2021 no price came near on demand: 99 % lay below "
        f"{dearest:.2f} of it (f)."
    )


def draw(path: Path) -> Any:
    """Return the figure: capacity, prices, interruptions and memory, recorded and fitted."""
    document = json.loads(path.read_text(encoding="utf-8"))
    figure, axes = plt.subplots(2, 3, figsize=(10.0, 5.8), layout="constrained")
    draw_survival(axes[0, 0], document["durations"]["v100_1 down"], "(a) V100: outages")
    draw_survival(axes[0, 1], document["durations"]["v100_1 up"], "(b) V100: spells of capacity")
    draw_quantiles(axes[0, 2], document)
    draw_rates(axes[1, 0], document)
    draw_autocorrelation(axes[1, 1], document)
    draw_smooth(axes[1, 2], document)
    return figure


def main(arguments: list[str]) -> int:
    """Draw from the given file of fits into the given file."""
    return draw_to_file(draw, arguments, style=STYLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
