"""Which policies no other one beats in both cost and attainment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markopt.evaluation.tabulation import Row


@dataclass(frozen=True)
class Point:
    """A policy's mean cost and attainment; ``dominated_by`` names one that is better in both.

    It is empty on the front. ``met`` is whether SL_min was met with every seed.
    """

    policy: str
    cost_usd: float
    attainment: float
    met: bool
    dominated_by: str


def front(table: Sequence[Row]) -> tuple[Point, ...]:
    """Return one point per policy, by cost; ``table`` has a row of means per policy.

    A policy is dominated by one that costs no more and attains no less, and is better in either.
    Of several the one with the highest attainment is named, and of these the cheapest.
    """
    ordered = sorted(table, key=lambda row: (row["cost_usd"], -row["attainment"]))
    return tuple(
        Point(
            policy=row["policy"],
            cost_usd=row["cost_usd"],
            attainment=row["attainment"],
            met=bool(row["met"]),
            dominated_by=_dominator(row, ordered),
        )
        for row in ordered
    )


def as_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the points as flat rows."""
    return [dict(vars(point)) for point in points]


def _dominator(row: Row, others: Sequence[Row]) -> str:
    cost, attainment = row["cost_usd"], row["attainment"]
    better = [
        other
        for other in others
        if other["cost_usd"] <= cost
        and other["attainment"] >= attainment
        and (other["cost_usd"] < cost or other["attainment"] > attainment)
    ]
    if not better:
        return ""
    return str(max(better, key=lambda other: (other["attainment"], -other["cost_usd"]))["policy"])
