"""One decision: learn what the last interval brought, forecast, plan, and carry it out."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from markopt.control.actuate import actuate
from markopt.control.memory import RecentActions
from markopt.control.record import RefusedPlan
from markopt.control.settings import ControllerSettings
from markopt.control.situation import IntervalCounts, Situation
from markopt.control.weights import FunctionShare
from markopt.core import (
    ActionReport,
    Actions,
    Forecast,
    Observation,
    Offer,
    Plan,
    Problem,
    RateSeries,
)
from markopt.errors import DataError, ForecastError, SolverFailed

if (
    TYPE_CHECKING
):  # the packages of these protocols load solvers, which the loop itself does not need
    from markopt.cloud.protocol import Backend
    from markopt.forecasting.protocol import Forecaster
    from markopt.planning.protocol import Planner


@dataclass(frozen=True, eq=False)
class MadeDecision:
    """What was decided at an interval's start, and from what; ``earlier``: what was refused."""

    seen: Observation
    problem: Problem
    plan: Plan
    actions: Actions
    report: ActionReport
    frozen: bool
    observed_rps: float
    plan_wall_s: float
    forecast_wall_s: float = 0.0
    earlier: tuple[RefusedPlan, ...] = ()


@final
class Decider:
    """Makes the decision at the start of an interval, and holds the fleet where none can be made.

    ``situation``, ``memory`` and ``share`` are shared with what reacts between plans. ``prefix``
    begins every decision's id; ``planner_name`` goes into plans that hold the fleet.
    """

    def __init__(
        self,
        *,
        offers: Sequence[Offer],
        forecaster: Forecaster,
        planner: Planner,
        backend: Backend,
        settings: ControllerSettings,
        situation: Situation,
        memory: RecentActions,
        share: FunctionShare | None,
        history: RateSeries,
        rng: np.random.Generator,
        prefix: str,
        planner_name: str,
    ) -> None:
        self._offers = tuple(offers)
        self._forecaster = forecaster
        self._planner = planner
        self._backend = backend
        self._settings = settings
        self._situation = situation
        self._memory = memory
        self._share = share
        self._rng = rng
        self._prefix = prefix
        self._planner_name = planner_name
        self._last_rate_rps = float(history.rate_rps[-1]) if len(history) else math.nan
        known_rps = [rate for rate in history.rate_rps.tolist() if not math.isnan(rate)]
        self._known_rate_rps = known_rps[-1] if known_rps else 0.0
        self._ended: list[tuple[float, IntervalCounts]] = []
        self._last_plan: Plan | None = None

    def ended(self, begin_s: float, counts: IntervalCounts) -> None:
        """Take in what an interval brought; the next decision learns from it."""
        self._ended.append((begin_s, counts))

    def decide(self, begin_s: float, seen: Observation) -> MadeDecision:
        """Plan and apply; where launches lack capacity, plan again at once with what is left.

        Raises:
            DataError: the forecast does not start at ``begin_s``.
            Infeasible: no plan exists.
            BackendError: the back end failed.
        """
        missing = self.learn(begin_s)
        started_s = time.perf_counter()
        forecast, failure = self._forecast(begin_s)
        forecast_wall_s = time.perf_counter() - started_s
        if abs(forecast.start_s - begin_s) > 1e-6 * self._settings.interval_s:
            raise DataError(
                f"Forecast: must start at the decision's time {begin_s} s, got {forecast.start_s} s"
            )
        if self._share is not None:
            self._share.expect(forecast)
        name = f"{self._prefix}plan-{begin_s:.3f}"
        decision = self._attempt(
            begin_s, seen, forecast, missing, decision_id=name, failure=failure
        )
        earlier: list[RefusedPlan] = []
        plan_wall_s = decision.plan_wall_s
        while decision.report.insufficient and 1 + len(earlier) < self._settings.plans_at_once:
            earlier.append(
                RefusedPlan(decision.plan.first_step(), decision.actions, decision.report)
            )
            seen = self._memory.complete(self._backend.observe())
            self._situation.count(seen)  # a live cloud's time goes on meanwhile
            decision_id = f"{name}-{len(earlier) + 1}"
            decision = self._attempt(
                begin_s, seen, forecast, missing, decision_id=decision_id, failure=failure
            )
            plan_wall_s += decision.plan_wall_s
        self._situation.planned(decision.plan)
        self._last_plan = decision.plan
        return dataclasses.replace(
            decision,
            forecast_wall_s=forecast_wall_s,
            plan_wall_s=plan_wall_s,
            earlier=tuple(earlier),
        )

    def _forecast(self, begin_s: float) -> tuple[Forecast, str]:
        """Return the forecast and, where it was unusable, why; then it is the last known rate."""
        horizon, samples = self._settings.horizon, self._settings.samples
        try:
            return self._forecaster.forecast(horizon, samples, self._rng), ""
        except ForecastError as error:
            flat_rps = np.full((samples, horizon), self._known_rate_rps)
            interval_s = self._settings.interval_s
            return Forecast.equally_likely(begin_s, interval_s, flat_rps), str(error)

    def _attempt(
        self,
        begin_s: float,
        seen: Observation,
        forecast: Forecast,
        missing: str,
        *,
        decision_id: str,
        failure: str,
    ) -> MadeDecision:
        """Make a plan and carry its first step out; what is ``missing`` freezes scale-in.

        A ``failure`` of the forecast holds the fleet.
        """
        frozen = bool(missing)
        problem = self._situation.problem(begin_s, seen, forecast)
        started_s = time.perf_counter()
        try:
            plan = self._hold(problem, failure) if failure else self._planner.plan(problem)
        except SolverFailed as error:
            plan = self._hold(problem, str(error))
        plan_wall_s = time.perf_counter() - started_s
        if frozen:
            plan = dataclasses.replace(plan, reason=f"{plan.reason}; scale-in frozen: {missing}")
        actions = actuate(
            plan,
            seen,
            decision_id=decision_id,
            offers=self._offers,
            keep_until_minimum=self._settings.keep_until_minimum,
            make_before_break_share=self._settings.make_before_break_share,
            scale_in=not frozen,
            end_unknown=self._settings.end_unknown,
        )
        actions = dataclasses.replace(actions, reason=plan.reason)
        if self._share is not None:
            actions = dataclasses.replace(actions, function_share=self._share.change(seen))
        report = self._backend.apply(actions)
        if self._share is not None:
            self._share.applied(actions, report)
        self._memory.applied(begin_s, report)
        self._situation.changed(begin_s, report)
        return MadeDecision(
            seen, problem, plan, actions, report, frozen, self._last_rate_rps, plan_wall_s
        )

    def learn(self, begin_s: float) -> str:
        """Tell the forecaster about what has ended; return why scale-in must freeze, or ''."""
        why = ""
        for start_s, counts in self._ended:
            self._last_rate_rps = counts.rate_rps
            if not math.isnan(counts.rate_rps):
                self._known_rate_rps = counts.rate_rps
            self._forecaster.update(
                RateSeries(
                    start_s,
                    self._settings.interval_s,
                    np.array([counts.rate_rps]),
                    counts.within_rps(),
                )
            )
            why = ""
            if not counts.complete:
                why = counts.suspicion or f"load data before {begin_s} s missing"
        self._ended.clear()
        return why

    def _hold(self, problem: Problem, cause: str) -> Plan:
        """Return a plan that keeps the fleet, and replaces what is under notice.

        Replacements stop at the last plan's target, since the replaced instances stay visible
        until their notice ends.
        """
        wanted = {} if self._last_plan is None else self._last_plan.target_now()
        kept = []
        for offer in self._offers:
            fleet = problem.fleet.of(offer.name)
            lasting = fleet.billed - fleet.noticed
            kept.append(max(lasting, min(fleet.billed, wanted.get(offer.name, fleet.billed))))
        shape = (len(kept), problem.horizon)
        return Plan(
            planner=self._planner_name,
            time_s=problem.time_s,
            offers=tuple(offer.name for offer in self._offers),
            targets=np.broadcast_to(np.array(kept, dtype=np.int64)[:, None], shape),
            warm_functions=np.full(problem.horizon, problem.fleet.warm_functions),
            rung="hold",
            reason=f"fleet held: {cause}",
            solver_status="failed",
        )
