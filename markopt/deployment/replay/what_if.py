"""What another policy would have done at each recorded decision, and what that would have cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markopt.control.journal import JournalReader, PlanEntry
from markopt.core import Plan, Problem
from markopt.errors import PlanningError
from markopt.planning.evaluator import evaluate_plan
from markopt.planning.protocol import Planner


@dataclass(frozen=True)
class Judged:
    """A plan by an account that is no planner's: the same rules for every policy.

    ``target`` is the fleet wanted now, ``usd_per_h`` its price with the functions kept warm.
    ``expected_usd`` and ``expected_misses`` are over the horizon, under the decision's own
    forecast; None where the plan cannot be judged.
    """

    target: dict[str, int]
    warm_functions: int
    usd_per_h: float
    expected_usd: float | None
    expected_misses: float | None
    reason: str


@dataclass(frozen=True)
class Alternative:
    """One decision: what was done, and what the other policy would have done; None: no plan.

    Both start from the fleet that the recorded policy had led to.
    """

    entry: int
    time_s: float
    recorded: Judged | None
    other: Judged | None
    why_not: str = ""


def alternatives(reader: JournalReader, planner: Planner) -> Iterator[Alternative]:
    """Yield every recorded decision beside the one that ``planner`` would have made.

    Raises:
        DataError: the journal is damaged.
    """
    for entry in reader.plans():
        yield _alternative(entry, planner)


def _alternative(entry: PlanEntry, planner: Planner) -> Alternative:
    recorded = None if entry.plan is None else _judged(entry.problem, entry.plan)
    try:
        plan = planner.plan(entry.problem)
    except PlanningError as error:
        return Alternative(entry.entry, entry.time_s, recorded, None, str(error))
    return Alternative(entry.entry, entry.time_s, recorded, _judged(entry.problem, plan))


def _judged(problem: Problem, plan: Plan) -> Judged:
    prices = {offer.name: offer.price_usd_per_s for offer in problem.offers}
    target = {name: count for name, count in sorted(plan.target_now().items()) if count}
    warm = int(plan.warm_functions[0])
    function = problem.function
    warm_usd_per_s = 0.0 if function is None else warm * function.warm_price_usd_per_s
    usd_per_s = sum(prices[name] * count for name, count in target.items()) + warm_usd_per_s
    try:
        account = evaluate_plan(problem, plan)
    except PlanningError:
        usd = misses = None
    else:
        usd, misses = account.total_usd, sum(account.misses)
    return Judged(target, warm, 3600.0 * usd_per_s, usd, misses, plan.reason)
