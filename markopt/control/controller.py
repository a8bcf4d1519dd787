"""The loop: observe, forecast, plan, apply, and let the monitor watch until the next plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, final

import numpy as np

from markopt.control.between_plans import BetweenPlans
from markopt.control.deciding import Decider, MadeDecision
from markopt.control.memory import RecentActions
from markopt.control.monitor import SloMonitor
from markopt.control.record import IntervalRecord
from markopt.control.recording import interval_record
from markopt.control.settings import ControllerSettings
from markopt.control.shortfall import Shortfalls
from markopt.control.silence import SilenceWatch
from markopt.control.situation import IntervalCounts, Situation
from markopt.control.weights import FunctionShare
from markopt.core import (
    Forecast,
    FunctionOffer,
    Observation,
    Offer,
    RateSeries,
    RequiredThroughput,
    Service,
)
from markopt.errors import ConfigError

if (
    TYPE_CHECKING
):  # the packages of these protocols load solvers, which the loop itself does not need
    from markopt.cloud.protocol import Backend
    from markopt.forecasting.protocol import Forecaster
    from markopt.planning.protocol import Planner


@final
class Controller:
    """Drives one back end with one policy: a forecaster and a planner.

    ``history`` ends where the run starts and has the interval of ``settings``; the caller has
    fitted ``forecaster`` to it (the loop updates it, and never refits). ``offers``, ``function``
    and ``required_throughput`` are what every plan may use. ``rng`` is the forecaster's alone.
    ``on_interval`` is called with each record as its interval ends (progress bars,
    ``DecisionLog.append``). ``decision_prefix`` begins every decision's id, so that ids of several
    runs on one cloud differ; ``planner_name`` goes into plans that hold the fleet, by default the
    planner's class.

    No data is not zero load: where an interval's bins did not come, or read zero as nobody expected
    (see ``SilenceWatch``), the forecaster is told NaN and the next plan may launch but not
    terminate. Where the planner's solver fails, or a forecast holds rates that no load can have,
    the fleet is held; a planner that proves that no plan exists ends the run.

    A live cloud's time goes on while nobody looks. Intervals that were over before a decision could
    be made for them get none: what the cloud still tells of them is learnt, and the loop goes on
    with the interval that runs now.

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
        decision_prefix: str = "",
        planner_name: str | None = None,
    ) -> None:
        if abs(history.interval_s - settings.interval_s) > 1e-9:
            raise ConfigError(
                f"controller.interval_s: must be the history's ({history.interval_s} s), got "
                f"{settings.interval_s}"
            )
        self._backend = backend
        self._settings = settings
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
        share: FunctionShare | None = None
        if settings.data_plane == "weighted" and function is not None:
            share = FunctionShare(offers, required_throughput, quantile=settings.weight_quantile)
        self._decider = Decider(
            offers=offers,
            forecaster=forecaster,
            planner=planner,
            backend=backend,
            settings=settings,
            situation=self._situation,
            memory=self._memory,
            share=share,
            history=history,
            rng=rng,
            prefix=decision_prefix,
            planner_name=planner_name or type(planner).__name__,
        )
        self._between_plans = BetweenPlans(
            backend=backend,
            period_s=settings.monitor_period_s,
            situation=self._situation,
            memory=self._memory,
            monitor=_monitor(offers, settings) if settings.monitor else None,
            share=share,
            prefix=decision_prefix,
        )
        self._clock_s = history.end_s
        self._observation: Observation | None = None

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
        return tuple(self.intervals(start_s, end_s))

    def intervals(self, start_s: float, end_s: float) -> Iterator[IntervalRecord]:
        """Do as ``run`` does, interval by interval; ``end_s`` may be infinite."""
        interval_s = self._settings.interval_s
        if not abs(start_s - self._clock_s) <= 1e-6 * interval_s:
            raise ConfigError(
                f"Controller: a run must start where what is known ends ({self._clock_s} s), got "
                f"{start_s} s"
            )
        if not end_s > start_s:
            raise ConfigError(f"Controller: end_s must lie after start_s={start_s}, got {end_s}")
        seen = self.look_first()
        number, last_s = 0, end_s - 1e-9 * interval_s
        while start_s + number * interval_s < last_s:
            begin_s = start_s + number * interval_s
            until_s = min(start_s + (number + 1) * interval_s, end_s)
            record, forecast = self._control(begin_s, until_s, seen)
            if self._on_interval is not None:
                self._on_interval(record)
            yield record
            seen = self.look_first()
            number += 1
            while self._over(start_s + (number + 1) * interval_s, seen, end_s):
                self._close(
                    start_s + number * interval_s, start_s + (number + 1) * interval_s, forecast
                )
                number += 1

    def look_first(self) -> Observation:
        """Return the last observation; before the first interval, make one.

        Its counts are from before the start, and belong to the history, which has them already.
        """
        if self._observation is None:
            self._observation = self._memory.complete(self._backend.observe())
        return self._observation

    def settle(self) -> None:
        """Tell the forecaster of the last interval, too; for a run that is over."""
        self._decider.learn(self._clock_s)

    def decide(self, begin_s: float) -> MadeDecision:
        """Make the decision at ``begin_s`` and carry it out, without letting time pass.

        Raises:
            DataError: the forecast does not start at the decision's time.
            Infeasible: no plan exists.
            BackendError: the back end failed.
        """
        return self._decider.decide(begin_s, self.look_first())

    def _control(
        self, begin_s: float, until_s: float, seen: Observation
    ) -> tuple[IntervalRecord, Forecast]:
        decision = self._decider.decide(begin_s, seen)
        reactions, seen_last = self._between_plans.pass_time(begin_s, until_s, decision)
        self._observation = seen_last
        forecast = decision.problem.forecast
        counts = self._close(begin_s, until_s, forecast)
        record = interval_record(
            begin_s,
            until_s,
            decision=decision,
            counts=counts,
            reactions=reactions,
            bill_usd=seen_last.bill_usd,
        )
        return record, forecast

    def _close(self, begin_s: float, until_s: float, forecast: Forecast) -> IntervalCounts:
        """Count what an interval brought, for the next decision to learn from."""
        counts = self._situation.close_interval(begin_s, until_s)
        suspicion = self._silence.suspicion(
            begin_s, until_s, counts.arrivals, counts.rate_rps, forecast
        )
        if suspicion:
            counts = self._situation.disbelieve(counts, suspicion)
        self._decider.ended(begin_s, counts)
        whole = until_s - begin_s >= self._settings.interval_s * (1.0 - 1e-6)
        self._clock_s = until_s if whole else math.nan
        return counts

    def _over(self, interval_end_s: float, seen: Observation, end_s: float) -> bool:
        """Tell whether an interval had ended before its decision could be made."""
        rounding_s = 1e-6 * self._settings.interval_s
        return interval_end_s <= min(seen.time_s, end_s) + rounding_s


def _monitor(offers: Sequence[Offer], settings: ControllerSettings) -> SloMonitor:
    return SloMonitor(
        offers,
        weight=settings.monitor_weight,
        threshold_share=settings.monitor_threshold_share,
        cool_down_rounds=settings.monitor_cool_down_rounds,
        offer=settings.monitor_offer,
        limits=settings.limits,
    )
