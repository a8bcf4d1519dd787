"""An independent account of a plan: cost and limits from the problem alone, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markopt.core import FunctionOffer, Plan, Problem, PurchaseOption
from markopt.errors import PlanningError
from markopt.planning.evaluator.fleet import OfferRow
from markopt.planning.evaluator.outcomes import Outcome, pool_outcomes
from markopt.planning.evaluator.rules import broken_limits as broken_by
from markopt.planning.evaluator.rules import broken_terms, term_costs


@dataclass(frozen=True)
class PlanEvaluation:
    """Expected cost in USD by kind, expected misses by SLO window, and every limit that breaks.

    ``misses`` counts what a plan adds through spill; ``allowed`` what the windows still permit.
    ``violation_share[t]`` is the probability, over scenarios and pool states, that what serves in
    interval t - ready instances and warm functions - is less than what is required.
    """

    cost_usd: dict[str, float]
    misses: tuple[float, ...]
    allowed: tuple[float, ...]
    violation_share: tuple[float, ...]
    broken: tuple[str, ...]

    @property
    def total_usd(self) -> float:
        """Sum over all kinds."""
        return sum(self.cost_usd.values())

    @property
    def feasible(self) -> bool:
        """True where no limit is broken."""
        return not self.broken


@dataclass(frozen=True)
class Rules:
    """How a plan is judged; the names and defaults of the planner's settings."""

    headroom: float = 1.0
    spill_weight: float = 1.0
    spill_units: str = "requests"
    interruptions: str = "expected"
    shared_shock_share: float = 0.1
    terminal_value_share: float = 0.0
    terms: Mapping[str, Any] = field(default_factory=dict)
    miss_weight: float | None = None


def evaluate_plan(
    problem: Problem,
    plan: Plan,
    *,
    headroom: float = 1.0,
    spill_weight: float = 1.0,
    spill_units: str = "requests",
    interruptions: str = "expected",
    shared_shock_share: float = 0.1,
    terminal_value_share: float = 0.0,
    terms: Mapping[str, Any] | None = None,
    miss_weight: float | None = None,
) -> PlanEvaluation:
    """Recompute a plan's expected cost and check its limits; shares no code with the program.

    One fleet plan for all scenarios (``recourse=open_loop``). Launches and terminations are read
    from the billed counts. The rules are those of docs/formulation.md: plain loops over offers,
    intervals, pool states and scenarios. The other arguments are settings of the planner.

    Raises:
        PlanningError: the plan speaks of other offers or another horizon than the problem.
    """
    if plan.offers != tuple(o.name for o in problem.offers):
        raise PlanningError(
            f"Plan of '{plan.planner}': needs the problem's offers in their order, got "
            f"{plan.offers}"
        )
    if plan.targets.shape[1] != problem.horizon:
        raise PlanningError(
            f"Plan of '{plan.planner}': needs {problem.horizon} intervals, got "
            f"{plan.targets.shape[1]}"
        )
    rules = Rules(
        headroom,
        spill_weight,
        spill_units,
        interruptions,
        shared_shock_share,
        terminal_value_share,
        terms or {},
        miss_weight,
    )
    rows = [OfferRow(problem, o, plan.targets[k].tolist()) for k, o in enumerate(problem.offers)]
    return _Account(problem, plan, rows, rules).result()


