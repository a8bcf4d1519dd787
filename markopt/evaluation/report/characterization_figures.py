"""A characterisation's figures: cost by platform and load, by batch, and time to scale."""

from __future__ import annotations

from collections.abc import Sequence

from markopt.evaluation.characterization.study import Row
from markopt.evaluation.characterization.tables import Line, lines
from markopt.evaluation.report import style
from markopt.evaluation.report.episode_figures import Figure

LOADS = (
    ("low", "A lone stream", style.ORANGE, "diamond"),
    ("pool", "High load", style.BLUE, "circle"),
)
MODEL_COLORS = {"IaaS": style.BLUE, "CaaS": style.GREEN, "FaaS": style.ORANGE}
_ROW_PX = 19
_UNDISCOUNTED = ("on_demand", "container", "function")


def cost_by_platform(rows: Sequence[Row]) -> Figure:
    """Dots of cost per million requests, at low and at high load.

    Open ones rest on assumptions, crosses miss the SLO.
    """
    some = list(reversed(lines(rows)))
    labels = [f"{line.pool.platform}, {line.pool.purchase}" for line in some]
    data: list[Figure] = []
    costs: list[float] = []
    for load, name, shade, symbol in LOADS:
        picked = [line.low if load == "low" else line.pool for line in some]
        points = [
            (label, row)
            for label, row in zip(labels, picked, strict=True)
            if row is not None and row.usd_per_million is not None
        ]
        costs += [row.usd_per_million or 0.0 for _, row in points]
        symbols = [_symbol(symbol, row) for _, row in points]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [row.usd_per_million for _, row in points],
                "y": [label for label, _ in points],
                "text": [f"batch {row.batch_size}, {row.confidence}" for _, row in points],
                "marker": {
                    "color": shade,
                    "size": 9,
                    "symbol": symbols,
                    "line": {"width": 2, "color": shade},
                },
                "hovertemplate": "%{y}: %{x:.4g} USD, %{text}<extra></extra>",
            }
        )
    sheet = style.layout(
        "",
        x_title="USD per million requests (log)",
        height=110 + _ROW_PX * len(labels),
        hovermode="closest",
        yaxis={"categoryorder": "array", "categoryarray": labels, "dtick": 1},
        xaxis=style.log_axis(min(costs), max(costs)) if costs else {},
    )
    return {"data": data, "layout": sheet}


def _symbol(symbol: str, row: Row) -> str:
    if not row.meets_slo:
        return "x-thin-open"
    return f"{symbol}-open" if row.confidence == "assumed" else symbol


def cost_by_batch(rows: Sequence[Row]) -> Figure:
    """Cost per million requests at high load by largest batch, one line per platform."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.load == "pool" and row.purchase in _UNDISCOUNTED and row.usd_per_million:
            groups.setdefault(row.platform, []).append(row)
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": platform,
            "x": [row.batch_size for row in group],
            "y": [row.usd_per_million for row in group],
            "marker": {"size": 6},
            "line": {
                "color": style.color(at),
                "width": 1.6,
                "dash": style.DASHES[at // len(style.PALETTE) % len(style.DASHES)],
            },
        }
        for at, (platform, group) in enumerate(groups.items())
    ]
    costs = [row.usd_per_million or 0.0 for group in groups.values() for row in group]
    batches = sorted({row.batch_size for group in groups.values() for row in group})
    sheet = style.layout(
        "USD per million requests (log)",
        x_title="Largest batch (log)",
        height=420,
        hovermode="closest",
        legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"},
        xaxis={"type": "log", "tickvals": batches, "ticktext": [str(b) for b in batches]},
        yaxis=style.log_axis(min(costs), max(costs)) if costs else {},
    )
    return {"data": data, "layout": sheet}


def latency_against_cost(rows: Sequence[Row]) -> Figure:
    """Scatter of the lone request's 98th percentile over the cost at high load."""
    some = [line for line in lines(rows) if line.pool.purchase in _UNDISCOUNTED]
    data: list[Figure] = []
    for model, shade in MODEL_COLORS.items():
        points = [line for line in some if line.pool.model == model and _complete(line)]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": model,
                "x": [line.pool.usd_per_million for line in points],
                "y": [1000.0 * _low_p98_s(line) for line in points],
                "text": [line.pool.platform for line in points],
                "marker": {
                    "size": 10,
                    "color": shade,
                    "symbol": ["circle" if p.cheapest_known else "circle-open" for p in points],
                    "line": {"width": 2, "color": shade},
                },
                "hovertemplate": "%{text}: %{x:.4g} USD, %{y:.4g} ms<extra></extra>",
            }
        )
    xs = [x for trace in data for x in trace["x"]]
    ys = [y for trace in data for y in trace["y"]]
    sheet = style.layout(
        "98th percentile at low load, ms (log)",
        x_title="USD per million at high load (log)",
        height=420,
        hovermode="closest",
        xaxis=style.log_axis(min(xs), max(xs)) if xs else {},
        yaxis=style.log_axis(min(ys), max(ys)) if ys else {},
    )
    return {"data": data, "layout": sheet}


def _complete(line: Line) -> bool:
    return line.pool.usd_per_million is not None and _low_p98_s(line) > 0.0


def _low_p98_s(line: Line) -> float:
    return line.low.p98_s or 0.0 if line.low is not None else 0.0


def time_to_scale(rows: Sequence[Row]) -> Figure:
    """Bars of the time until new capacity serves; hatched ones are assumed."""
    bars: dict[str, Row] = {}
    for row in rows:
        bars.setdefault(f"{row.family}, {row.purchase}", row)
        if row.ready_s < bars[f"{row.family}, {row.purchase}"].ready_s:
            bars[f"{row.family}, {row.purchase}"] = row
    names = list(reversed(bars))
    found = [bars[name] for name in names]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": names,
            "x": [row.ready_s for row in found],
            "text": [f"{row.ready_s:g} s, {row.ready_confidence}" for row in found],
            # Beside hatched bars, on which nothing can be read.
            "textposition": [
                "outside" if row.ready_confidence == "assumed" else "auto" for row in found
            ],
            "cliponaxis": False,
            "marker": {
                "color": [MODEL_COLORS[row.model] for row in found],
                "pattern": {
                    "shape": ["/" if row.ready_confidence == "assumed" else "" for row in found]
                },
            },
            "hovertemplate": "%{y}: %{x:g} s<extra></extra>",
        }
    ]
    sheet = style.layout("", x_title="Seconds", height=420, hovermode="closest", showlegend=False)
    return {"data": data, "layout": sheet}
