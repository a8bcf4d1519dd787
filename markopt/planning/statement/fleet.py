"""A problem's offers and fleet as arrays over (offer, interval)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Problem
from markopt.planning.requirement import launch_delay_intervals

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class FleetData:
    """Offers and fleet as arrays; k offers, t intervals. Letters as in docs/formulation.md.

    ``mu`` saturation throughput, ``c`` USD per interval, ``d`` launch delay in intervals,
    ``relaunch`` expected USD per billed interval for replacing what is interrupted, ``m`` intervals
    that a launch is billed at least; ``ready`` instances that can be counted on, ``arriving[k,t]``
    pending ones that become ready at the start of t, ``pending[k,t]`` those still launching during
    t, ``noticed`` those that serve in interval 0 only. ``stock`` and ``vcpus`` bound billed counts;
    inf means without a limit.
    """

    offers: tuple[Offer, ...]
    mu: Array
    c: Array
    d: Indices
    m: Indices
    relaunch: Array
    ready: Array
    arriving: Array
    pending: Array
    noticed: Array
    stock: Array
    vcpus: Array

    def of(self, offers: Indices) -> FleetData:
        """Return the data of some of the offers, by their numbers."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        arrays = {key: value[offers] for key, value in values.items() if key != "offers"}
        return FleetData(offers=tuple(self.offers[k] for k in offers.tolist()), **arrays)

    @property
    def billed_now(self) -> Array:
        """Billed counts that can be counted on: ready or launching, without notice."""
        return np.asarray(self.ready + self.arriving.sum(axis=1) + self._later, dtype=np.float64)

    @property
    def _later(self) -> Array:
        return np.asarray(self.pending[:, -1], dtype=np.float64)

    @property
    def committed_usd(self) -> float:
        """Bill that no decision changes: pending instances until ready, noticed ones now."""
        waiting = (self.c + self.relaunch) @ self.pending.sum(axis=1)
        return float(waiting + self.c @ self.noticed)

    @property
    def noticed_rps(self) -> float:
        """Throughput of the noticed instances in interval 0."""
        return float(self.mu @ self.noticed)


def fleet_data(problem: Problem, offers: Sequence[Offer]) -> FleetData:
    """Return the arrays of ``offers`` in this problem."""
    interval_s, horizon = problem.interval_s, problem.horizon
    delays = [launch_delay_intervals(offer, interval_s) for offer in offers]
    price = np.array([offer.price_usd_per_s * interval_s for offer in offers])
    hazard = np.array([offer.interruption_per_h / SECONDS_PER_HOUR for offer in offers])
    arriving = np.zeros((len(offers), horizon))
    pending = np.zeros((len(offers), horizon))
    for row, offer in enumerate(offers):
        for ready_in_s in problem.fleet.of(offer.name).pending_ready_in_s:
            at = max(math.ceil(ready_in_s / interval_s - 1e-9), 0)
            pending[row, : min(at, horizon)] += 1.0
            if at < horizon:
                arriving[row, at] += 1.0
    fleets = [problem.fleet.of(offer.name) for offer in offers]
    noticed = np.array([float(min(fleet.noticed, fleet.ready)) for fleet in fleets])
    return FleetData(
        offers=tuple(offers),
        mu=np.array([offer.saturation_rps for offer in offers]),
        c=price,
        d=np.array(delays, dtype=np.int64),
        m=np.array([math.ceil(o.minimum_billed_s / interval_s - 1e-9) for o in offers]),
        relaunch=hazard * interval_s * price * np.array(delays, dtype=np.float64),
        ready=np.array([float(fleet.ready) for fleet in fleets]) - noticed,
        arriving=arriving,
        pending=pending,
        noticed=noticed,
        stock=np.array([np.inf if o.stock is None else float(o.stock) for o in offers]),
        vcpus=np.array([offer.vcpus for offer in offers]),
    )
