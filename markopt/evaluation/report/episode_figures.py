"""An episode's figures, as Plotly documents made from its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.report import style
from markopt.evaluation.results import EpisodeFiles

if TYPE_CHECKING:
    import pandas as pd

Figure = dict[str, Any]


def hours(episode: EpisodeFiles) -> NDArray[np.float64]:
    """Return the start of each interval, in hours since the evaluated span began."""
    start: NDArray[np.float64] = episode.intervals["start_s"].to_numpy(dtype=np.float64)
    return (start - start[0]) / 3600.0 if len(start) else start


def x_hours(episode: EpisodeFiles) -> list[float | None]:
    """Return the thinned time axis."""
    return style.thinned(hours(episode), how="first", digits=7)


def load(episode: EpisodeFiles) -> Figure:
    """Arrival rate, with the forecast's 90 % band one interval ahead."""
    table, x = episode.intervals, x_hours(episode)
    interval_s = float(episode.summary["span_s"]["interval"])

    def line(column: str, **more: Any) -> Figure:
        values = style.thinned(table[column])
        return {"type": "scatter", "mode": "lines", "x": x, "y": values, **more}

    rate = style.thinned(table["arrivals"] / interval_s)
    hidden = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    data = [
        line("forecast_p05_rps", **hidden),
        line(
            "forecast_p95_rps",
            name="Forecast, 5 to 95 %",
            fill="tonexty",
            fillcolor="rgba(86,180,233,0.35)",
            line={"width": 0},
        ),
        line("forecast_p50_rps", name="Forecast, median", line={"color": style.BLUE, "width": 1.2}),
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Arrivals",
            "x": x,
            "y": rate,
            "line": {"color": style.BLACK, "width": 1.2},
        },
    ]
    return {"data": data, "layout": style.layout("Requests/s", yaxis={"rangemode": "tozero"})}


def fleet(episode: EpisodeFiles, limit: int = style.MAX_POINTS) -> Figure:
    """Billed instances by offer, stacked."""
    x = style.thinned(hours(episode), limit, "first", 7)
    columns = [c for c in episode.intervals.columns if c.startswith("billed:")]
    used = [c for c in columns if episode.intervals[c].to_numpy().any()]
    data = []
    for at, column in enumerate(used):
        shade = style.color(at)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": column.split(":", 1)[1],
                "x": x,
                "y": style.thinned(episode.intervals[column], limit, "first"),
                "stackgroup": "fleet",
                "line": {"width": 0.6, "shape": "hv", "color": shade},
                "fillcolor": shade,
                "fillpattern": {"shape": style.PATTERNS[at // len(style.PALETTE) % 8]},
            }
        )
    return {"data": data, "layout": style.layout("Instances billed", showlegend=True)}


def spill(episode: EpisodeFiles) -> Figure:
    """Requests served by Lambda or refused per second, and functions kept warm."""
    table, x = episode.intervals, x_hours(episode)
    interval_s = float(episode.summary["span_s"]["interval"])
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": x,
            "y": style.thinned(table[column] / scale),
            "line": {"color": shade, "width": 1.3, "dash": dash, "shape": "hv"},
            "yaxis": axis,
        }
        for name, column, scale, shade, dash, axis in (
            ("Spilled to Lambda, per s", "spilled", interval_s, style.ORANGE, "solid", "y"),
            ("Refused, per s", "refused", interval_s, style.RED, "dash", "y"),
            ("Functions kept warm", "warm_functions", 1.0, style.PURPLE, "dot", "y2"),
        )
    ]
    right = {"overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False}
    right["tickmode"] = "auto"  # by itself Plotly puts odd labels beside the left axis's ticks
    right["title"] = {"text": "Warm functions", "font": {"size": 12, "color": style.MUTED}}
    if not table["warm_functions"].any():
        right["range"], right["dtick"] = [0, 1], 1
    sheet = style.layout("Requests/s", yaxis={"rangemode": "tozero"}, yaxis2=right)
    sheet["margin"] = {**sheet["margin"], "r": 56}
    return {"data": data, "layout": sheet}


REGRETS = {
    "realized_greedy_usd": ("Greedy", style.ORANGE, "dot"),
    "realized_plan_usd": ("The plan", style.BLUE, "solid"),
    "hindsight_usd": ("Same planner, demand known", style.GREEN, "dash"),
    "foresight_usd": ("Clairvoyant bound", style.BLACK, "dashdot"),
}
"""Columns of ``regret.csv`` at the demand that came: name, color, dash."""


def regret(episode: EpisodeFiles) -> Figure:
    """Cost of each judged decision over its look-ahead, at the demand that came."""
    table = episode.regret
    if table is None:
        raise ValueError("an episode without judged decisions has no regret to draw")
    begin_s = float(episode.summary["span_s"]["start"])
    hours_in = style.thinned((table["time_s"] - begin_s) / 3600.0, how="first", digits=7)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": hours_in,
            "y": style.thinned(table[column]),
            "line": {"color": shade, "width": 1.4, "dash": dash},
        }
        for column, (name, shade, dash) in REGRETS.items()
        if table[column].notna().any()
    ]
    return {"data": data, "layout": style.layout("USD", yaxis={"rangemode": "tozero"})}


