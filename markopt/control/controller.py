"""The loop: observe, forecast, plan, apply, and let the monitor watch until the next plan."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from markopt.control.actuate import actuate
from markopt.control.memory import RecentActions
from markopt.control.monitor import SloMonitor
from markopt.control.record import IntervalRecord, MonitorDecision, RefusedPlan
from markopt.control.score import first_step_quantiles_rps, pinball_loss
from markopt.control.settings import ControllerSettings
from markopt.control.shortfall import Shortfalls
from markopt.control.silence import SilenceWatch
from markopt.control.situation import IntervalCounts, Situation
from markopt.control.weights import FunctionShare
from markopt.core import (
    ActionReport,
    Actions,
    Forecast,
    FunctionOffer,
    InstanceState,
    Observation,
    Offer,
    Plan,
    Problem,
    RateSeries,
    RequiredThroughput,
    Service,
)
from markopt.errors import ConfigError, DataError, ForecastError, SolverFailed

if (
    TYPE_CHECKING
):  # the packages of these protocols load solvers, which the loop itself does not need
    from markopt.cloud.protocol import Backend
    from markopt.forecasting.protocol import Forecaster
    from markopt.planning.protocol import Planner


@dataclass(frozen=True, eq=False)
class _Decision:
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
class Controller:
    """Drives one back end with one policy: a forecaster and a planner.

    ``history`` ends where the run starts and has the interval of ``settings``; the caller has
    fitted ``forecaster`` to it (the loop updates it, and never refits). ``offers``, ``function``
    and ``required_throughput`` are what every plan may use. ``rng`` is the forecaster's alone.
    ``on_interval`` is called with each record as its interval ends (progress bars,
    ``DecisionLog.append``).

    No data is not zero load: where an interval's bins did not come, or read zero as nobody expected
    (see ``SilenceWatch``), the forecaster is told NaN and the next plan may launch but not
    terminate. Where the planner's solver fails, or a forecast holds rates that no load can have,
    the fleet is held; a planner that proves that no plan exists ends the run.

    Raises:
        ConfigError: ``history`` has another interval than ``settings``, or the monitor's offer is
            unknown.
    """

    def __init__(
        self,
        *,
        service: Service,
        offers: Sequence[Offer],
        function: FunctionOffer | None,
        required_throughput: RequiredThroughput,
        forecaster: Forecaster,
        planner: Planner,
        backend: Backend,
        settings: ControllerSettings,
        history: RateSeries,
        rng: np.random.Generator,
        on_interval: Callable[[IntervalRecord], None] | None = None,
    ) -> None:
        if abs(history.interval_s - settings.interval_s) > 1e-9:
            raise ConfigError(
                f"controller.interval_s: must be the history's ({history.interval_s} s), got "
                f"{settings.interval_s}"
            )
        self._offers = tuple(offers)
        self._forecaster = forecaster
        self._planner = planner
        self._backend = backend
        self._settings = settings
        self._rng = rng
        self._on_interval = on_interval
        self._situation = Situation(
            service=service,
            offers=offers,
            function=function,
            required_throughput=required_throughput,
            history=history,
            limits=settings.limits,
            shortfalls=Shortfalls(avoid_s=settings.avoid_refused_s),
        )
        self._silence = SilenceWatch(
            history, suspect_s=settings.suspect_silence_s, chance=settings.suspect_chance
        )
        self._memory = RecentActions(offers, remember_s=settings.remember_actions_s)
        self._monitor: SloMonitor | None = None
        if settings.monitor:
            self._monitor = SloMonitor(
                offers,
                weight=settings.monitor_weight,
                threshold_share=settings.monitor_threshold_share,
                cool_down_rounds=settings.monitor_cool_down_rounds,
                offer=settings.monitor_offer,
                limits=settings.limits,
            )
        self._share: FunctionShare | None = None
        if settings.data_plane == "weighted" and function is not None:
            self._share = FunctionShare(
                offers, required_throughput, quantile=settings.weight_quantile
            )
        self._clock_s = history.end_s
        self._last_rate_rps = float(history.rate_rps[-1]) if len(history) else math.nan
        known_rps = [rate for rate in history.rate_rps.tolist() if not math.isnan(rate)]
        self._known_rate_rps = known_rps[-1] if known_rps else 0.0
        self._ended: IntervalCounts | None = None
        self._observation: Observation | None = None
        self._last_plan: Plan | None = None

    def run(self, start_s: float, end_s: float) -> tuple[IntervalRecord, ...]:
        """Control the back end from ``start_s`` to ``end_s`` and return one record per interval.

        A span that is no whole number of intervals ends with a shorter one. A run of whole
        intervals can be continued by another call that starts where it ended.

        Raises:
            ConfigError: the span is empty, or does not start where the history or the run before
                ended.
            DataError: the forecast does not start at the decision's time.
            Infeasible: no plan exists.
            BackendError: the back end failed.
        """
        interval_s = self._settings.interval_s
        if not abs(start_s - self._clock_s) <= 1e-6 * interval_s:
            raise ConfigError(
                f"Controller: a run must start where what is known ends ({self._clock_s} s), got "
                f"{start_s} s"
            )
        if not end_s > start_s:
            raise ConfigError(f"Controller: end_s must lie after start_s={start_s}, got {end_s}")
        if self._observation is None:
            # Counts from before the start belong to the history, which has them already.
            self._observation = self._memory.complete(self._backend.observe())
        records = []
        for number in range(math.ceil((end_s - start_s) / interval_s - 1e-9)):
            begin_s = start_s + number * interval_s
            until_s = min(start_s + (number + 1) * interval_s, end_s)
            record = self._control(begin_s, until_s, self._observation)
            records.append(record)
            if self._on_interval is not None:
                self._on_interval(record)
        return tuple(records)

    def _control(self, begin_s: float, until_s: float, seen: Observation) -> IntervalRecord:
        decision = self._decide(begin_s, seen)
        reactions, seen_last = self._pass_time(begin_s, until_s, decision)
        self._observation = seen_last
        counts = self._situation.close_interval(begin_s, until_s)
        suspicion = self._silence.suspicion(
            begin_s, until_s, counts.arrivals, counts.rate_rps, decision.problem.forecast
        )
        if suspicion:
            counts = self._situation.disbelieve(counts, suspicion)
        self._ended = counts
        whole = until_s - begin_s >= self._settings.interval_s * (1.0 - 1e-6)
        self._clock_s = until_s if whole else math.nan
        return _record(
            begin_s,
            until_s,
            decision=decision,
            counts=counts,
            reactions=reactions,
            bill_usd=seen_last.bill_usd,
        )

    def _decide(self, begin_s: float, seen: Observation) -> _Decision:
        """Plan and apply; where launches lack capacity, plan again at once with what is left."""
        missing = self._learn(begin_s)
        started_s = time.perf_counter()
        forecast, failure = self._forecast(begin_s)
        forecast_wall_s = time.perf_counter() - started_s
        if abs(forecast.start_s - begin_s) > 1e-6 * self._settings.interval_s:
            raise DataError(
                f"Forecast: must start at the decision's time {begin_s} s, got {forecast.start_s} s"
            )
        if self._share is not None:
            self._share.expect(forecast)
        name = f"plan-{begin_s:.3f}"
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
    ) -> _Decision:
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
        )
        if self._share is not None:
            actions = dataclasses.replace(actions, function_share=self._share.change(seen))
        report = self._backend.apply(actions)
        self._memory.applied(begin_s, report)
        self._situation.changed(begin_s, report)
        return _Decision(
            seen, problem, plan, actions, report, frozen, self._last_rate_rps, plan_wall_s
        )

    def _learn(self, begin_s: float) -> str:
        """Tell the forecaster about the ended interval; return why scale-in must freeze, or ''."""
        ended = self._ended
        if ended is None:
            return ""
        interval_s = self._settings.interval_s
        self._last_rate_rps = ended.rate_rps
        if not math.isnan(ended.rate_rps):
            self._known_rate_rps = ended.rate_rps
        self._forecaster.update(
            RateSeries(
                begin_s - interval_s, interval_s, np.array([ended.rate_rps]), ended.within_rps()
            )
        )
        self._ended = None
        if ended.complete:
            return ""
        return ended.suspicion or f"load data before {begin_s} s missing"

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
            planner=type(self._planner).__name__,
            time_s=problem.time_s,
            offers=tuple(offer.name for offer in self._offers),
            targets=np.broadcast_to(np.array(kept, dtype=np.int64)[:, None], shape),
            warm_functions=np.full(problem.horizon, problem.fleet.warm_functions),
            rung="hold",
            reason=f"fleet held: {cause}",
            solver_status="failed",
        )

    def _pass_time(
        self, begin_s: float, until_s: float, decision: _Decision
    ) -> tuple[tuple[MonitorDecision, ...], Observation]:
        """Advance to ``until_s``, the monitor looking in between; return the last observation."""
        period_s = self._settings.monitor_period_s
        reactions: list[MonitorDecision] = []
        launched = sum(decision.actions.launch.values())
        spends = decision.plan.spends_misses
        steps = 1
        if self._monitor is not None or self._share is not None:
            steps = max(math.ceil((until_s - begin_s) / period_s - 1e-9), 1)
        for step in range(1, steps):
            now_s = begin_s + step * period_s
            observation = self._look(now_s)
            self._reweight(observation)
            if self._monitor is None:
                continue
            reaction = self._monitor.react(
                observation,
                decision_id=f"monitor-{now_s:.3f}",
                launched=launched,
                window=self._situation.window(now_s) if spends else None,
            )
            if reaction is not None:
                report = self._backend.apply(reaction)
                self._memory.applied(now_s, report)
                self._situation.changed(now_s, report)
                launched += sum(reaction.launch.values())
                reactions.append(
                    MonitorDecision(now_s, self._monitor.violation_share, reaction, report)
                )
        observation = self._look(until_s)
        if self._monitor is not None:
            # The plan that follows at once sees the same counts, and acts for both.
            self._monitor.watch(observation)
        return tuple(reactions), observation

    def _reweight(self, observation: Observation) -> None:
        """Set the functions' share anew where instances have come or gone."""
        share = None if self._share is None else self._share.change(observation)
        if share is not None:
            name = f"weights-{observation.time_s:.3f}"
            self._backend.apply(Actions(name, function_share=share))

    def _look(self, now_s: float) -> Observation:
        self._backend.advance(now_s)
        observation = self._memory.complete(self._backend.observe())
        self._situation.count(observation)
        return observation


