"""What a forecaster costs at equal attainment, from runs at several head-rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from markopt.evaluation.differences import paired_t_interval

Row = dict[str, Any]
WORST, BEST = "last_value", "oracle"
Point = tuple[int, int, float]


def tuned_point(
    attainment: Sequence[float], cost_usd: Sequence[float], target: float
) -> Point | None:
    """Return where on a curve over the head-room ``target`` is attained at the least cost.

    The curve's corners are one run per head-room, in rising order; between neighbours it is
    straight. The point is (corner, next corner, share of the way); None where none attains it.
    """
    found: list[tuple[float, Point]] = [
        (cost, (k, k, 0.0))
        for k, (share, cost) in enumerate(zip(attainment, cost_usd, strict=True))
        if share >= target
    ]
    for k in range(len(attainment) - 1):
        here, there = attainment[k], attainment[k + 1]
        if min(here, there) < target < max(here, there):
            part = (target - here) / (there - here)
            cost = (1.0 - part) * cost_usd[k] + part * cost_usd[k + 1]
            found.append((cost, (k, k + 1, part)))
    return min(found)[1] if found else None


def tuned_headrooms(rows: Sequence[Row], target: float) -> dict[tuple[str, str], set[float]]:
    """Return by policy and forecaster at which of its head-rooms ``target`` costs the least.

    Two where the point lies between them; all where none attains it.
    """
    found = {}
    for pair in dict.fromkeys((row["policy"], row["forecaster"]) for row in rows):
        curve = sorted(
            (float(row["headroom"]), float(row["attainment"]), float(row["cost_usd"]))
            for row in rows
            if (row["policy"], row["forecaster"]) == pair
        )
        headrooms = [headroom for headroom, _, _ in curve]
        point = tuned_point([a for _, a, _ in curve], [c for _, _, c in curve], target)
        corners = range(len(curve)) if point is None else point[:2]
        found[pair] = {headrooms[corner] for corner in corners}
    return found


def worth(rows: Sequence[Row], target: float) -> list[Row]:
    """Return one row per policy and forecaster: its cost where it attains ``target`` at the least.

    Of the head-rooms that all its seeds have, that is the best on the mean over the seeds.
    ``saved_usd`` is what the forecaster costs less than the last value, paired over the seeds that
    both have, with a 95 % interval (Student's t) where there are two or more; ``gap_share`` is the
    saving as a share of perfect foresight's, on the same seeds. Fields are empty where they cannot
    be known.
    """
    table = []
    for policy in _distinct(rows, "policy"):
        of_policy = [row for row in rows if row["policy"] == policy]
        names = _distinct(of_policy, "forecaster")
        groups = {name: [r for r in of_policy if r["forecaster"] == name] for name in names}
        tuned = {name: _tuned(group, target) for name, group in groups.items()}
        costs = {name: by_seed for name, (_, by_seed) in tuned.items()}
        for name, group in groups.items():
            losses = [float(row["pinball"]) for row in group if row["pinball"] not in (None, "")]
            table.append(
                {
                    "policy": policy,
                    "forecaster": name,
                    "target": group[0]["target"],
                    "pinball": round(float(np.mean(losses)), 5) if losses else None,
                    **tuned[name][0],
                    **_against(costs, name),
                }
            )
    return table


def _tuned(rows: Sequence[Row], target: float) -> tuple[Row, dict[Any, float]]:
    """Return the head-room, of those that all seeds have, that attains most cheaply; its costs."""
    seeds = _distinct(rows, "seed")
    by_seed = [{float(row["headroom"]) for row in rows if row["seed"] == seed} for seed in seeds]
    headrooms = sorted(set.intersection(*by_seed))
    shares, costs = (_matrix(rows, key, seeds, headrooms) for key in ("attainment", "cost_usd"))
    empty: Row = dict.fromkeys(("seeds", "headroom", "attainment", "cost_usd"))
    point = tuned_point(shares.mean(axis=0), costs.mean(axis=0), target)
    if point is None:
        return empty, {}
    low, high, part = point

    def at(values: np.ndarray) -> np.ndarray:
        return (1.0 - part) * values[..., low] + part * values[..., high]

    row = {
        "seeds": len(seeds),
        "headroom": round(float(at(np.array(headrooms))), 3),
        "attainment": round(float(at(shares).mean()), 6),
        "cost_usd": round(float(at(costs).mean()), 4),
    }
    return row, dict(zip(seeds, at(costs).tolist(), strict=True))


def _matrix(
    rows: Sequence[Row], key: str, seeds: Sequence[Any], headrooms: Sequence[float]
) -> np.ndarray:
    found = {(row["seed"], float(row["headroom"])): float(row[key]) for row in rows}
    return np.array([[found[seed, headroom] for headroom in headrooms] for seed in seeds])


def _against(costs: Mapping[str, Mapping[Any, float]], name: str) -> Row:
    row: Row = dict.fromkeys(("saved_usd", "ci95_low", "ci95_high", "gap_share"))
    own, worst, best = costs[name], costs.get(WORST, {}), costs.get(BEST, {})
    seeds = [seed for seed in own if seed in worst]
    if not seeds or name == WORST:
        return row
    saved = np.array([worst[seed] - own[seed] for seed in seeds])
    row["saved_usd"] = round(float(saved.mean()), 4)
    if len(saved) > 1:
        low, high = paired_t_interval(saved)
        row["ci95_low"], row["ci95_high"] = round(low, 4), round(high, 4)
    if all(seed in best for seed in seeds):
        gap = float(np.mean([worst[seed] - best[seed] for seed in seeds]))
        row["gap_share"] = round(float(saved.mean()) / gap, 3) if gap else None
    return row


def _distinct(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))
