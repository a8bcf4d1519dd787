"""What single decisions of an episode cost beside greedy's, hindsight's and perfect foresight's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from markopt.core import Forecast, Plan, Problem, RateSeries
from markopt.errors import PlanningError
from markopt.evaluation.folder import csv_text
from markopt.evaluation.foresight import perfect_foresight
from markopt.planning.protocol import Planner

if TYPE_CHECKING:
    from markopt.evaluation.episode import EpisodeSetup
    from markopt.evaluation.outcome import EpisodeResult
    from markopt.planning import ClairvoyantBound

REGRET = "regret.csv"


@dataclass(frozen=True)
class DecisionRegret:
    """One decision's cost over the ``intervals`` that its planner looks ahead, in USD.

    All are computed by ``evaluate_plan``, not by the planners. ``plan_usd`` and ``greedy_usd`` are
    expected costs under the decision's own forecast. The others are costs at the demand that came:
    of the plan, of greedy's, of what the same planner would have planned had it known that demand
    (``hindsight``), and of the clairvoyant bound's schedule in these intervals (``foresight``),
    whose fleet was never the policy's. ``..._missed`` counts requests that miss the SLO. None:
    greedy found no plan, or there is no bound.
    """

    time_s: float
    intervals: int
    rung: str
    gap: float | None
    plan_usd: float
    greedy_usd: float | None
    realized_plan_usd: float
    realized_greedy_usd: float | None
    hindsight_usd: float
    foresight_usd: float | None
    realized_plan_missed: float
    realized_greedy_missed: float | None
    hindsight_missed: float


@final
class RecordingPlanner:
    """Plans as the planner that it wraps, and keeps every ``every``-th problem with its plan.

    Of several plans made at once, since launches were refused, the last one counts.
    """

    def __init__(self, planner: Planner, every: int) -> None:
        self._planner = planner
        self._every = every
        self._seen = 0
        self._last_s: float | None = None
        self.decisions: list[tuple[Problem, Plan]] = []

    def plan(self, problem: Problem) -> Plan:
        """Return the wrapped planner's plan."""
        plan = self._planner.plan(problem)
        again = problem.time_s == self._last_s
        number = self._seen - 1 if again else self._seen
        if number % self._every == 0:
            if again:
                self.decisions.pop()
            self.decisions.append((problem, plan))
        self._seen = number + 1
        self._last_s = problem.time_s
        return plan


def with_regret(
    result: EpisodeResult, setup: EpisodeSetup, planner: Planner, recorder: RecordingPlanner
) -> EpisodeResult:
    """Return an episode's result with the regret of the decisions that ``recorder`` has kept.

    ``planner`` is the one that the recorder wrapped.
    """
    conditions = setup.conditions
    bound = perfect_foresight(setup.scene, conditions.realized, conditions.initial_fleet)
    regrets = decision_regrets(planner, recorder.decisions, conditions.realized, bound)
    return replace(result, regrets=regrets)


def decision_regrets(
    planner: Planner,
    decisions: Sequence[tuple[Problem, Plan]],
    realized: RateSeries,
    bound: ClairvoyantBound | None,
) -> tuple[DecisionRegret, ...]:
    """Return the regret of each decision whose look-ahead lies within the realized rates.

    ``planner`` made the plans; ``realized`` and ``bound`` are those of the whole episode.
    """
    found = []
    for problem, plan in decisions:
        intervals = looked_ahead(planner, problem)
        first = round((problem.time_s - realized.start_s) / realized.interval_s)
        if first < 0 or first + intervals > len(realized):
            continue
        rates = np.array(realized.rate_rps[first : first + intervals])
        foresight_usd = None
        if bound is not None:
            foresight_usd = float(bound.interval_usd[first : first + intervals].sum())
        found.append(decision_regret(planner, problem, plan, rates, foresight_usd))
    return tuple(found)


def decision_regret(
    planner: Planner,
    problem: Problem,
    plan: Plan,
    realized_rps: Any,
    foresight_usd: float | None = None,
) -> DecisionRegret:
    """Return one decision's regret over the intervals of ``realized_rps``.

    Raises:
        PlanningError: the planner has no plan for the realized demand.
    """
    from markopt.planning import Greedy

    intervals = len(realized_rps)
    stated = first_intervals(problem, intervals)
    known = Forecast.equally_likely(
        problem.time_s, problem.interval_s, np.asarray(realized_rps, dtype=np.float64)[None, :]
    )
    came = replace(stated, forecast=known)
    own = replace(
        plan, targets=plan.targets[:, :intervals], warm_functions=plan.warm_functions[:intervals]
    )
    try:
        greedy: Plan | None = Greedy().plan(stated)
    except PlanningError:
        greedy = None
    expected, realized = _cost(stated, own), _cost(came, own)
    hindsight = _cost(came, planner.plan(came))
    rival = (None, None) if greedy is None else _cost(came, greedy)
    return DecisionRegret(
        time_s=problem.time_s,
        intervals=intervals,
        rung=plan.rung,
        gap=plan.gap,
        plan_usd=expected[0],
        greedy_usd=None if greedy is None else _cost(stated, greedy)[0],
        realized_plan_usd=realized[0],
        realized_greedy_usd=rival[0],
        hindsight_usd=hindsight[0],
        foresight_usd=foresight_usd,
        realized_plan_missed=realized[1],
        realized_greedy_missed=rival[1],
        hindsight_missed=hindsight[1],
    )


def _cost(problem: Problem, plan: Plan) -> tuple[float, float]:
    """Return a plan's cost in USD, and the requests that miss the SLO."""
    from markopt.planning import evaluate_plan

    found = evaluate_plan(problem, plan)
    return found.total_usd, sum(found.misses)


def looked_ahead(planner: Planner, problem: Problem) -> int:
    """Return over how many intervals a planner weighs costs: its ``window``, else the horizon.

    At least the longest launch delay and one interval more, so that a launch can be of use.
    """
    from markopt.planning.requirement import launch_delay_intervals

    inner: Any = planner
    while hasattr(inner, "planner"):
        inner = inner.planner
    window = getattr(inner, "window", None)
    if window is None:
        return problem.horizon
    longest = max(launch_delay_intervals(offer, problem.interval_s) for offer in problem.offers)
    return min(max(int(window), longest + 1), problem.horizon)


def first_intervals(problem: Problem, intervals: int) -> Problem:
    """Return the problem with a forecast of its first intervals only."""
    paths = problem.forecast.paths_rps[:, :intervals]
    return replace(problem, forecast=replace(problem.forecast, paths_rps=paths))


def regret_text(regrets: Sequence[DecisionRegret]) -> str:
    """Return the decisions as CSV, one row each."""
    if not regrets:
        return ",".join(field.name for field in fields(DecisionRegret)) + "\n"
    return csv_text([asdict(regret) for regret in regrets])


def mean_regret(regrets: Sequence[DecisionRegret]) -> dict[str, Any]:
    """Return the means over the decisions, for an episode's summary; None: not known for all."""
    found: dict[str, Any] = {"decisions": len(regrets)}
    for name in [field.name for field in fields(DecisionRegret) if field.name.endswith("_usd")]:
        values = [getattr(regret, name) for regret in regrets]
        known = bool(values) and None not in values
        found[name] = float(np.mean(values)) if known else None
    return found
