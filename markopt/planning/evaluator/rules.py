"""Limits and terms, checked on a plan's counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markopt.core import Problem
from markopt.errors import ConfigError
from markopt.planning.evaluator.fleet import OfferRow
from markopt.planning.evaluator.outcomes import Outcome

TOLERANCE = 1e-6
OVERRUN_USD = 1000.0  # per USD beyond a budget cap


def broken_limits(problem: Problem, rows: Sequence[OfferRow]) -> list[str]:
    """Return what breaks of stock, quotas, changes per interval and billing minimum, in words."""
    limits, broken = problem.limits, []
    for row in rows:
        name, stock = row.offer.name, row.offer.stock
        if min(row.ready) < 0:
            broken.append(f"'{name}': ends instances that are not ready")
        if stock is not None and max(row.lasting) > max(stock, row.billed_now):
            broken.append(f"'{name}': {max(row.lasting)} instances, stock {stock}")
        if row.broken_minimum():
            broken.append(f"'{name}': ends a launch before its billing minimum")
    for t in range(problem.horizon):
        broken += _broken_changes(
            rows, t, limits.max_launches_per_interval, limits.max_terminations_per_interval
        )
        if limits.max_vcpus is not None:
            vcpus = sum(row.lasting[t] * row.offer.vcpus for row in rows)
            used = sum(row.billed_now * row.offer.vcpus for row in rows)
            if vcpus > max(limits.max_vcpus, used) + TOLERANCE:
                broken.append(f"interval {t}: {vcpus} vCPUs, limit {limits.max_vcpus}")
        for pool, quota in limits.max_instances_by_pool.items():
            inside = [row for row in rows if row.offer.pool == pool]
            count = sum(row.lasting[t] for row in inside)
            if count > max(quota, sum(row.billed_now for row in inside)):
                broken.append(f"interval {t}: {count} instances of '{pool}', quota {quota}")
    return broken


def _broken_changes(
    rows: Sequence[OfferRow], t: int, launches: int | None, terminations: int | None
) -> list[str]:
    broken = []
    launched = sum(row.launches[t] for row in rows)
    ended = sum(row.ended[t] for row in rows)
    if launches is not None and launched > launches:
        broken.append(f"interval {t}: {launched} launches, limit {launches}")
    if terminations is not None and ended > terminations:
        broken.append(f"interval {t}: {ended} terminations, limit {terminations}")
    return broken


def broken_terms(
    problem: Problem,
    rows: Sequence[OfferRow],
    outcomes: Sequence[Outcome],
    required: Sequence[Sequence[float]],
    terms: Mapping[str, Any],
) -> list[str]:
    """Return which terms a plan breaks, in words.

    Raises:
        ConfigError: a term is not known here.
    """
    broken = []
    for term in terms.values():
        name = type(term).__name__
        for t in range(problem.horizon):
            needed = sum(
                p * path[t]
                for p, path in zip(problem.forecast.probabilities.tolist(), required, strict=True)
            )
            if name == "MakeBeforeBreak":
                broken += _broken_gap(rows, outcomes, needed, t)
            elif name == "Diversification":
                share = float(term.largest_share)
                broken += _broken_shares(rows, share * needed, t)
            elif name == "LargestChange":
                broken += _broken_changes(rows, t, term.launches, term.terminations)
            elif name not in ("BudgetCap", "BillCvar"):
                raise ConfigError(f"terms: '{name}' cannot be evaluated")
    return broken


def _broken_gap(
    rows: Sequence[OfferRow], outcomes: Sequence[Outcome], needed: float, t: int
) -> list[str]:
    """A termination may not open a gap, at the pools' expected shares."""
    serves = planned = 0.0
    for k, row in enumerate(rows):
        share = sum(outcome.probability * outcome.shares[k][t] for outcome in outcomes)
        serves += row.ready_now * share * row.offer.saturation_rps
        planned += row.ready[t] * share * row.offer.saturation_rps
    if planned < min(serves, needed) - TOLERANCE * max(needed, 1.0):
        return [f"interval {t}: {planned:.3f} rps serve, make before break needs {needed:.3f}"]
    return []


def _broken_shares(rows: Sequence[OfferRow], most: float, t: int) -> list[str]:
    """No spot pool may hold more, but one instance is always allowed."""
    broken = []
    for pool in sorted({row.offer.pool for row in rows if not row.offer.purchase.lasting}):
        inside = [r for r in rows if r.offer.pool == pool and not r.offer.purchase.lasting]
        held = sum(row.ready[t] * row.offer.saturation_rps for row in inside)
        least = min(row.offer.saturation_rps for row in inside)
        if held > max(most, least) * (1.0 + TOLERANCE):
            broken.append(f"interval {t}: pool '{pool}' holds {held:.1f} rps of at most {most:.1f}")
    return broken


def term_costs(
    problem: Problem,
    terms: Mapping[str, Any],
    bill_usd: float,
    by_path_usd: Sequence[float],
    probabilities: Sequence[float],
) -> dict[str, float]:
    """Return what terms add to the cost: the price of an overrun, and the dear scenarios' bill."""
    cost: dict[str, float] = {}
    for term in terms.values():
        if type(term).__name__ == "BudgetCap":
            hours = problem.horizon * problem.interval_s / 3600.0
            most = float(term.usd_per_h) * hours
            cost["overrun"] = OVERRUN_USD * max(bill_usd - most, 0.0)
        if type(term).__name__ == "BillCvar":
            share = 1.0 - float(term.level)
            weight = float(term.weight)
            cost["tail"] = weight * _tail_mean(by_path_usd, probabilities, share)
    return cost


def _tail_mean(values: Sequence[float], probabilities: Sequence[float], share: float) -> float:
    """Return the mean of the largest ``share`` of probability."""
    left, total = share, 0.0
    for value, p in sorted(zip(values, probabilities, strict=True), reverse=True):
        taken = min(p, left)
        total += taken * value
        left -= taken
    return total / share
