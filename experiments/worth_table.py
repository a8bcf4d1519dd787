"""What a forecaster costs at equal attainment: head-rooms tuned on one span, judged on another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from markopt.evaluation.differences import paired_t_interval

Row = dict[str, Any]
WORST, BEST = "last_value", "oracle"
FIRST_HEADROOM = 1.0
FAR_DEARER = 1.2
"""Where a run costs this many times the cheapest so far, the walk turns round."""

KEYS = ("functions", "policy", "forecaster")


def walk(
    headrooms: Sequence[float], attempt: Callable[[float], Row], target: float
) -> Iterator[Row]:
    """Try head-rooms from the one nearest 1 downwards, then upwards, and yield every run.

    Cost falls towards the best head-room and rises beyond it, but for noise. So the walk down ends
    where ``target`` is missed, and either walk where a run costs a fifth more than the cheapest
    so far that attains it.
    """
    values = sorted(headrooms)
    first = min(range(len(values)), key=lambda at: abs(values[at] - FIRST_HEADROOM))
    least = np.inf
    for down in (True, False):
        for value in reversed(values[: first + 1]) if down else values[first + 1 :]:
            row = attempt(value)
            yield row
            attained = row["attainment"] >= target
            if attained:
                least = min(least, row["cost_usd"])
            if row["cost_usd"] > FAR_DEARER * least or (down and not attained):
                break


def tuned_run(rows: Sequence[Row], target: float) -> Row:
    """Return the cheapest run that attains ``target``; where none does, the closest one."""
    attained = [row for row in rows if float(row["attainment"]) >= target]
    if attained:
        return min(attained, key=lambda row: float(row["cost_usd"]))
    return max(rows, key=lambda row: float(row["attainment"]))


def worth(rows: Sequence[Row], target: float) -> list[Row]:
    """Return one row per case, policy and forecaster: what it costs at its tuned head-room.

    Rows of the span ``tuning`` choose the head-room, those of ``judged`` at it are averaged over
    the seeds. ``saved_usd`` is what the forecaster costs less than the last value, paired over the
    seeds that both have, with a 95 % interval (Student's t) where there are two or more;
    ``gap_share`` is the saving as a share of perfect foresight's, on the same seeds. Fields are
    empty where they cannot be known.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    tuned = {
        case: tuned_run([r for r in group if r["span"] == "tuning"], target)
        for case, group in groups.items()
    }
    judged = {
        case: [
            row
            for row in group
            if row["span"] == "judged" and float(row["headroom"]) == float(tuned[case]["headroom"])
        ]
        for case, group in groups.items()
    }
    costs = {
        case: {row["seed"]: float(row["cost_usd"]) for row in group}
        for case, group in judged.items()
    }
    return [
        {
            **dict(zip(KEYS, case, strict=True)),
            "target": tuned[case]["target"],
            "headroom": float(tuned[case]["headroom"]),
            "tuned_attainment": float(tuned[case]["attainment"]),
            "tuned_cost_usd": float(tuned[case]["cost_usd"]),
            **_means(group),
            **_against(costs, case),
        }
        for case, group in judged.items()
    ]


def _means(rows: Sequence[Row]) -> Row:
    losses = [float(row["pinball"]) for row in rows if row["pinball"] not in (None, "")]
    shares = [float(row["attainment"]) for row in rows]
    return {
        "pinball": round(float(np.mean(losses)), 5) if losses else None,
        "seeds": len(rows),
        "attainment": round(float(np.mean(shares)), 6),
        "least_attainment": round(min(shares), 6),
        "cost_usd": round(float(np.mean([float(row["cost_usd"]) for row in rows])), 4),
    }


def _against(costs: Mapping[tuple[Any, ...], Mapping[Any, float]], case: tuple[Any, ...]) -> Row:
    row: Row = dict.fromkeys(("saved_usd", "ci95_low", "ci95_high", "gap_share"))
    own = costs[case]
    worst, best = (costs.get((*case[:-1], name), {}) for name in (WORST, BEST))
    seeds = [seed for seed in own if seed in worst]
    if not seeds or case[-1] == WORST:
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
