"""What a request costs when no instance can take it, and whether it then misses the SLO."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from markopt.core import Problem
from markopt.planning.requirement import candidate_offers, function_in_time


@dataclass(frozen=True)
class Spill:
    """Per spilled request: ``spill_usd`` (lambda), ``excess_usd`` (c_z - lambda) beyond the warm.

    ``spill_misses`` and ``excess_misses`` are the violations that one spilled request, and one
    beyond the warm environments, adds to the budget. A refused request costs nothing, but misses.
    ``miss_usd`` is the part of ``spill_usd`` that is a price of missing and no bill.
    ``warm_rps`` is what one warm environment serves (mu_lambda), ``warm_usd`` its price per
    interval and ``warm_limit`` the largest number of them (0 without a usable function).
    """

    spill_usd: float
    excess_usd: float
    spill_misses: float
    excess_misses: float
    warm_rps: float
    warm_usd: float
    warm_limit: int
    miss_usd: float = 0.0

    @property
    def has_excess(self) -> bool:
        """Whether being beyond the warm environments makes a difference."""
        return self.warm_limit > 0 and (self.excess_usd > 0.0 or self.excess_misses > 0.0)


def spill_terms(problem: Problem) -> Spill:
    """Return the recourse of this problem; DESIGN section 5.

    With a function in time a spilled request is served and fulfils the SLO; one that meets a cold
    start bills no more (the initialization of an environment is not billed), but may miss: it is
    counted twice, c_z = 2 lambda, so that environments are kept warm where that costs less.
    Without one, each spilled request misses, but is then not missed inside the fleet as well: it
    counts SL_min, once.
    """
    function, slo = problem.function, problem.service.slo
    if function is None:
        return Spill(0.0, 0.0, slo.sl_min, 0.0, 0.0, 0.0, 0)
    if not function_in_time(function, slo):
        return Spill(function.price_usd_per_request, 0.0, slo.sl_min, 0.0, 0.0, 0.0, 0)
    cold_s = function.service_time_s + function.cold_start_s
    return Spill(
        spill_usd=function.price_usd_per_request,
        excess_usd=function.price_usd_per_request,
        spill_misses=0.0,
        excess_misses=1.0 if cold_s > slo.rt_max_s else 0.0,
        warm_rps=function.warm_rps,
        warm_usd=function.warm_price_usd_per_s * problem.interval_s,
        warm_limit=function.concurrency_limit,
    )


def weighted_spill(problem: Problem, spill_weight: float, miss_weight: float | None) -> Spill:
    """Return the recourse as the objective has it.

    The bill of a spilled request counts ``spill_weight`` times. Where a spilled request misses and
    ``miss_weight`` is given, each miss has that many times the price at which the cheapest instance
    serves a request, and no window has a budget: an instance is worth its price while it is needed
    with a chance above one in ``miss_weight``. The price is that of all offers that may carry load:
    it must not depend on who solves.
    """
    own = spill_terms(problem)
    own = replace(own, spill_usd=own.spill_usd * spill_weight)
    if miss_weight is None or own.spill_misses == 0.0:
        return own
    served_usd = min(o.price_usd_per_s / o.saturation_rps for o in candidate_offers(problem))
    miss_usd = miss_weight * served_usd
    return replace(own, spill_usd=own.spill_usd + miss_usd, spill_misses=0.0, miss_usd=miss_usd)


@dataclass(frozen=True, eq=False)
class MissBudget:
    """One budget of misses per SLO window that the horizon touches.

    ``window_of[t]`` is the window of interval t; ``allowed[i]`` the requests of window i that may
    yet miss through spill (what was missed already, and inside the fleet, is taken off).
    """

    window_of: NDArray[np.int64]
    allowed: NDArray[np.float64]


def miss_budget(
    problem: Problem, expected_rps: NDArray[np.float64], own: Spill, least: NDArray[np.float64]
) -> MissBudget:
    """Return the budgets; ``least[t]`` misses of interval t cannot be avoided any more.

    Budgets are never below what cannot be avoided: the past must not make a plan infeasible.
    """
    slo, horizon = problem.service.slo, problem.horizon
    starts_s = np.arange(horizon) * problem.interval_s
    late_s = starts_s - problem.window.remaining_s
    window_of = np.where(late_s < -1e-9, 0, np.floor(late_s / slo.window_s + 1e-9) + 1)
    _, window_of = np.unique(window_of, return_inverse=True)
    count = int(window_of.max()) + 1
    expected = np.bincount(window_of, expected_rps * problem.interval_s, minlength=count)
    # With a function in time nothing is missed inside the fleet: the bouncer spills it.
    share = slo.miss_share if own.spill_misses == 0.0 else 0.0
    allowed = share * expected
    if problem.window.remaining_s > 0.0:
        allowed[0] += slo.miss_share * problem.window.requests - problem.window.violations
    unavoidable = np.bincount(window_of, least, minlength=count)
    return MissBudget(window_of.astype(np.int64), np.maximum(allowed, unavoidable))
