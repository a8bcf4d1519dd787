"""A fleet in mind, beside the real one: what a policy would have run, and what that would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.protocol import Backend
from markopt.control.weights import carried_rps, ready_throughput_rps
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
    Offer,
    RequiredThroughput,
)

_COUNTED = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY)


@dataclass
class _Imagined:
    """An instance in mind: since when, and from when on it serves."""

    offer: str
    since_s: float
    ready_s: float


@final
class ShadowFleet:
    """Wraps a back end that is only looked at, and shows an imagined fleet in its place.

    It begins as the real fleet is at the first look. A launch is had at once and serves after its
    offer's launch delay; nothing is refused or interrupted. Requests are the real ones. How the
    imagined fleet would have served them nobody knows; what it could not have carried within the
    SLO, by the calibrated capacity and 5 s bins, counts as spilled and is billed as functions. No
    other misses are shown. ``real_bill_usd`` is the real fleet's bill since the first look.
    """

    def __init__(
        self,
        inner: Backend,
        offers: Sequence[Offer],
        function: FunctionOffer | None,
        required_throughput: RequiredThroughput,
    ) -> None:
        self._inner = inner
        self._offers = {offer.name: offer for offer in offers}
        self._function = function
        self._required_throughput = required_throughput
        self._fleet: dict[str, _Imagined] | None = None
        self._warm = 0
        self._now_s = 0.0
        self._bill_usd = 0.0
        self._first_bill_usd: float | None = None
        self.real_bill_usd = 0.0

    def observe(self) -> Observation:
        """Return the real requests, and the imagined fleet."""
        seen = self._inner.observe()
        if self._first_bill_usd is None:
            self._first_bill_usd = seen.bill_usd
        self.real_bill_usd = seen.bill_usd - self._first_bill_usd
        spilled = self._move(seen)
        none = np.zeros(len(seen.arrivals), dtype=np.int64)
        return replace(
            seen,
            instances=self._statuses(),
            late=none,
            refused=none,
            spilled=spilled,
            warm_functions=self._warm,
            bill_usd=self._bill_usd,
        )

    def apply(self, actions: Actions) -> ActionReport:
        """Change the imagined fleet."""
        fleet = self._fleet or {}
        launched: dict[str, tuple[str, ...]] = {}
        for name, count in actions.launch.items():
            ids = [f"shadow-{actions.decision_id}-{name}-{place}" for place in range(count)]
            for instance_id in ids:
                ready_s = self._now_s + self._offers[name].launch_delay_s
                fleet[instance_id] = _Imagined(name, self._now_s, ready_s)
            launched[name] = tuple(ids)
        ended = tuple(i for i in actions.terminate if i in fleet)
        for instance_id in ended:
            gone = fleet.pop(instance_id)
            offer = self._offers[gone.offer]
            least_s = offer.minimum_billed_s - (self._now_s - gone.since_s)
            self._bill_usd += max(least_s, 0.0) * offer.price_usd_per_s
        self._fleet = fleet
        if actions.warm_functions is not None:
            self._warm = actions.warm_functions
        return ActionReport(actions.decision_id, launched, ended)

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        self._inner.advance(until_s)

    def close(self) -> Ledger:
        """End nothing, and return the imagined bill."""
        return Ledger({"shadow": self._bill_usd}, {}, 0, 0)

    def again_observed(self, observation: Observation) -> None:
        """Come into the state in which this was shown, from the journal."""
        self._move(observation)
        self._bill_usd = observation.bill_usd

    def again_applied(self, actions: Actions, report: ActionReport) -> None:
        """Change the imagined fleet as before; ``report`` is what came of it."""
        self.apply(actions)

    def _move(self, seen: Observation) -> NDArray[np.int64]:
        """Let the imagined fleet come to the time of a look; return what it would have spilled."""
        if self._fleet is None:
            self._fleet = {
                i.instance_id: _Imagined(i.offer, seen.time_s - i.age_s, seen.time_s + i.ready_in_s)
                for i in seen.instances
                if i.offer in self._offers and i.state in _COUNTED
            }
            self._warm = seen.warm_functions
            self._now_s = seen.time_s
            return np.zeros(len(seen.arrivals), dtype=np.int64)
        passed_s = max(seen.time_s - self._now_s, 0.0)
        spilled = self._spilled(seen)
        price_usd_per_s = sum(
            seen.spot_price_usd_per_s.get(i.offer, self._offers[i.offer].price_usd_per_s)
            for i in self._fleet.values()
        )
        if self._function is not None:
            price_usd_per_s += self._warm * self._function.warm_price_usd_per_s
            self._bill_usd += float(spilled.sum()) * self._function.price_usd_per_request
        self._bill_usd += passed_s * price_usd_per_s
        self._now_s = max(seen.time_s, self._now_s)
        return spilled

    def _spilled(self, seen: Observation) -> NDArray[np.int64]:
        arrivals = seen.arrivals
        if not len(arrivals):
            return np.zeros(0, dtype=np.int64)
        throughput_rps = ready_throughput_rps(self._offers, self._statuses())
        most_rps = float(arrivals.max()) / seen.bin_s
        carried = carried_rps(self._required_throughput, throughput_rps, max(most_rps, 1e-9))
        over = np.maximum(arrivals - np.ceil(carried * seen.bin_s - 1e-6), 0.0)
        return np.asarray(over, dtype=np.int64)

    def _statuses(self) -> tuple[InstanceStatus, ...]:
        return tuple(
            InstanceStatus(
                instance_id,
                one.offer,
                InstanceState.READY if one.ready_s <= self._now_s else InstanceState.BOOTING,
                self._now_s - one.since_s,
                max(one.ready_s - self._now_s, 0.0),
            )
            for instance_id, one in sorted((self._fleet or {}).items())
        )
