"""The look that all figures share: colors that color-blind readers tell apart, quiet axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DECADES_IN_FULL = 4.0
"""Decades of a logarithmic axis up to which 2 and 5 are labelled too."""

MAX_POINTS = 2000
"""Points that a trace may hold: more than a screen can show."""

INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e4e8ee"
ALERT = "#a63f00"
"""Red of words: darker than that of lines, which is too pale to read."""

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#f0e442",
    "#3b3f46",
)
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, BLACK)
"""Okabe and Ito's palette, which stays distinct under the common color-vision deficiencies."""

DARK_SHADES = {INK: "#e3e8ee", MUTED: "#a4afbb", GRID: "#333c47", BLACK: "#c3ccd6", BLUE: "#2488cb"}
DARK_SHADES |= {ALERT: "#f0925c", "#ffffff": "#1b2128"}
"""What a page shows instead of its darkest colors where the reader's screen is dark."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
PATTERNS = ("", "/", "x", ".", "\\", "+", "-", "|")
KIND_COLORS = {
    "on_demand": BLUE,
    "spot": SKY,
    "burstable": GREEN,
    "container": YELLOW,
    "lambda": ORANGE,
    "warm": PURPLE,
}
KIND_LABELS = {
    "on_demand": "On demand",
    "spot": "Spot",
    "burstable": "Burstable",
    "container": "Containers",
    "lambda": "Lambda",
    "warm": "Warm functions",
}
PATH_COLORS = {"instances": BLUE, "lambda": ORANGE, "lambda_cold": RED}
PATH_LABELS = {
    "instances": "Instances",
    "lambda": "Lambda, warm",
    "lambda_cold": "Lambda, cold start",
}


def color(index: int) -> str:
    """Return the palette's color of that place, from the start again after the last."""
    return PALETTE[index % len(PALETTE)]


def layout(y_title: str, *, x_title: str = "Hours", height: int = 320, **more: Any) -> Any:
    """Return a figure's layout; ``more`` overrides single entries."""
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
        "automargin": True,
        "title": {"font": {"size": 12, "color": MUTED}},
    }
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 40, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {**axis["title"], "text": x_title}},  # type: ignore[dict-item]
        "yaxis": {**axis, "title": {**axis["title"], "text": y_title}},  # type: ignore[dict-item]
        "yaxis2": {**axis, "title": {**axis["title"]}},  # type: ignore[dict-item]
        "xaxis2": {**axis},
    }
    for key, value in more.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    used = {key for key in ("xaxis2", "yaxis2") if key not in more}
    return {key: value for key, value in base.items() if key not in used}


def log_axis(low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis with whole labels from low to high.

    At 1, 2 and 5 of every decade; of more than four decades at 1 alone, since labels would touch.
    Plotly's own labels give the digit alone between decades: a 5 that means 50.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if math.log10(high / low) <= MAX_DECADES_IN_FULL else (1,)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def buckets(count: int, limit: int = MAX_POINTS) -> NDArray[np.int64]:
    """Return where each of at most ``limit`` equal buckets of ``count`` points starts."""
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    width = -(-count // limit)
    return np.arange(0, count, width, dtype=np.int64)


def thinned(
    values: Any, limit: int = MAX_POINTS, how: str = "mean", digits: int = 5
) -> list[float | None]:
    """Return at most ``limit`` points: each bucket's ``mean``, ``max``, ``min`` or ``first``.

    Rounded to ``digits`` significant digits, so that a page stays small; NaN becomes None.
    """
    array = np.asarray(values, dtype=np.float64)
    starts = buckets(len(array), limit)
    if len(starts) < len(array):
        if how == "first":
            array = array[starts]
        elif how == "mean":
            sizes = np.diff(np.append(starts, len(array)))
            array = np.add.reduceat(array, starts) / sizes
        else:
            array = (np.maximum if how == "max" else np.minimum).reduceat(array, starts)
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in array]
