"""A comparison's figures: cost against attainment, cost over time, fleets side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from markopt.evaluation.report import style
from markopt.evaluation.report.episode_figures import Figure, fleet, x_hours
from markopt.evaluation.results import EpisodeFiles

FLEET_POINTS = 400
FAR_ABOVE = 4.0
LOG_FROM_RATIO = 20.0


def by_policy(episodes: Sequence[EpisodeFiles]) -> dict[str, list[EpisodeFiles]]:
    """Return the episodes by policy, in the order in which the policies first appear."""
    groups: dict[str, list[EpisodeFiles]] = {}
    for episode in episodes:
        groups.setdefault(str(episode.summary["policy"]), []).append(episode)
    return groups


def cost_against_attainment(
    episodes: Sequence[EpisodeFiles], front: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """Scatter of cost over attainment, one point per episode, with the target.

    ``front`` are the means of the policies that no other one beats in both; a line joins them.
    """
    data: list[Figure] = []
    symbols = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")
    for at, (policy, group) in enumerate(by_policy(episodes).items()):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": policy,
                "x": [100.0 * e.summary["slo"]["attainment"] for e in group],
                "y": [e.summary["cost_usd"]["total"] for e in group],
                "text": [f"seed {e.summary['seed']}" for e in group],
                "cliponaxis": False,
                "marker": {
                    "size": 13,
                    "color": style.color(at),
                    # Open, so that policies that coincide remain to be seen.
                    "symbol": f"{symbols[at % len(symbols)]}-open",
                    "line": {"width": 2.5},
                },
                "hovertemplate": f"{policy}, %{{text}}: %{{x:.3f}} %, "
                "%{y:.4g} USD<extra></extra>",
            }
        )
    best = sorted((p for p in front if not p["dominated_by"]), key=lambda p: p["attainment"])
    if len(best) > 1:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "front",
                "x": [100.0 * point["attainment"] for point in best],
                "y": [point["cost_usd"] for point in best],
                "line": {"color": style.MUTED, "width": 1.5, "shape": "vh"},
                "hoverinfo": "skip",
            }
        )
    target = 100.0 * float(episodes[0].summary["slo"]["sl_min"])
    mark = {"type": "line", "x0": target, "x1": target, "yref": "paper", "y0": 0, "y1": 1}
    costs = [e.summary["cost_usd"]["total"] for e in episodes]
    log = min(costs) > 0.0 and max(costs) > LOG_FROM_RATIO * min(costs)
    bounds = [b for e in episodes if (b := e.summary["clairvoyant_bound_usd"]) is not None]
    shapes: list[Any] = [{**mark, "line": {"color": style.RED, "width": 1.5, "dash": "dash"}}]
    notes = [_note(f" target {target:g} %", x=target, y=1, yref="paper", xanchor="left")]
    notes[0]["yanchor"] = "top"
    if bounds:
        level = float(np.mean(bounds))
        flat = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level}
        shapes.append({**flat, "line": {"color": style.MUTED, "width": 1, "dash": "dot"}})
        height = float(np.log10(level)) if log else level
        notes.append(_note("clairvoyant bound", x=0.0, xref="paper", y=height, xanchor="left"))
    sheet = style.layout(
        "Cost, USD (log)" if log else "Cost, USD",
        x_title="Requests within RT_max, %",
        height=400,
        hovermode="closest",
        yaxis=style.log_axis(min([*costs, *bounds]), max(costs))
        if log
        else {"rangemode": "tozero"},
        shapes=shapes,
        annotations=notes,
    )
    return {"data": data, "layout": sheet}


def _note(text: str, **more: Any) -> Figure:
    font = {"color": style.MUTED, "size": 11}
    return {"text": text, "showarrow": False, "yanchor": "bottom", "font": font, **more}


def cost_over_time(episodes: Sequence[EpisodeFiles]) -> Figure:
    """Cumulative bill of each policy's first episode."""
    data = []
    for at, (policy, group) in enumerate(by_policy(episodes).items()):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": policy,
                "x": x_hours(group[0]),
                "y": style.thinned(group[0].intervals["bill_usd"], how="first"),
                "line": {
                    "color": style.color(at),
                    "width": 2,
                    "dash": style.DASHES[at % len(style.DASHES)],
                },
            }
        )
    return {"data": data, "layout": style.layout("Bill so far, USD", height=360)}


def cost_by_kind(episodes: Sequence[EpisodeFiles]) -> Figure:
    """Mean bill of each policy, stacked by kind."""
    groups = by_policy(episodes)
    policies = list(reversed(list(groups)))
    kinds = [k for k in episodes[0].summary["cost_usd"] if k != "total"]
    data = []
    for kind in kinds:
        means = [
            float(np.mean([e.summary["cost_usd"].get(kind, 0.0) for e in groups[policy]]))
            for policy in policies
        ]
        if any(means):
            data.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": style.KIND_LABELS.get(kind, kind),
                    "y": policies,
                    "x": means,
                    "marker": {"color": style.KIND_COLORS.get(kind, style.BLACK)},
                    "hovertemplate": f"%{{y}}, {kind}: %{{x:.4g}} USD<extra></extra>",
                }
            )
    sheet = style.layout("", x_title="USD", barmode="stack", hovermode="closest", height=400)
    return {"data": data, "layout": sheet}


def fleets(episodes: Sequence[EpisodeFiles]) -> dict[str, Figure]:
    """Billed instances by offer, one figure per policy, in the same colors.

    All are on one scale, but those whose peak lies far above the others' are on their own.
    """
    first = {policy: group[0] for policy, group in by_policy(episodes).items()}
    figures = {policy: fleet(episode, FLEET_POINTS) for policy, episode in first.items()}
    names = sorted({trace["name"] for f in figures.values() for trace in f["data"]})
    peaks = {policy: max(_stacked_peak(figure), 1.0) for policy, figure in figures.items()}
    usual = [
        peak for peak in peaks.values() if peak <= FAR_ABOVE * float(np.median([*peaks.values()]))
    ]
    for policy, figure in figures.items():
        figure["layout"]["height"] = 260
        figure["layout"]["yaxis"]["range"] = [0, 1.05 * max(*usual, peaks[policy], 0.0)]
        for trace in figure["data"]:
            shade = style.color(names.index(trace["name"]))
            trace["fillcolor"] = shade
            trace["line"]["color"] = shade
    return figures


def _stacked_peak(figure: Figure) -> float:
    rows = [np.array(trace["y"], dtype=np.float64) for trace in figure["data"]]
    return float(np.sum(rows, axis=0).max()) if rows and len(rows[0]) else 0.0
