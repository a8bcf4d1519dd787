"""Which limits contradict each other: an irreducible set, by deletion filtering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markopt.core import Problem
from markopt.errors import Infeasible
from markopt.planning.explanation.limits import Limit, Stock, conflicting_limits
from markopt.planning.explanation.measure import Resolver
from markopt.planning.protocol import Planner

Outcome = Literal["in time", "late", "none"]

# A stock limit of so many offers is taken apart; a larger one is named as a whole.
MOST_STOCKS = 12


@dataclass(frozen=True)
class Conflict:
    """Limits that cannot all hold, while any one less leaves a plan that keeps the SLO.

    ``limits`` are in words, with their values.
    """

    limits: tuple[str, ...]

    def __str__(self) -> str:
        """Return them in one line."""
        return "; ".join(self.limits)


def find_conflict(resolver: Resolver, problem: Problem) -> Conflict | None:
    """Return an irreducible set of limits that no plan of this planner keeps together.

    Where the planner finds no plan at all, the set is one for which it finds none; else one for
    which more requests are late than the SLO allows.

    A deletion filter (Chinneck and Dravnieks, 1991) over whole limits and not over rows of one
    model: required throughput follows the mix of a plan, so that models of the same problem differ.
    Limits are lifted one after another; one that changes nothing stays lifted, one without which
    there is a plan is put back and belongs to the set. One solve per limit, and one per scarce
    offer, of which there are at most twelve. None where a plan keeps all limits, or none does
    though all are lifted.
    """

    def feasible(enforced: Sequence[Limit]) -> bool:
        kept = problem
        for limit in all_limits:
            if limit not in enforced:
                kept = limit.lifted(kept)
        return _judge(resolver, kept) in accepted

    all_limits = conflicting_limits(problem)
    outcome = _judge(resolver, problem)
    accepted = ("in time",) if outcome == "late" else ("in time", "late")
    if outcome == "in time" or not feasible(()):
        return None
    needed = _deletion_filter(all_limits, feasible)
    several = next((limit for limit in needed if isinstance(limit, Stock)), None)
    if several is not None and 1 < len(several.offers) <= MOST_STOCKS:
        singles = [Stock((name,)) for name in several.offers]
        all_limits = [*(limit for limit in all_limits if limit != several), *singles]
        needed = _deletion_filter(
            [*singles, *(limit for limit in needed if limit != several)], feasible
        )
    return Conflict(tuple(limit.stated(problem) for limit in needed))


def with_conflict(planner: Planner, problem: Problem, error: Infeasible) -> Infeasible:
    """Return the error with the limits that contradict each other in its text."""
    text = str(error)
    if "conflicting limits: " in text:
        return error
    conflict = find_conflict(Resolver(planner), problem)
    return error if conflict is None else Infeasible(f"{text}; conflicting limits: {conflict}")


def _deletion_filter(
    limits: Sequence[Limit], feasible: Callable[[Sequence[Limit]], bool]
) -> list[Limit]:
    """Return an irreducible infeasible subset of ``limits``, which are infeasible together."""
    needed = list(limits)
    for limit in limits:
        less = [other for other in needed if other != limit]
        if not feasible(less):
            needed = less
    return needed


def _judge(resolver: Resolver, problem: Problem) -> Outcome:
    try:
        return "in time" if resolver.solve(problem).keeps_slo else "late"
    except Infeasible:
        return "none"