def _record(
    begin_s: float,
    until_s: float,
    *,
    decision: _Decision,
    counts: IntervalCounts,
    reactions: tuple[MonitorDecision, ...],
    bill_usd: float,
) -> IntervalRecord:
    forecast, plan, actions = decision.problem.forecast, decision.plan, decision.actions
    quantiles = first_step_quantiles_rps(forecast)
    realized_rps = counts.rate_rps
    if forecast.statistic == "max" and not math.isnan(realized_rps):
        realized_rps = max(counts.bin_rps)
    elif forecast.statistic == "carried":
        realized_rps = math.nan  # one interval's bins do not tell it
    ready, billed = _counts_after(decision.seen, decision.report)
    seen_warm = decision.seen.warm_functions
    return IntervalRecord(
        start_s=begin_s,
        end_s=until_s,
        arrivals=counts.arrivals,
        spilled=counts.spilled,
        late=counts.late,
        refused=counts.refused,
        forecast_mean_rps=float(forecast.probabilities @ forecast.paths_rps[:, 0]),
        forecast_p05_rps=float(quantiles[0]),
        forecast_p50_rps=float(quantiles[9]),
        forecast_p95_rps=float(quantiles[18]),
        pinball=pinball_loss(quantiles, realized_rps),
        ready=ready,
        billed=billed,
        warm_functions=seen_warm if actions.warm_functions is None else actions.warm_functions,
        bill_usd=bill_usd,
        plan=plan.first_step(),
        actions=actions,
        report=decision.report,
        monitor_launches=sum(len(ids) for r in reactions for ids in r.report.launched.values()),
        earlier=decision.earlier,
        forecast_wall_s=decision.forecast_wall_s,
        plan_wall_s=decision.plan_wall_s,
        observed_rps=decision.observed_rps,
        fleet=decision.problem.fleet,
        window=decision.problem.window,
        scale_in_frozen=decision.frozen,
        monitor_decisions=reactions,
    )


def _counts_after(seen: Observation, report: ActionReport) -> tuple[dict[str, int], dict[str, int]]:
    """Return ready and billed counts by offer once the report's changes are made."""
    ended = set(report.terminated)
    ready: dict[str, int] = {}
    billed: dict[str, int] = {}
    for instance in seen.instances:
        if instance.instance_id in ended:
            continue
        if instance.state is InstanceState.READY:
            ready[instance.offer] = ready.get(instance.offer, 0) + 1
        elif instance.state not in (InstanceState.PENDING, InstanceState.BOOTING):
            continue
        billed[instance.offer] = billed.get(instance.offer, 0) + 1
    for name, ids in report.launched.items():
        if ids:
            billed[name] = billed.get(name, 0) + len(ids)
    return ready, billed
