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

ERRORS = {kind.__name__: kind for kind in (Infeasible, SolverFailed, PlanningError)}
"""What a planner may raise in place of a plan, by the name that the journal has for it."""


@final
class JournaledPlanner:
    """Writes problem and plan down before the plan goes on; in the past, hands out what was.

    ``time_limit_s`` is the planner's, if it has one: a plan that took so long may have been cut
    short by it, and is marked.
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
            PlanningError: the planner gave none.
        """
        entry = self._past.take(PlanEntry, problem.time_s)
        if entry is not None:
            self._journal.planned(entry.entry)
            if entry.plan is not None:
                return entry.plan
            kind, _, text = (entry.error or "").partition(": ")
            raise ERRORS.get(kind, SolverFailed)(text)
        began_s = time.perf_counter()
        plan: Plan | None = None
        failure: PlanningError | None = None
        try:
            plan = self._planner.plan(problem)
        except PlanningError as error:
            failure = error
        wall_s = time.perf_counter() - began_s
        self._journal.plan(
            problem,
            plan,
            planner=type(self._planner).__name__,
            wall_s=wall_s,
            at_deadline=self._time_limit_s is not None and wall_s >= self._time_limit_s,
            error=None if failure is None else f"{type(failure).__name__}: {failure}",
        )
        if plan is None:
            raise failure or SolverFailed("the planner gave no plan")
        return plan


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
