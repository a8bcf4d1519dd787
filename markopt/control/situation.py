"""What the loop knows when it decides: counts so far, and the ``Problem`` made of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.control.shortfall import Shortfalls
from markopt.control.spot_price import at_spot_prices
from markopt.core import (
    ActionReport,
    FleetState,
    Forecast,
    FunctionOffer,
    InstanceState,
    Limits,
    Observation,
    Offer,
    OfferFleet,
    Plan,
    Problem,
    RateSeries,
    RequiredThroughput,
    Service,
    SloWindow,
    WarmStart,
)

RECENT_INTERVALS = 60
RECENT_PLANS = 10


@dataclass(frozen=True)
class IntervalCounts:
    """What was observed of one interval.

    The counts are those that arrived with the interval's observations, late reports of earlier
    bins (and what a late look tells of later ones) included, so that over a run nothing is lost.
    ``rate_rps`` and ``bin_rps`` speak of the interval's own bins only; the rate is NaN where fewer
    than half of them came. ``complete`` is False where more than one bin is missing: then the load
    may be unknown. ``suspicion`` says why an interval that reads zero is not believed: its rate is
    NaN then, too. ``bins`` is how many bins there should be.
    """

    arrivals: int
    spilled: int
    late: int
    refused: int
    rate_rps: float
    bin_rps: tuple[float, ...]
    complete: bool
    bins: int
    suspicion: str = ""

    def within_rps(self) -> NDArray[np.float64] | None:
        """Return the bins' rates, shape (1, bins), NaN for those that are missing; None: none."""
        if not self.bin_rps or self.suspicion:
            return None
        rates_rps = np.full((1, self.bins), np.nan)
        newest = self.bin_rps[-self.bins :]
        rates_rps[0, : len(newest)] = newest
        return rates_rps


def fleet_state(observation: Observation, offers: Sequence[Offer]) -> FleetState:
    """Return the fleet as counts, offers in the given order; draining instances are left out."""
    ready = {offer.name: 0 for offer in offers}
    noticed = dict(ready)
    pending: dict[str, list[float]] = {offer.name: [] for offer in offers}
    for instance in observation.instances:
        if instance.offer not in ready:
            continue
        if instance.state is InstanceState.READY:
            ready[instance.offer] += 1
            noticed[instance.offer] += instance.notice
        elif (
            instance.state in (InstanceState.PENDING, InstanceState.BOOTING) and not instance.notice
        ):
            pending[instance.offer].append(instance.ready_in_s)
    return FleetState(
        tuple(
            OfferFleet(name, ready[name], tuple(sorted(pending[name])), noticed[name])
            for name in ready
        ),
        observation.warm_functions,
    )


