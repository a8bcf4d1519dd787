"""One simulated instance."""

from __future__ import annotations

import math
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