def broken_limits(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Return every limit that a plan breaks, in words; costs are not looked at."""
    rows = [OfferRow(problem, o, plan.targets[k].tolist()) for k, o in enumerate(problem.offers)]
    return tuple(broken_by(problem, rows))


class _Account:
    """The loops over intervals, pool states and scenarios, and what they add up to."""

    def __init__(self, problem: Problem, plan: Plan, rows: list[OfferRow], rules: Rules) -> None:
        self.problem, self.plan, self.rows, self.rules = problem, plan, rows, rules
        slo, self.function = problem.service.slo, problem.function
        self.in_time = self.function is not None and self.function.service_time_s <= slo.rt_max_s
        self.outcomes = pool_outcomes(problem, rules.interruptions, rules.shared_shock_share)
        self.required, self.demand = _scenarios(problem, rows, rules)
        self.windows = [_window(problem, t) for t in range(problem.horizon)]
        self.spilled = self.cold = 0.0  # expected requests
        self.misses = dict.fromkeys(self.windows, 0.0)

    def result(self) -> PlanEvaluation:
        problem, slo = self.problem, self.problem.service.slo
        shares = [self._interval(t) for t in range(problem.horizon)]
        usd, cold_usd, _ = _recourse(self.function, slo.rt_max_s, slo.sl_min, self.in_time)
        paid_usd = self.spilled * usd
        last = [row.ready[-1] * row.delay * row.price_usd for row in self.rows]
        cost = {
            "instances": sum(row.bill_usd() for row in self.rows),
            "replacements": sum(row.replacement_usd() for row in self.rows),
            "spill": paid_usd * self.rules.spill_weight,
            "misses": self.spilled * self._miss_usd(),
            "cold_starts": self.cold * cold_usd,
            "warm": sum(self._warm_usd(t) for t in range(problem.horizon)),
            "credit": -self.rules.terminal_value_share * sum(last),
        }
        bill_usd = cost["instances"] + cost["replacements"] + paid_usd + cost["warm"]
        terms = self.rules.terms
        by_path = self._bill_by_path(usd)
        probabilities = problem.forecast.probabilities.tolist()
        cost |= term_costs(problem, terms, bill_usd, by_path, probabilities)
        broken = broken_by(problem, self.rows)
        broken += broken_terms(problem, self.rows, self.outcomes, self.required, terms)
        numbers = sorted(self.misses)
        return PlanEvaluation(
            cost_usd=cost,
            misses=tuple(self.misses[n] for n in numbers),
            allowed=tuple(self._allowed(n) for n in numbers),
            violation_share=tuple(shares),
            broken=tuple(broken),
        )

    def _interval(self, t: int) -> float:
        """Add up interval t, and return how likely it is that too little serves."""
        violated = 0.0
        for outcome in self.outcomes:
            capacity = self._capacity_rps(outcome, t)
            for w, p in enumerate(self.problem.forecast.probabilities.tolist()):
                probability = outcome.probability * p
                self._scenario(t, w, capacity, probability)
                if self.required[w][t] > capacity + self._at_hand_rps(t) + 1e-6:
                    violated += probability
        return violated

    def _scenario(self, t: int, w: int, capacity: float, probability: float) -> None:
        slo = self.problem.service.slo
        _, _, missed = _recourse(self.function, slo.rt_max_s, slo.sl_min, self.in_time)
        requests = probability * self.problem.interval_s
        spill_rps = self._spill_rps(w, t, capacity)
        cold_rps = max(spill_rps - self._warm_rps(t), 0.0) if self.in_time else 0.0
        self.spilled += requests * spill_rps
        self.cold += requests * cold_rps
        self.misses[self.windows[t]] += requests * (spill_rps * missed[0] + cold_rps * missed[1])

    def _capacity_rps(self, outcome: Outcome, t: int) -> float:
        return sum(row.throughput_rps(t, outcome.shares[k][t]) for k, row in enumerate(self.rows))

    def _spill_rps(self, w: int, t: int, capacity: float) -> float:
        q = self.required[w][t]
        if q <= 0.0:
            return 0.0
        if self.rules.spill_units == "throughput":
            return max(q - capacity, 0.0)
        return self.demand[w][t] * max(1.0 - capacity / q, 0.0)

    def _warm_rps(self, t: int) -> float:
        """Return what the plan's warm environments serve."""
        if self.function is None or not self.in_time:
            return 0.0
        return float(self.plan.warm_functions[t]) / self.function.service_time_s

    def _at_hand_rps(self, t: int) -> float:
        """Return what counts towards a promise: warm environments, all where they are free."""
        if self.function is None or not self.in_time:
            return 0.0
        if self.function.warm_price_usd_per_s > 0.0:
            return self._warm_rps(t)
        return self.function.concurrency_limit / self.function.service_time_s

    def _miss_usd(self) -> float:
        """Return the price of a request that is not served in time, where misses have one."""
        if self.in_time or self.rules.miss_weight is None:
            return 0.0
        served_usd = [
            offer.price_usd_per_s / offer.saturation_rps
            for offer in self.problem.offers
            if offer.purchase is not PurchaseOption.BURSTABLE
            and offer.service_times_s[0] <= self.problem.service.slo.rt_max_s
        ]
        return self.rules.miss_weight * min(served_usd)

    def _warm_usd(self, t: int) -> float:
        if self.function is None or not self.in_time:
            return 0.0
        price_usd = self.function.warm_price_usd_per_s * self.problem.interval_s
        return float(self.plan.warm_functions[t]) * price_usd

    def _bill_by_path(self, usd: float) -> list[float]:
        """Return what each path's fleet and spill cost at the pools' expected shares."""
        problem = self.problem
        fleet_usd = 0.0
        for row in self.rows:
            pending = problem.fleet.of(row.offer.name).pending_ready_in_s
            waiting = sum(
                min(math.ceil(s / problem.interval_s - 1e-9), problem.horizon) for s in pending
            )
            fleet_usd += row.decided_usd(waiting)
        bills = []
        for w in range(problem.forecast.samples):
            spilled = 0.0
            for t in range(problem.horizon):
                mean = sum(o.probability * self._capacity_rps(o, t) for o in self.outcomes)
                spilled += self._spill_rps(w, t, mean) * problem.interval_s
            bills.append(fleet_usd + spilled * usd)
        return bills

    def _allowed(self, number: int) -> float:
        """Return the misses that a window still permits."""
        problem, slo = self.problem, self.problem.service.slo
        expected = 0.0
        for t, window in enumerate(self.windows):
            if window == number and self.in_time:
                for w, p in enumerate(problem.forecast.probabilities.tolist()):
                    expected += p * self.demand[w][t] * problem.interval_s
        allowed = slo.miss_share * expected
        if number == 0:
            allowed += slo.miss_share * problem.window.requests - problem.window.violations
        return allowed


def _scenarios(
    problem: Problem, rows: list[OfferRow], rules: Rules
) -> tuple[list[list[float]], list[list[float]]]:
    """Return required throughput and demand by scenario and interval, for the plan's mix."""
    demand = problem.forecast.paths_rps * rules.headroom
    mix = _mix(rows)
    # Without any offer no throughput is required of one: all of it is spilled.
    required = problem.required_throughput.at(demand, mix) if mix else demand
    return required.tolist(), demand.tolist()


def _mix(rows: list[OfferRow]) -> dict[str, float]:
    if not rows:
        return {}
    held: dict[str, float] = {}
    for row in rows:
        rps = sum(max(r, 0) for r in row.ready) * row.offer.saturation_rps
        held[row.offer.instance_type] = held.get(row.offer.instance_type, 0.0) + rps
    if sum(held.values()) > 0.0:
        return held
    cheapest = min(rows, key=lambda r: r.offer.price_usd_per_s / r.offer.saturation_rps)
    return {cheapest.offer.instance_type: 1.0}


def _window(problem: Problem, t: int) -> int:
    """Return the SLO window of interval t: 0 is the current one."""
    late_s = t * problem.interval_s - problem.window.remaining_s
    if late_s < -1e-9:
        return 0
    return 1 + math.floor(late_s / problem.service.slo.window_s + 1e-9)


def _recourse(
    function: FunctionOffer | None, rt_max_s: float, sl_min: float, in_time: bool
) -> tuple[float, float, tuple[float, float]]:
    """Return USD per spilled request, USD more if cold, and misses of each."""
    if function is None:
        return 0.0, 0.0, (sl_min, 0.0)
    usd = function.price_usd(function.service_time_s)
    if not in_time:
        return usd, 0.0, (sl_min, 0.0)
    cold_s = function.service_time_s + function.cold_start_s
    # Initialization is not billed; a cold request counts twice all the same (formulation.md).
    return usd, usd, (0.0, 1.0 if cold_s > rt_max_s else 0.0)
