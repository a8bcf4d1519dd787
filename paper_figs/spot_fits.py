"""Figure: spot markets as recorded, and as the fitted processes make them.

Reads the result file of ``experiments/fit_spot_markets.py`` only:

    python paper_figs/spot_fits.py results/spot_fits/fits.json docs/images/spot_fits.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from figure_style import STYLE
from matplotlib import pyplot as plt

BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#5f6b7a"
POOLS = {
    "r3.large/us-east-1a": (BLUE, "o"),
    "g2.2xlarge/us-east-1e": (ORANGE, "s"),
    "c3.xlarge/us-east-1a": (GREEN, "^"),
}
CAPTION = (
    "Spells of capacity have heavy tails: of the three families lognormal is closest, exponential "
    "far too light (a, b). Of the bidding era the\nfitted processes (lines) keep prices by share "
    "of time (c) and, up to the on-demand price, rates of interruption within a factor of two "
    "(d),\nbut not what happens within a spike (c3.xlarge at 2), and they forget faster (e). In "
    "2021 no price came near on demand (f)."
)


def draw_survival(axes: Any, curves: dict[str, Any], title: str) -> None:
    """Draw survival of spells: observed, and each family's fit."""
    hours = np.array(curves["times_s"]) / 3600.0
    axes.loglog(hours, curves["observed"], color="black", lw=1.8, label="observed")
    for family, color, line in (
        ("exponential", GREY, ":"),
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


def main(arguments: list[str]) -> int:
    """Draw the figure; PDF or SVG by the target's ending (PNG to look at)."""
    if len(arguments) != 2:
        print("Usage: spot_fits.py FITS.json FIGURE.{svg,pdf,png}")
        return 2
    document = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    target = Path(arguments[1])
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(2, 3, figsize=(10.0, 6.4))
        draw_survival(axes[0, 0], document["durations"]["v100_1 down"], "(a) V100: outages")
        draw_survival(
            axes[0, 1], document["durations"]["v100_1 up"], "(b) V100: spells of capacity"
        )
        draw_quantiles(axes[0, 2], document)
        draw_rates(axes[1, 0], document)
        draw_autocorrelation(axes[1, 1], document)
        draw_smooth(axes[1, 2], document)
        figure.tight_layout(rect=(0.0, 0.09, 1.0, 1.0))
        figure.text(0.01, 0.01, CAPTION, fontsize=8, va="bottom")
        metadata = {"Date": None} if target.suffix == ".svg" else {"CreationDate": None}
        figure.savefig(target, metadata=metadata if target.suffix != ".png" else None, dpi=130)
        plt.close(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
