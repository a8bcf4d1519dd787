"""What a forecaster costs at equal attainment, from runs at several head-rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from markopt.evaluation.differences import paired_t_interval

Row = dict[str, Any]
WORST, BEST = "last_value", "oracle"
EQUAL_ATTAINMENT = (0.98, 0.999)


def cost_at(attainment: Sequence[float], cost_usd: Sequence[float], target: float) -> float | None:
    """Return the least cost at which a curve over the head-room attains ``target``.

    Runs are points, one per head-room in rising order; between neighbours the curve is straight.
    None where it never gets there.
    """
    found = [cost for share, cost in zip(attainment, cost_usd, strict=True) if share >= target]
    for k in range(len(attainment) - 1):
        low, high = sorted(((attainment[k], cost_usd[k]), (attainment[k + 1], cost_usd[k + 1])))
        if low[0] < target <= high[0]:
            part = (target - low[0]) / (high[0] - low[0])
            found.append(low[1] + part * (high[1] - low[1]))
    return min(found, default=None)


def worth(rows: Sequence[Row], targets: Sequence[float]) -> list[Row]:
    """Return one row per policy, attainment and forecaster, costs over the seeds.

    ``gap_share`` is (last value - forecaster) / (last value - perfect foresight) of the mean costs;
    ``saved_usd`` is what the forecaster costs less than the last value, paired by seed, with a 95 %
    interval (Student's t) where there are two seeds or more. Fields are empty where a forecaster
    does not attain the target with every seed.
    """
    table = []
    for policy in _distinct(rows, "policy"):
        for target in targets:
            names = _distinct(rows, "forecaster")
            costs = {name: _costs(rows, policy, name, target) for name in names}
            for name in names:
                known = [r for r in rows if r["policy"] == policy and r["forecaster"] == name]
                entry = {"policy": policy, "attainment": target, "forecaster": name}
                entry |= {key: known[0][key] for key in ("target",)}
                losses = [float(r["pinball"]) for r in known if r["pinball"] not in (None, "")]
                entry["pinball"] = round(float(np.mean(losses)), 5) if losses else None
                table.append({**entry, **_against(costs, name)})
    return table


def _costs(rows: Sequence[Row], policy: str, name: str, target: float) -> np.ndarray | None:
    """Return the cost at equal attainment by seed, None where a seed does not get there."""
    found = []
    for seed in _distinct(rows, "seed"):
        curve = [
            (float(r["headroom"]), float(r["attainment"]), float(r["cost_usd"]))
            for r in rows
            if (r["policy"], r["forecaster"], r["seed"]) == (policy, name, seed)
        ]
        curve.sort()
        found.append(cost_at([a for _, a, _ in curve], [c for _, _, c in curve], target))
    return None if None in found else np.array(found, dtype=np.float64)


def _against(costs: dict[str, np.ndarray | None], name: str) -> Row:
    row: Row = dict.fromkeys(("cost_usd", "saved_usd", "ci95_low", "ci95_high", "gap_share"))
    own, worst, best = costs[name], costs.get(WORST), costs.get(BEST)
    if own is None:
        return row
    row["cost_usd"] = round(float(own.mean()), 4)
    if worst is None:
        return row
    saved = worst - own
    row["saved_usd"] = round(float(saved.mean()), 4)
    if len(saved) > 1 and name != WORST:
        low, high = paired_t_interval(saved)
        row["ci95_low"], row["ci95_high"] = round(low, 4), round(high, 4)
    if best is not None and worst.mean() != best.mean():
        row["gap_share"] = round(float(saved.mean() / (worst - best).mean()), 3)
    return row


def _distinct(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))
