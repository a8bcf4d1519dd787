"""From wanted counts to a plan: rows in the problem's order, and make-before-break."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.core import Plan, Problem


def rows_plan(
    problem: Problem, planner: str, targets: Any, warm: Any, *, rung: str = "rule", reason: str
) -> Plan:
    """Return a plan whose ``targets`` rows are in the order of the problem's offers."""
    return Plan(
        planner=planner,
        time_s=problem.time_s,
        offers=tuple(offer.name for offer in problem.offers),
        targets=targets,
        warm_functions=warm,
        rung=rung,
        reason=reason,
    )


def counts_plan(
    problem: Problem, planner: str, counts: Mapping[str, int], warm: Any, *, reason: str
) -> Plan:
    """Return a plan that bills the same counts in every interval.

    Noticed instances are in no target: they end by themselves, and what replaces them is launched
    while they still serve.
    """
    names = [offer.name for offer in problem.offers]
    wanted = np.array([counts.get(name, 0) for name in names], dtype=np.int64)
    targets = np.repeat(wanted[:, None], problem.horizon, axis=1)
    return rows_plan(problem, planner, targets, warm, reason=reason)


def pending_counts(problem: Problem) -> NDArray[np.int64]:
    """Return what is still launching in each interval, shape (offers, horizon).

    A plan that bills less than that would end instances before they are ready.
    """
    counts = np.zeros((len(problem.offers), problem.horizon), dtype=np.int64)
    for row, offer in enumerate(problem.offers):
        for ready_in_s in problem.fleet.of(offer.name).pending_ready_in_s:
            at = max(math.ceil(ready_in_s / problem.interval_s - 1e-9), 0)
            counts[row, : min(at, problem.horizon)] += 1
    return counts


def held_plan(problem: Problem, planner: str, reason: str) -> Plan:
    """Return the plan that keeps what is billed now."""
    counts = {o.name: _lasting(problem, o.name) for o in problem.offers}
    warm = np.full(problem.horizon, problem.fleet.warm_functions, dtype=np.int64)
    plan = counts_plan(problem, planner, counts, warm, reason=reason)
    return rows_plan(
        problem, planner, plan.targets, plan.warm_functions, rung="hold", reason=reason
    )


def make_before_break(problem: Problem, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return counts that keep other instances until the wanted ones are ready.

    Instances that are not wanted leave, dearest per throughput first, only as far as the ready
    throughput stays at what is wanted.
    """
    wanted_rps = sum(problem.offer(name).saturation_rps * n for name, n in wanted.items())
    counts = {o.name: wanted.get(o.name, 0) for o in problem.offers}
    ready_rps = sum(
        o.saturation_rps * min(_ready(problem, o.name), counts[o.name]) for o in problem.offers
    )
    missing_rps = wanted_rps - ready_rps
    by_price = sorted(problem.offers, key=lambda o: (o.price_usd_per_s / o.saturation_rps, o.name))
    for offer in by_price:
        surplus = _ready(problem, offer.name) - counts[offer.name]
        if surplus <= 0 or missing_rps <= 1e-9:
            continue
        kept = min(surplus, int(np.ceil(missing_rps / offer.saturation_rps - 1e-9)))
        counts[offer.name] += kept
        missing_rps -= kept * offer.saturation_rps
    return counts


def _lasting(problem: Problem, name: str) -> int:
    fleet = problem.fleet.of(name)
    return fleet.billed - fleet.noticed


def _ready(problem: Problem, name: str) -> int:
    fleet = problem.fleet.of(name)
    return fleet.ready - fleet.noticed
