"""A planner and a forecaster whose every answer is written down, and taken from there again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, final

from markopt.control.journal.entries import PlanEntry, RateEntry
from markopt.control.journal.past import Past
from markopt.control.journal.writer import Journal
from markopt.core import Forecast, Plan, Problem, RateSeries
from markopt.errors import Infeasible, PlanningError, SolverFailed

if TYPE_CHECKING:  # the packages of these protocols load solvers
    import numpy as np

    from markopt.forecasting.protocol import Forecaster
    from markopt.planning.protocol import Planner


@final
class JournaledPlanner:
    """Writes problem and plan down before the plan goes on; in the past, hands out what was.

    Where there is no plan, and be it proven that none exists, SolverFailed is raised: a fleet that
    serves is held rather than left alone. ``time_limit_s`` is the planner's, if it has one: a plan
    that took so long may have been cut short by it, and is marked.
    """

    def __init__(
        self, planner: Planner, *, journal: Journal, past: Past, time_limit_s: float | None
    ) -> None:
        self._planner = planner
        self._journal = journal
        self._past = past
        self._time_limit_s = time_limit_s

    def plan(self, problem: Problem) -> Plan:
        """Return the plan.

        Raises:
            SolverFailed: the planner gave none; the text says why.
        """
        entry = self._past.take(PlanEntry, problem.time_s)
        if entry is not None:
            self._journal.planned(entry.entry)
            if entry.plan is not None:
                return entry.plan
            raise SolverFailed(_why_none(entry.error or ""))
        began_s = time.perf_counter()
        plan: Plan | None = None
        failure = ""
        try:
            plan = self._planner.plan(problem)
        except PlanningError as error:
            failure = f"{type(error).__name__}: {error}"
        wall_s = time.perf_counter() - began_s
        self._journal.plan(
            problem,
            plan,
            planner=type(self._planner).__name__,
            wall_s=wall_s,
            at_deadline=self._time_limit_s is not None and wall_s >= self._time_limit_s,
            error=failure or None,
        )
        if plan is None:
            raise SolverFailed(_why_none(failure))
        return plan


def _why_none(error: str) -> str:
    """Return what a planner raised, as the reason to hold the fleet."""
    kind, _, text = error.partition(": ")
    return f"no plan exists: {text}" if kind == Infeasible.__name__ else text


@final
class JournaledForecaster:
    """Writes down what the forecaster is told of each interval, and tells it."""

    def __init__(self, forecaster: Forecaster, *, journal: Journal, past: Past) -> None:
        self._forecaster = forecaster
        self._journal = journal
        self._past = past

    def fit(self, history: RateSeries) -> Self:
        """Learn from the past; may be slow."""
        self._forecaster = self._forecaster.fit(history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        if self._past.take(RateEntry, observed.start_s) is None:
            self._journal.rate(observed)
        self._forecaster.update(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return ``samples`` joint paths of the next ``horizon`` intervals."""
        return self._forecaster.forecast(horizon, samples, rng)
