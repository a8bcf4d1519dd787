"""One simulated instance, and the running bill of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markopt.core import InstanceState, InstanceStatus, Offer


@dataclass
class Instance:
    """An instance's life so far.

    ``servers`` are its slots in the engine while it is ready; ``billed`` is set once billing began;
    ``taken_s`` is when a noticed one is taken, with all that it has not answered by then.
    """

    instance_id: str
    offer: Offer
    launched_s: float
    billed_from_s: float
    ready_s: float
    state: InstanceState
    notice: bool = False
    taken_s: float = math.inf
    billed: bool = False
    servers: list[int] = field(default_factory=list)

    def status(self, now_s: float) -> InstanceStatus:
        """Return what the cloud tells about it: the expected, not the drawn, launch delay."""
        ready_in_s = 0.0
        if self.state in (InstanceState.PENDING, InstanceState.BOOTING):
            # An overdue launch is expected any second, so it is never shown as ready.
            ready_in_s = max(self.launched_s + self.offer.launch_delay_s - now_s, 1.0)
        return InstanceStatus(
            instance_id=self.instance_id,
            offer=self.offer.name,
            state=self.state,
            age_s=now_s - self.launched_s,
            ready_in_s=ready_in_s,
            notice=self.notice,
        )


class InstanceBill:
    """What instances cost so far, per offer, in O(offers) at any time.

    Per-second billing from ``billed_from_s`` to the end, at least the offer's minimum.
    """

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._offers = {offer.name: offer for offer in offers}
        self._ended_s = {offer.name: 0.0 for offer in offers}
        self._running = {offer.name: 0 for offer in offers}
        self._running_from_s = {offer.name: 0.0 for offer in offers}

    def start(self, instance: Instance) -> None:
        """Begin to bill an instance, at its ``billed_from_s``."""
        instance.billed = True
        self._running[instance.offer.name] += 1
        self._running_from_s[instance.offer.name] += instance.billed_from_s

    def end(self, instance: Instance, end_s: float) -> None:
        """Stop billing an instance. One ended before billing began costs nothing."""
        if not instance.billed:
            return
        name = instance.offer.name
        self._running[name] -= 1
        self._running_from_s[name] -= instance.billed_from_s
        used_s = end_s - instance.billed_from_s
        if used_s > 0.0:
            self._ended_s[name] += max(used_s, instance.offer.minimum_billed_s)

    def billed_s(self, now_s: float) -> dict[str, float]:
        """Return billed instance-seconds per offer."""
        return {
            name: ended_s + self._running[name] * now_s - self._running_from_s[name]
            for name, ended_s in self._ended_s.items()
        }

    def cost_usd(self, now_s: float) -> dict[str, float]:
        """Return cost per purchase option."""
        cost: dict[str, float] = {}
        for name, billed_s in self.billed_s(now_s).items():
            offer = self._offers[name]
            kind = offer.purchase.value
            cost[kind] = cost.get(kind, 0.0) + billed_s * offer.price_usd_per_s
        return cost
