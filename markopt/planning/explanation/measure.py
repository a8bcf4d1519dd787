"""Re-solving changed problems with the planner as it is, and comparing what comes out."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from inspect import signature
from typing import Any

from markopt.core import Plan, Problem
from markopt.errors import Infeasible
from markopt.planning.evaluator import evaluate_plan
from markopt.planning.protocol import Planner
from markopt.planning.requirement import function_in_time

RELATIVE_GAP = 1e-4
# With more offers a small gap takes too long for dozens of solves: the planner's own must do.
MANY_OFFERS = 100
MOST_NODES = 5000
# Expected requests beyond a window's budget that are taken for none.
LATE_TOLERANCE = 0.5
HOUR_S = 3600.0
# Settings of a planner under which its plans are judged, where both know them.
JUDGED_BY = ("interruptions", "shared_shock_share", "terms")


@dataclass(frozen=True, eq=False)
class Measured:
    """A plan and what it comes to; USD per hour over the look-ahead.

    ``problem`` is the one that the planner states (its look-ahead may be shorter than the
    forecast). ``objective_usd_per_h`` and ``bound_usd_per_h`` are the planner's own, None for rules
    and rungs that prove nothing; ``bill_usd_per_h`` is the expected bill, recomputed by
    ``evaluate_plan``. ``late`` is the expected number of requests that miss beyond what the SLO's
    windows allow, ``spilled`` the expected number that a function in time takes.
    """

    problem: Problem
    plan: Plan
    objective_usd_per_h: float | None
    bound_usd_per_h: float | None
    bill_usd_per_h: float
    late: float
    spilled: float
    misses: tuple[float, ...]
    allowed: tuple[float, ...]

    @property
    def keeps_slo(self) -> bool:
        """Whether no requests are expected to miss beyond the budget."""
        return self.late <= LATE_TOLERANCE


@dataclass(frozen=True)
class Difference:
    """What a second plan costs more than a first; USD per hour over the look-ahead.

    ``usd_per_h`` is the change of what the planner minimizes (of the expected bill where a rung
    proved nothing, or where requests are late: then the objective holds their penalty, which is no
    money). ``least_usd_per_h`` and ``most_usd_per_h`` enclose it by the proven bounds, None without
    any. ``late`` and ``spilled`` are the changes in requests late beyond the budget and in requests
    that functions take.
    """

    usd_per_h: float
    least_usd_per_h: float | None
    most_usd_per_h: float | None
    bill_usd_per_h: float
    late: float
    spilled: float

    @property
    def certain(self) -> bool:
        """Whether the bounds prove the sign (without bounds: whether there is a difference)."""
        if self.least_usd_per_h is None or self.most_usd_per_h is None:
            return abs(self.usd_per_h) > 1e-9
        return self.least_usd_per_h > 0.0 or self.most_usd_per_h < 0.0


def difference(first: Measured, second: Measured) -> Difference:
    """Return what ``second`` costs more than ``first``."""
    bill = second.bill_usd_per_h - first.bill_usd_per_h
    late, spilled = second.late - first.late, second.spilled - first.spilled
    plain = first.keeps_slo and second.keeps_slo
    one, two = first.objective_usd_per_h, second.objective_usd_per_h
    if not plain or one is None or two is None:
        return Difference(bill, None, None, bill, late, spilled)
    least = most = None
    if first.bound_usd_per_h is not None and second.bound_usd_per_h is not None:
        least, most = second.bound_usd_per_h - one, two - first.bound_usd_per_h
    return Difference(two - one, least, most, bill, late, spilled)


class Resolver:
    """Solves problems with one planner, to a small gap, and counts how often.

    The planner is a black box: any class with ``plan``. Where it has ``mip_rel_gap`` or
    ``max_nodes``, or wraps such a planner, a copy with a smaller gap is used, so that small
    differences are told apart, unless ``sharp`` is False; where it has ``stated_problem``, plans
    are measured on that.
    """

    def __init__(self, planner: Planner, *, sharp: bool = True) -> None:
        self.planner = sharpened(planner) if sharp else planner
        self.solves = 0

    @property
    def relative_gap(self) -> float | None:
        """The gap to which problems are solved, None for a planner that has none."""
        planner: Any = self.planner
        while planner is not None and not hasattr(planner, "mip_rel_gap"):
            planner = getattr(planner, "planner", None)
        return None if planner is None else float(planner.mip_rel_gap)

    def solve(self, problem: Problem) -> Measured:
        """Return the planner's plan for a problem, measured.

        Raises:
            Infeasible: as the planner.
        """
        self.solves += 1
        return measure(self.planner, problem, self.planner.plan(problem))


def measure(planner: Planner, problem: Problem, plan: Plan) -> Measured:
    """Return what a plan of this planner for this problem comes to."""
    stated = stated_problem(planner, problem)
    horizon = stated.horizon
    shown = replace(
        plan,
        targets=plan.targets[:, :horizon],
        warm_functions=plan.warm_functions[:horizon],
    )
    account = evaluate_plan(stated, shown, **_rules(planner))
    per_h = HOUR_S / (horizon * problem.interval_s)
    over = (m - max(a, 0.0) for m, a in zip(account.misses, account.allowed, strict=True))
    function, spilled = stated.function, 0.0
    if function_in_time(function, stated.service.slo) and function is not None:
        spilled = account.cost_usd["spill"] / max(function.price_usd_per_request, 1e-15)
    return Measured(
        problem=stated,
        plan=plan,
        objective_usd_per_h=None if plan.objective_usd is None else plan.objective_usd * per_h,
        bound_usd_per_h=None if plan.bound_usd is None else plan.bound_usd * per_h,
        bill_usd_per_h=account.total_usd * per_h,
        late=sum(max(float(misses), 0.0) for misses in over),
        spilled=float(spilled),
        misses=tuple(map(float, account.misses)),
        allowed=tuple(map(float, account.allowed)),
    )


def _rules(planner: Any) -> dict[str, Any]:
    """Return the planner's settings that say how a plan is judged, as far as there are any.

    What it weighs beyond the bill (head-room, the weight of a spill) is left out.
    """
    known = signature(evaluate_plan).parameters
    while planner is not None:
        found = {name: getattr(planner, name) for name in JUDGED_BY if hasattr(planner, name)}
        if found:
            return {name: value for name, value in found.items() if name in known}
        planner = getattr(planner, "planner", None)
    return {}


def stated_problem(planner: Any, problem: Problem) -> Problem:
    """Return the problem that the planner, or the one that it wraps, minimizes the cost of."""
    state = getattr(planner, "stated_problem", None)
    if state is None:
        inner = getattr(planner, "planner", None)
        return problem if inner is None else stated_problem(inner, problem)
    try:
        stated: Problem = state(problem)
    except Infeasible:  # no offer in time: functions alone, over the whole forecast
        return problem
    if len(stated.offers) != len(problem.offers):
        return replace(stated, offers=problem.offers)
    return stated


def sharpened(planner: Any) -> Any:
    """Return a copy of the planner that solves to a smaller gap, as far as it has one."""
    if not is_dataclass(planner) or isinstance(planner, type):
        return planner
    changes: dict[str, Any] = {}
    for field in fields(planner):
        value = getattr(planner, field.name)
        if field.name == "mip_rel_gap":
            changes["mip_rel_gap"] = min(value, RELATIVE_GAP)
        elif field.name == "max_nodes" and value is not None:
            changes["max_nodes"] = max(value, MOST_NODES)
        elif field.name == "planner":
            changes["planner"] = sharpened(value)
    return replace(planner, **changes) if changes else planner