LOSSES = {
    "forecast": "Forecast error",
    "interruptions": "Interruptions",
    "launch_delay": "Launch delay",
    "capacity_profile": "Capacity profile",
    "within_interval": "Within the interval",
    "solver_gap": "Solver gap",
    "rest": "Rules and loop",
    "integrality": "Whole instances",
    "bound_slack": "Slack of the bound",
}
"""Parts of ``attribution.csv`` in words."""

ROOM_INSIDE, ROOM_BESIDE = 0.25, 0.1
"""Shares of the bill that a label needs: within a bar on a narrow screen, and left of one."""


def attribution(episode: EpisodeFiles) -> Figure:
    """From the bill down to the clairvoyant bound, part by part."""
    table = episode.attribution
    if table is None:
        raise ValueError("an episode whose loss was not attributed has no parts to draw")
    bill = float(episode.summary["cost_usd"]["total"])
    usd = [float(value) for value in table["usd"]]
    names = ["Bill", *(LOSSES.get(part, part) for part in table["part"]), "Clairvoyant bound"]
    shown = [bill, *(-value for value in usd), 0.0]
    texts = [bill, *usd, float(episode.summary["clairvoyant_bound_usd"])]
    data = [
        {
            "type": "waterfall",
            "orientation": "h",
            "y": names,
            "x": shown,
            "measure": ["absolute", *(["relative"] * len(usd)), "total"],
            "text": [f"{value:.3g}" if abs(value) >= 0.0005 * bill else "0" for value in texts],
            "textposition": _label_places(bill, usd, texts[-1]),
            "cliponaxis": False,
            "decreasing": {"marker": {"color": style.BLUE}},
            "increasing": {"marker": {"color": style.ORANGE}},
            "totals": {"marker": {"color": style.MUTED}},
            "connector": {"line": {"color": style.GRID, "width": 1}},
            "hovertemplate": "%{y}: %{text} USD<extra></extra>",
        }
    ]
    sheet = style.layout(
        "", x_title="USD", hovermode="closest", showlegend=False, yaxis={"autorange": "reversed"}
    )
    sheet["margin"] = {**sheet["margin"], "t": 12}
    return {"data": data, "layout": sheet}


def _label_places(bill: float, usd: Sequence[float], bound: float) -> list[str]:
    """Return where each bar's label goes: inside a long one, lest it cover the names beside it."""
    places, right = ["inside"], bill
    for value in usd:
        left = right - max(value, 0.0)
        long = abs(value) >= ROOM_INSIDE * bill
        places.append(
            "inside" if long or (value > 0.0 and left < ROOM_BESIDE * bill) else "outside"
        )
        right -= value
    return [*places, "inside" if bound >= ROOM_INSIDE * bill else "outside"]


def cost_by_kind(episode: EpisodeFiles) -> Figure:
    """The bill by kind, as bars."""
    costs = {k: v for k, v in episode.summary["cost_usd"].items() if k != "total"}
    kinds = list(reversed(list(costs)))
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": [style.KIND_LABELS.get(kind, kind) for kind in kinds],
            "x": [costs[kind] for kind in kinds],
            "text": [f"{costs[kind]:.4g}" for kind in kinds],
            "textposition": "auto",
            "marker": {"color": [style.KIND_COLORS.get(kind, style.BLACK) for kind in kinds]},
            "hovertemplate": "%{y}: %{x:.5g} USD<extra></extra>",
        }
    ]
    sheet = style.layout("", x_title="USD", hovermode="closest", showlegend=False)
    sheet["margin"] = {**sheet["margin"], "t": 12}
    return {"data": data, "layout": sheet}


def rolling_attainment(table: pd.DataFrame, width: int) -> NDArray[np.float64]:
    """Return the share of requests within RT_max over the last ``width`` intervals."""
    arrived = table["arrivals"].rolling(width, min_periods=1).sum().to_numpy(dtype=np.float64)
    missed = (table["late"] + table["refused"]).rolling(width, min_periods=1).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        share: NDArray[np.float64] = 1.0 - missed.to_numpy(dtype=np.float64) / arrived
    return share


