"""A backtest's figures: loss and coverage by step, PIT, reliability, forecasts against truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markopt.evaluation.backtest.results import BacktestFiles
from markopt.evaluation.report import style
from markopt.evaluation.report.episode_figures import Figure

TARGET = {"color": style.MUTED, "width": 1, "dash": "dot"}


def _line(at: int) -> dict[str, Any]:
    return {"color": style.color(at), "width": 1.8, "dash": style.DASHES[at % len(style.DASHES)]}


def _by_name(
    files: BacktestFiles, points: Callable[[str], tuple[Sequence[Any], Sequence[Any]]]
) -> list[Figure]:
    data: list[Figure] = []
    for at, name in enumerate(files.document["forecasters"]):
        xs, ys = points(name)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": list(xs),
                "y": list(ys),
                "line": _line(at),
            }
        )
    return data


def _steps(files: BacktestFiles, key: str, factor: float = 1.0) -> list[Figure]:
    def points(name: str) -> tuple[list[float], list[float | None]]:
        rows = [row for row in files.steps if row["forecaster"] == name]
        return (
            [row["lead_s"] / 60.0 for row in rows],
            [None if row[key] is None else factor * row[key] for row in rows],
        )

    return _by_name(files, points)


def loss_by_step(files: BacktestFiles) -> Figure:
    """Mean pinball loss of log(1 + rate) by minutes ahead."""
    sheet = style.layout(
        "Pinball loss of log(1 + rate)", x_title="Minutes ahead", yaxis={"rangemode": "tozero"}
    )
    return {"data": _steps(files, "pinball_log"), "layout": sheet}


def coverage_by_step(files: BacktestFiles) -> Figure:
    """Share of realised rates within the 90 % band, by minutes ahead."""
    data = _steps(files, "coverage_90", 100.0)
    leads = [row["lead_s"] / 60.0 for row in files.steps]
    band = {
        "type": "rect",
        "x0": min(leads),
        "x1": max(leads),
        "y0": 88,
        "y1": 92,
        "fillcolor": style.GRID,
        "opacity": 0.7,
        "line": {"width": 0},
        "layer": "below",
    }
    sheet = style.layout("Within the 90 % band, %", x_title="Minutes ahead", shapes=[band])
    return {"data": data, "layout": sheet}


def pit(files: BacktestFiles) -> Figure:
    """Density of the probability at which forecasts place what was realised."""

    def points(name: str) -> tuple[list[float], list[float | None]]:
        shares = files.document["forecasters"][name]["pit"]
        bins = len(shares)
        edges = [at / bins for at in range(bins + 1)]
        return edges, [None if v is None else v * bins for v in (*shares, shares[-1])]

    data = _by_name(files, points)
    for trace in data:
        trace["line"]["shape"] = "hv"
    sheet = style.layout(
        "Density; 1 where honest",
        x_title="Probability of the realised rate",
        yaxis={"rangemode": "tozero"},
        shapes=[{"type": "line", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": TARGET}],
    )
    return {"data": data, "layout": sheet}


def reliability(files: BacktestFiles) -> Figure:
    """Share of realised rates at or below each quantile, minus its level."""

    def points(name: str) -> tuple[list[float], list[float | None]]:
        found = files.document["forecasters"][name]["reliability"]
        levels = [float(level) for level in found]
        return levels, [
            None if v is None else 100.0 * (v - level)
            for level, v in zip(levels, found.values(), strict=True)
        ]

    data = _by_name(files, points)
    sheet = style.layout(
        "Realised at or below it, minus level, %",
        x_title="Level of the quantile",
        shapes=[{"type": "line", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": TARGET}],
    )
    return {"data": data, "layout": sheet}


def stretch(files: BacktestFiles, name: str) -> Figure:
    """What one forecaster said half a horizon ahead, with its 90 % band, against the truth."""
    at = list(files.document["forecasters"]).index(name)
    rows = [row for row in files.stretch if row["forecaster"] == name]
    hours = [row["time_s"] / 3600.0 for row in rows]

    def trace(label: str, key: str, **more: Any) -> Figure:
        base = {"type": "scatter", "mode": "lines", "name": label, "x": hours}
        return {**base, "y": style.thinned([_nan(row[key]) for row in rows]), **more}

    shade = style.color(at)
    data = [
        trace("95 %", "p95_rps", line={"width": 0}, showlegend=False),
        trace(
            "90 % band",
            "p05_rps",
            line={"width": 0},
            fill="tonexty",
            fillcolor=f"{shade}33",
        ),
        trace("Median", "p50_rps", line={"color": shade, "width": 1.4}),
        trace("Realised", "realized_rps", line={"color": style.BLACK, "width": 1.4}),
    ]
    return {"data": data, "layout": style.layout("Requests/s", x_title="Hours of the test")}


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
