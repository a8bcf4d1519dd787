"""What a limit of a problem can tell: in words, relaxed by one useful unit, or lifted."""

from __future__ import annotations

from typing import Protocol

from markopt.core import Offer, Problem, PurchaseOption
from markopt.planning.explanation.measure import Measured
from markopt.planning.requirement import meets_slo


class Limit(Protocol):
    """One limit that a user, a contract or an account sets."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words, with its value."""
        ...

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without the limit."""
        ...


class PricedLimit(Limit, Protocol):
    """A limit that can be bought off, unit by unit."""

    def use(self, measured: Measured) -> str:
        """Return how much of it a plan uses at most, in words."""
        ...

    def binds(self, measured: Measured) -> bool:
        """Return whether less than a unit of it is left by a plan."""
        ...

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return a useful unit more in words, and the problem with it."""
        ...


def candidates(problem: Problem) -> list[Offer]:
    """Return the offers that may carry load; all where none does."""
    slo = problem.service.slo
    usable = [
        offer
        for offer in problem.offers
        if offer.purchase is not PurchaseOption.BURSTABLE and meets_slo(offer, slo)
    ]
    return usable or list(problem.offers)
