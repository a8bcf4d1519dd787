"""An independent account of a plan: cost and limits from the problem alone, one step at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from markopt.core import FunctionOffer, Offer, Plan, Problem
from markopt.errors import PlanningError


@dataclass(frozen=True)
class PlanEvaluation:
    """Expected cost in USD by kind, expected misses by SLO window, and every limit that breaks.

    ``misses`` counts what a plan adds through spill; ``allowed`` what the windows still permit.
    """

    cost_usd: dict[str, float]
    misses: tuple[float, ...]
    allowed: tuple[float, ...]
    broken: tuple[str, ...]

    @property
    def total_usd(self) -> float:
        """Sum over all kinds."""
        return sum(self.cost_usd.values())

    @property
    def feasible(self) -> bool:
        """True where no limit is broken."""
        return not self.broken


def evaluate_plan(problem: Problem, plan: Plan, *, headroom: float = 1.0) -> PlanEvaluation:
    """Recompute a plan's expected cost and check its limits; shares no code with the program.

    Launches and terminations are read from the billed counts. The rules are those of
    docs/formulation.md with spill in requests: plain loops over offers, intervals and scenarios.

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
    rows = [_OfferRow(problem, o, plan.targets[k].tolist()) for k, o in enumerate(problem.offers)]
    cost = {
        "instances": sum(row.bill_usd() for row in rows),
        "replacements": sum(row.replacement_usd() for row in rows),
    }
    return _with_spill(problem, plan, rows, cost, headroom)


def broken_limits(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Return every limit that a plan breaks, in words; costs are not looked at."""
    rows = [_OfferRow(problem, o, plan.targets[k].tolist()) for k, o in enumerate(problem.offers)]
    return tuple(_broken_limits(problem, rows))


class _OfferRow:
    """One offer's billed counts turned into launches and ready instances."""

    def __init__(self, problem: Problem, offer: Offer, billed: list[int]) -> None:
        fleet = problem.fleet.of(offer.name)
        self.offer, self.interval_s = offer, problem.interval_s
        self.noticed = min(fleet.noticed, fleet.ready)
        self.delay = math.ceil(offer.launch_delay_s / problem.interval_s - 1e-9)
        self.lasting = billed
        before = fleet.billed - self.noticed
        self.launches = []
        for count in billed:
            self.launches.append(max(count - before, 0))
            before = count
        self.ready = []
        for t, count in enumerate(billed):
            booting = sum(self.launches[max(t - self.delay + 1, 0) : t + 1]) if self.delay else 0
            waiting = sum(
                1
                for seconds in fleet.pending_ready_in_s
                if math.ceil(seconds / problem.interval_s - 1e-9) > t
            )
            self.ready.append(count - booting - waiting)

    def bill_usd(self) -> float:
        # Noticed instances are in no target, but are billed for one interval more.
        return (sum(self.lasting) + self.noticed) * self.offer.price_usd_per_s * self.interval_s

    def replacement_usd(self) -> float:
        """Expected boot bills for what is interrupted."""
        per_interval = self.offer.interruption_per_h / 3600.0 * self.interval_s
        boot_usd = self.delay * self.interval_s * self.offer.price_usd_per_s
        return per_interval * boot_usd * sum(self.lasting)

    def throughput_rps(self, t: int) -> float:
        """Expected throughput in interval t; noticed instances serve in the first only."""
        exposed_h = (self.offer.launch_delay_s + self.interval_s) / 3600.0
        share = min(max(1.0 - self.offer.interruption_per_h * exposed_h, 0.0), 1.0)
        safe = self.ready[t] * share + (self.noticed if t == 0 else 0)
        return self.offer.saturation_rps * safe


def _mix(rows: list[_OfferRow]) -> dict[str, float]:
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


def _with_spill(
    problem: Problem,
    plan: Plan,
    rows: list[_OfferRow],
    cost: dict[str, float],
    headroom: float,
) -> PlanEvaluation:
    slo, function = problem.service.slo, problem.function
    in_time = function is not None and function.service_time_s <= slo.rt_max_s
    mix = _mix(rows)
    windows = [_window(problem, t) for t in range(problem.horizon)]
    numbers = sorted(set(windows))
    misses, expected = dict.fromkeys(numbers, 0.0), dict.fromkeys(numbers, 0.0)
    spill_usd = cold_usd = warm_usd = 0.0
    for t in range(problem.horizon):
        capacity = sum(row.throughput_rps(t) for row in rows)
        demand = problem.forecast.paths_rps[:, t] * headroom
        # Without any offer no throughput is required of one: all of it is spilled.
        required = problem.required_throughput.at(demand, mix) if mix else demand
        warm_rps = 0.0
        if function is not None and in_time:
            warm_rps = float(plan.warm_functions[t]) / function.service_time_s
            warm_usd += (
                float(plan.warm_functions[t]) * function.warm_price_usd_per_s * problem.interval_s
            )
        for rate, q, p in zip(
            demand.tolist(), required.tolist(), problem.forecast.probabilities, strict=True
        ):
            requests = p * rate * problem.interval_s
            expected[windows[t]] += requests
            spilled = requests * max(1.0 - capacity / q, 0.0) if q > 0.0 else 0.0
            cold = max(spilled - p * warm_rps * problem.interval_s, 0.0) if in_time else 0.0
            usd, cold_extra, missed = _recourse(function, slo.rt_max_s, slo.sl_min, in_time)
            spill_usd += spilled * usd
            cold_usd += cold * cold_extra
            misses[windows[t]] += spilled * missed[0] + cold * missed[1]
    cost |= {"spill": spill_usd, "cold_starts": cold_usd, "warm": warm_usd}
    allowed = {n: slo.miss_share * expected[n] if in_time else 0.0 for n in numbers}
    if 0 in allowed:
        allowed[0] += slo.miss_share * problem.window.requests - problem.window.violations
    return PlanEvaluation(
        cost_usd=cost,
        misses=tuple(misses[n] for n in numbers),
        allowed=tuple(allowed[n] for n in numbers),
        broken=tuple(_broken_limits(problem, rows)),
    )


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


def _broken_limits(problem: Problem, rows: list[_OfferRow]) -> list[str]:
    broken = []
    limits = problem.limits
    now = [problem.fleet.of(r.offer.name).billed - r.noticed for r in rows]
    for row, billed in zip(rows, now, strict=True):
        if min(row.ready) < 0:
            broken.append(f"'{row.offer.name}': ends instances that are not ready")
        stock = row.offer.stock
        if stock is not None and max(row.lasting) > max(stock, billed):
            broken.append(f"'{row.offer.name}': {max(row.lasting)} instances, stock {stock}")
    for t in range(problem.horizon):
        launched = sum(row.launches[t] for row in rows)
        if (
            limits.max_launches_per_interval is not None
            and launched > limits.max_launches_per_interval
        ):
            broken.append(
                f"interval {t}: {launched} launches, limit {limits.max_launches_per_interval}"
            )
        vcpus = sum(row.lasting[t] * row.offer.vcpus for row in rows)
        used = float(np.dot(now, [row.offer.vcpus for row in rows]))
        if limits.max_vcpus is not None and vcpus > max(limits.max_vcpus, used) + 1e-9:
            broken.append(f"interval {t}: {vcpus} vCPUs, limit {limits.max_vcpus}")
    return broken
