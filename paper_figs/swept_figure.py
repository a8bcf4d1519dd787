"""Cost and attainment against what an ablation sweeps: a column per panel, a line per policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figure_style import (
    LIMIT,
    MARKERS,
    Row,
    chosen,
    distinct,
    legend_below,
    look,
    plt,
    read_rows,
    use_log_scale,
    values,
)


@dataclass(frozen=True)
class Swept:
    """Which column is swept, its name beside the axis, and which column tells panels apart.

    ``log`` makes the swept axis logarithmic; one without numbers is spaced evenly. ``per_million``
    draws cost per million requests, where the cases have different loads.
    """

    column: str
    label: str
    panel: str | None = None
    panel_title: str = "{}"
    log: bool = False
    per_million: bool = False


def draw_swept(folder: Path, swept: Swept) -> Any:
    """Return the figure of a folder's ``episodes.csv``: cost above, attainment below."""
    rows = read_rows(folder / "episodes.csv")
    panels = distinct(rows, swept.panel) if swept.panel else [""]
    looks = look(distinct(rows, "policy"))
    width = min(7.2, max(4.8, 1.75 * len(panels) + 0.6))
    figure, grid = plt.subplots(
        2,
        len(panels),
        figsize=(width, 3.4),
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, panel in enumerate(panels):
        of_panel = chosen(rows, **{swept.panel: panel}) if swept.panel else rows
        steps = distinct(of_panel, swept.column)
        places = _places(steps, swept)
        for number, (policy, style) in enumerate(looks.items()):
            found = [chosen(of_panel, **{swept.column: step, "policy": policy}) for step in steps]
            marked = {**style, "marker": MARKERS[number % len(MARKERS)], "markersize": 3}
            grid[0, column].plot(
                places, [_cost(some, swept) for some in found], label=policy, **marked
            )
            attained = [values(some, "attainment", 100.0).mean() for some in found]
            grid[1, column].plot(places, attained, **marked)
        grid[0, column].set_title(swept.panel_title.format(panel) if swept.panel else "")
        grid[1, column].axhline(98.0, **LIMIT)
        grid[1, column].set_xlabel(swept.label)
        _mark_steps(grid[1, column], steps, places, swept)
    unit = "USD per million\nrequests" if swept.per_million else "Cost, USD"
    grid[0, 0].set_ylabel(unit)
    grid[1, 0].set_ylabel("Within RT_max, %")
    for axes in grid[0]:
        use_log_scale(axes)
    legend_below(figure, grid[0, 0], columns=3)
    return figure


def _cost(rows: Sequence[Row], swept: Swept) -> float:
    usd = values(rows, "cost_usd")
    if swept.per_million:
        usd = 1e6 * usd / values(rows, "requests")
    return float(usd.mean())


def _places(steps: Sequence[str], swept: Swept) -> np.ndarray:
    if swept.log and all(float(step) > 0.0 for step in steps):
        return np.array([float(step) for step in steps])
    return np.arange(len(steps), dtype=float)


def _mark_steps(axes: Any, steps: Sequence[str], places: np.ndarray, swept: Swept) -> None:
    if swept.log:
        axes.set_xscale("log")
    words = [_short(step) for step in steps]
    slanted = max(map(len, words)) > 6
    axes.set_xticks(
        places, words, rotation=35 if slanted else 0, ha="right" if slanted else "center"
    )
    axes.minorticks_off()


def _short(step: str) -> str:
    try:
        return f"{float(step):g}"
    except ValueError:
        return step


def told_costs(folder: Path) -> str:
    """Return how much dearer each policy is than the first, from the least to the most, in words.

    Costs are means over the seeds, case by case.
    """
    rows = read_rows(folder / "episodes.csv")
    first, *others = distinct(rows, "policy")
    labels = list(rows[0])[: list(rows[0]).index("policy")]
    cases = dict.fromkeys(tuple(row[key] for key in labels) for row in rows)
    told = []
    for policy in others:
        more = []
        for case in cases:
            of_case = chosen(rows, **dict(zip(labels, case, strict=True)))
            usd, base = (
                values(chosen(of_case, policy=name), "cost_usd").mean() for name in (policy, first)
            )
            more.append(100.0 * (usd / base - 1.0))
        told.append(f"{policy} costs {min(more):.0f} to {max(more):.0f} %")
    return f"{' and '.join(told)} more than {first}"


def told_ends(folder: Path, column: str) -> str:
    """Return in which case of a column the first policy costs least, and in which most."""
    rows = read_rows(folder / "episodes.csv")
    first = rows[0]["policy"]
    usd = {
        case: values(chosen(rows, **{column: case}, policy=first), "cost_usd").mean()
        for case in distinct(rows, column)
    }
    least, most = min(usd, key=lambda case: usd[case]), max(usd, key=lambda case: usd[case])
    return (
        f"{first} costs least with '{least}' ({usd[least]:.3g} USD), most with '{most}' "
        f"({usd[most]:.3g})"
    )