def attainment(episode: EpisodeFiles) -> Figure:
    """Attainment over the SLO's window and per interval, with the target."""
    table, x = episode.intervals, x_hours(episode)
    slo, interval_s = episode.summary["slo"], float(episode.summary["span_s"]["interval"])
    width = max(round(float(slo["window_s"]) / interval_s), 1)
    single = 100.0 * rolling_attainment(table, 1)
    window = 100.0 * rolling_attainment(table, width)
    target = 100.0 * float(slo["sl_min"])
    low = np.nanmin(window) if np.isfinite(window).any() else target
    floor = max(min(float(low), target) - 2.0, 0.0)
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Worst interval",
            "x": x,
            "y": style.thinned(single, how="min"),
            "line": {"color": style.SKY, "width": 0.8},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"Last {float(slo['window_s']) / 60.0:g} min",
            "x": x,
            "y": style.thinned(window, how="min", digits=6),
            "line": {"color": style.BLUE, "width": 2},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"Target {target:g} %",
            "x": [x[0], x[-1]] if x else [],
            "y": [target, target],
            "line": {"color": style.RED, "width": 1.5, "dash": "dash"},
        },
    ]
    return {
        "data": data,
        "layout": style.layout("% within RT_max", yaxis={"range": [floor, 100.2]}),
    }


def latency(episode: EpisodeFiles, bins: int = 120) -> Figure:
    """Share of requests by response time and path, on a log axis, with RT_max."""
    table = episode.latency
    paths = [c for c in table.columns if c not in ("low_s", "high_s")]
    rt_max_ms = 1000.0 * float(episode.summary["slo"]["rt_max_s"])
    data: list[Figure] = []
    spread = style.log_axis(1.0, 1e3)
    total = float(sum(table[path].sum() for path in paths))
    if total:
        high_ms = 1000.0 * table["high_s"].to_numpy(dtype=np.float64)
        low_ms = np.maximum(1000.0 * table["low_s"].to_numpy(dtype=np.float64), 1e-3)
        edges = np.geomspace(low_ms.min(), high_ms.max(), bins + 1)
        spread = style.log_axis(float(edges[0]), float(edges[-1]))
        for path in paths:
            counts = _rebinned(low_ms, high_ms, table[path].to_numpy(dtype=np.float64), edges)
            if not counts.any():
                continue
            data.append(
                {
                    "type": "bar",
                    "name": style.PATH_LABELS.get(path, path),
                    "x": style.thinned(np.sqrt(edges[:-1] * edges[1:])),
                    "y": style.thinned(100.0 * counts / total),
                    "width": style.thinned(np.diff(edges)),
                    "marker": {"color": style.PATH_COLORS.get(path, style.BLACK)},
                }
            )
    line = {"color": style.RED, "width": 1.5, "dash": "dash"}
    mark = {"type": "line", "x0": rt_max_ms, "x1": rt_max_ms, "yref": "paper", "y0": 0, "y1": 1}
    label = {
        "x": float(np.log10(rt_max_ms)),
        "yref": "paper",
        "y": 1,
        "text": f"RT_max {rt_max_ms:g} ms",
        "showarrow": False,
        "xanchor": "left",
        "font": {"color": style.ALERT},
    }
    sheet = style.layout(
        "% of requests",
        x_title="Response time, ms (log)",
        xaxis=spread,
        barmode="stack",
        shapes=[{**mark, "line": line}],
        annotations=[label],
    )
    return {"data": data, "layout": sheet}


def _rebinned(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    counts: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Spread counts of fine bins over coarser ones, evenly within each on the log axis."""
    knots = np.stack([low, high], axis=1).ravel()
    cumulative = np.cumsum(counts)
    levels = np.stack([cumulative - counts, cumulative], axis=1).ravel()
    below = np.interp(np.log(edges), np.log(knots), levels)
    spread: NDArray[np.float64] = np.diff(below)
    return spread


def planning(episode: EpisodeFiles) -> Figure:
    """Wall-clock time and relative gap of each decision, one above the other."""
    x = x_hours(episode)
    wall_ms = 1000.0 * np.asarray(episode.timing["plan_wall_s"], dtype=np.float64)
    gap = 100.0 * episode.intervals["gap"].to_numpy(dtype=np.float64)
    data: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Planning time, ms",
            "x": x,
            "y": style.thinned(wall_ms, how="max"),
            "line": {"color": style.BLUE, "width": 1},
        }
    ]
    proven = bool(np.isfinite(gap).any())
    if proven:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "Gap, %",
                "x": x,
                "y": style.thinned(gap, how="max"),
                "line": {"color": style.GREEN, "width": 1},
                "yaxis": "y2",
            }
        )
    small = {"font": {"size": 12, "color": style.MUTED}}
    more: dict[str, Any] = {"yaxis": {"rangemode": "tozero"}}
    if proven:
        more["yaxis"]["domain"] = [0.55, 1.0]
        lower = {"domain": [0.0, 0.42], "rangemode": "tozero", "anchor": "x"}
        more["yaxis2"] = {**lower, "title": {**small, "text": "Gap, %"}}
        more["xaxis"] = {"anchor": "y2"}
    return {"data": data, "layout": style.layout("Time, ms", **more)}
