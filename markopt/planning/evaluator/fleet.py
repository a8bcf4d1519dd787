"""Billed counts turned into launches, ready instances, and what they cost."""

from __future__ import annotations

import math

from markopt.core import Offer, Problem


class OfferRow:
    """One offer's billed counts turned into launches, terminations and ready instances."""

    def __init__(self, problem: Problem, offer: Offer, billed: list[int]) -> None:
        fleet = problem.fleet.of(offer.name)
        self.offer, self.interval_s = offer, problem.interval_s
        self.noticed = min(fleet.noticed, fleet.ready)
        self.ready_now = fleet.ready - self.noticed
        self.billed_now = fleet.billed - self.noticed
        self.delay = math.ceil(offer.launch_delay_s / problem.interval_s - 1e-9)
        self.lasting = billed
        before = self.billed_now
        self.launches, self.ended = [], []
        for count in billed:
            self.launches.append(max(count - before, 0))
            self.ended.append(max(before - count, 0))
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
        """Return the bill of what a plan targets, and of noticed instances for one interval."""
        return (sum(self.lasting) + self.noticed) * self.price_usd

    @property
    def price_usd(self) -> float:
        """Price of an instance and interval."""
        return self.offer.price_usd_per_s * self.interval_s

    @property
    def replacement_share(self) -> float:
        """Expected boot intervals for what is interrupted, per billed interval."""
        return self.offer.interruption_per_h / 3600.0 * self.interval_s * self.delay

    def replacement_usd(self) -> float:
        """Return expected boot bills for what is interrupted."""
        return self.replacement_share * self.price_usd * sum(self.lasting)

    def decided_usd(self, waiting: int) -> float:
        """Return the bill less that of ``waiting`` pending intervals, which no decision changes."""
        counts = sum(self.lasting) - waiting
        return counts * self.price_usd * (1.0 + self.replacement_share)

    def throughput_rps(self, t: int, share: float) -> float:
        """Return throughput in interval t; noticed instances serve in the first only."""
        safe = self.ready[t] * share + (self.noticed if t == 0 else 0)
        return self.offer.saturation_rps * safe

    def broken_minimum(self) -> bool:
        """Return whether a launch ends before what is billed at least is over."""
        minimum = math.ceil(self.offer.minimum_billed_s / self.interval_s - 1e-9)
        if minimum <= self.delay + 1:
            return False
        return any(
            self.ready[t] < sum(self.launches[max(t - minimum + 1, 0) : max(t - self.delay + 1, 0)])
            for t in range(len(self.ready))
        )
