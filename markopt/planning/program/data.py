"""The program's data: a problem's offers, fleet and demand as arrays over (offer, interval)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Problem
from markopt.planning.requirement import launch_delay_intervals, required_rps

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
SpillUnits = Literal["requests", "throughput"]

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class FleetData:
    """Offers and fleet as arrays; k offers, t intervals. Letters as in docs/formulation.md.

    ``mu`` saturation throughput, ``a`` expected available share, ``c`` USD per interval, ``d``
    launch delay in intervals, ``relaunch`` expected USD per billed interval for replacing what is
    interrupted, ``m`` intervals that a launch is billed at least; ``ready`` instances that can be
    counted on, ``arriving[k,t]`` pending ones that become ready at the start of t, ``pending[k,t]``
    those still launching during t, ``noticed`` those that serve in interval 0 only.
    ``stock`` and ``vcpus`` bound billed counts; inf means without a limit.
    """

    offers: tuple[Offer, ...]
    mu: Array
    a: Array
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
    delay_s = np.array([offer.launch_delay_s for offer in offers])
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
        a=np.clip(1.0 - hazard * (delay_s + interval_s), 0.0, 1.0),
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


@dataclass(frozen=True, eq=False)
class DemandData:
    """Demand scenarios by interval, largest first, with what a shortage of each costs.

    Shapes (scenarios, horizon). ``q`` required throughput, ``demand`` the rate, ``p`` probability,
    ``slope`` spilled requests per unit of throughput short (eta = D/Q, or 1).
    ``expected_rps`` is the expected rate per interval.
    """

    q: Array
    demand: Array
    p: Array
    slope: Array
    expected_rps: Array

    def spill_rps(self, capacity_rps: Array) -> Array:
        """Return the spill of each scenario, requests/s, at a capacity per interval."""
        return np.asarray(
            self.slope * np.maximum(self.q - capacity_rps[None, :], 0.0), dtype=np.float64
        )

    def expected_spill_rps(self, capacity_rps: Array) -> Array:
        """Return E spill per interval."""
        return np.asarray((self.p * self.spill_rps(capacity_rps)).sum(axis=0), dtype=np.float64)

    def expected_excess_rps(self, capacity_rps: Array, warm_rps: Array) -> Array:
        """Return E(spill - warm_rps)+ per interval."""
        beyond = np.maximum(self.spill_rps(capacity_rps) - warm_rps[None, :], 0.0)
        return np.asarray((self.p * beyond).sum(axis=0), dtype=np.float64)


def demand_data(
    problem: Problem, mix: Mapping[str, float], headroom: float, spill_units: SpillUnits
) -> DemandData:
    """Return the sorted demand scenarios of the forecast times ``headroom`` for a fleet's mix.

    In ``requests`` a shortage spills demand in proportion (D at no capacity, none at Q); in
    ``throughput`` a request counts Q/D times. The order by Q is the order by D.
    """
    demand = problem.forecast.paths_rps * headroom
    order = np.argsort(-demand, axis=0, kind="stable")
    demand = np.take_along_axis(demand, order, axis=0)
    p = problem.forecast.probabilities[order]
    q = required_rps(problem, demand, mix)
    expected = np.asarray((p * demand).sum(axis=0), dtype=np.float64)
    if spill_units == "throughput":
        return DemandData(q, q, p, np.ones_like(q), expected)
    slope = np.divide(demand, q, out=np.zeros_like(q), where=q > 0.0)
    return DemandData(q, demand, p, slope, expected)