@final
class Situation:
    """Collects what is observed and done, and states the problem of each decision.

    The SLO is counted in tumbling windows of ``slo.window_s`` from the end of ``history`` on, where
    the run starts: at every window's start the budget of misses is whole again. (A rolling window
    would make the budget depend on requests that no decision can mend any more, and the share per
    tumbling window is what ``RequestStatistics.attainment_by_window`` reports.) A bin counts in the
    window and the interval in which it ends; violations count when they become known.
    """

    def __init__(
        self,
        *,
        service: Service,
        offers: Sequence[Offer],
        function: FunctionOffer | None,
        required_throughput: RequiredThroughput,
        history: RateSeries,
        limits: Limits,
        shortfalls: Shortfalls | None = None,
    ) -> None:
        self._service = service
        self._offers = tuple(offers)
        self._function = function
        self._required_throughput = required_throughput
        self._limits = limits
        self._shortfalls = shortfalls or Shortfalls(avoid_s=0.0)
        self._interval_s = history.interval_s
        self._origin_s = history.end_s
        known = [rate for rate in history.rate_rps.tolist() if not math.isnan(rate)]
        self._history_peak_rps = max(known, default=0.0)
        self._recent_rps = deque(known[-RECENT_INTERVALS:], maxlen=RECENT_INTERVALS)
        self._recent_bin_rps: tuple[float, ...] = ()
        self._recent_targets_rps: deque[float] = deque(maxlen=RECENT_PLANS)
        self._recent_final_targets_rps: deque[float] = deque(maxlen=RECENT_PLANS)
        self._saturation_rps = {offer.name: offer.saturation_rps for offer in offers}
        self._warm_start: WarmStart | None = None
        self._scale_out_s: float | None = None
        self._scale_in_s: float | None = None
        self._window = _Window(self._origin_s, service.slo.window_s)
        self._bin_s = 0.0
        self._bins: list[tuple[float, int]] = []
        self._totals = [0, 0, 0, 0]

    def count(self, observation: Observation) -> None:
        """Take in the counts of an observation."""
        arrivals = observation.arrivals.tolist()
        if not arrivals:
            return
        late = observation.late.tolist()
        refused = observation.refused.tolist()
        bin_s = self._bin_s = observation.bin_s
        elapsed_s = observation.time_s - self._origin_s
        last_end_s = self._origin_s + math.floor(elapsed_s / bin_s + 1e-9) * bin_s
        for place, requests in enumerate(arrivals):
            end_s = last_end_s - (len(arrivals) - 1 - place) * bin_s
            self._bins.append((end_s, requests))
            self._window.count(end_s, requests, late[place] + refused[place])
        totals = (sum(arrivals), sum(observation.spilled.tolist()), sum(late), sum(refused))
        self._totals = [old + new for old, new in zip(self._totals, totals, strict=True)]

    def close_interval(self, start_s: float, end_s: float) -> IntervalCounts:
        """Return what the interval that has just ended brought, and start the next one."""
        rounding_s = 1e-6 * self._interval_s
        later = [entry for entry in self._bins if entry[0] > end_s + rounding_s]
        own = [n for at_s, n in self._bins if start_s + rounding_s < at_s <= end_s + rounding_s]
        expected = 1
        rate_rps = math.nan
        bin_rps: tuple[float, ...] = ()
        if own:
            expected = max(math.floor((end_s - start_s) / self._bin_s + 1e-9), 1)
            bin_rps = tuple(requests / self._bin_s for requests in own)
            if 2 * len(own) >= expected:
                rate_rps = sum(own) / (len(own) * self._bin_s)
        arrivals, spilled, late, refused = self._totals
        counts = IntervalCounts(
            arrivals=arrivals,
            spilled=spilled,
            late=late,
            refused=refused,
            rate_rps=rate_rps,
            bin_rps=bin_rps,
            complete=len(own) >= max(expected - 1, 1),
            bins=expected,
        )
        if not math.isnan(rate_rps):
            self._recent_rps.append(rate_rps)
        self._recent_bin_rps = bin_rps
        self._bins = later
        self._totals = [0, 0, 0, 0]
        return counts

    def disbelieve(self, counts: IntervalCounts, suspicion: str) -> IntervalCounts:
        """Return the counts of the interval just closed as no data, and forget its rate."""
        if self._recent_rps and not math.isnan(counts.rate_rps):
            self._recent_rps.pop()
        self._recent_bin_rps = ()
        return replace(counts, rate_rps=math.nan, bin_rps=(), complete=False, suspicion=suspicion)

    def planned(self, plan: Plan) -> None:
        """Remember the saturation throughput that a plan wants now, and at its horizon's end.

        And where the search for the next plan may begin.
        """
        self._warm_start = plan.warm_start
        mu = np.array([self._saturation_rps[name] for name in plan.offers])
        self._recent_targets_rps.append(float(mu @ plan.targets[:, 0]))
        self._recent_final_targets_rps.append(float(mu @ plan.targets[:, -1]))

    def changed(self, time_s: float, report: ActionReport) -> None:
        """Remember when instances were launched, refused or ended, by the monitor too."""
        if any(report.launched.values()):
            self._scale_out_s = time_s
        if report.terminated:
            self._scale_in_s = time_s
        self._shortfalls.applied(time_s, report)

    def window(self, time_s: float) -> SloWindow:
        """Return the SLO's window at ``time_s``, as far as it has been counted."""
        return self._window.at(time_s)

    def problem(self, time_s: float, observation: Observation, forecast: Forecast) -> Problem:
        """Return the problem of a decision at ``time_s``.

        ``recent_rps`` holds the intervals that were observed: those without data are left out.
        Spot offers have the price of the moment where the market shows one.
        """
        fleet = fleet_state(observation, self._offers)
        offers = at_spot_prices(self._offers, observation.spot_price_usd_per_s, fleet)
        return Problem(
            time_s=time_s,
            interval_s=self._interval_s,
            service=self._service,
            offers=self._shortfalls.to_be_had(time_s, offers, fleet),
            function=self._function,
            fleet=fleet,
            forecast=forecast,
            required_throughput=self._required_throughput,
            window=self._window.at(time_s),
            limits=self._limits,
            history_peak_rps=self._history_peak_rps,
            recent_rps=tuple(self._recent_rps),
            recent_bin_rps=self._recent_bin_rps,
            recent_targets_rps=tuple(self._recent_targets_rps),
            recent_final_targets_rps=tuple(self._recent_final_targets_rps),
            since_scale_out_s=None if self._scale_out_s is None else time_s - self._scale_out_s,
            since_scale_in_s=None if self._scale_in_s is None else time_s - self._scale_in_s,
            warm_start=self._warm_start,
        )


@final
class _Window:
    """Requests and violations of the current tumbling window."""

    def __init__(self, origin_s: float, width_s: float) -> None:
        self._origin_s = origin_s
        self._width_s = width_s
        self._number = 0
        self._requests = 0
        self._violations = 0

    def count(self, bin_end_s: float, requests: int, violations: int) -> None:
        """Add a bin; one of a window that is over already is left out."""
        number = math.ceil((bin_end_s - self._origin_s) / self._width_s - 1e-9) - 1
        if number < self._number:
            return
        if number > self._number:
            self._number, self._requests, self._violations = number, 0, 0
        self._requests += requests
        self._violations += violations

    def at(self, time_s: float) -> SloWindow:
        """Return the window that ``time_s`` lies in, as far as it has been counted."""
        number = math.floor((time_s - self._origin_s) / self._width_s + 1e-9)
        remaining_s = self._origin_s + (number + 1) * self._width_s - time_s
        if number != self._number:
            return SloWindow(0, 0, remaining_s)
        return SloWindow(self._requests, self._violations, remaining_s)
