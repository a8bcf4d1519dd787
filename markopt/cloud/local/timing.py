"""The cloud's time on this machine: a line through the monotonic clock, equal in all processes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class CloudTime:
    """Time ``start_s`` was at ``began_s`` of the monotonic clock; it runs ``speed`` times as fast.

    The monotonic clock counts from the machine's start, so that processes agree on it.
    """

    start_s: float
    began_s: float
    speed: float

    def now_s(self) -> float:
        """Return the cloud's time."""
        return self.start_s + self.speed * (time.monotonic() - self.began_s)

    async def sleep_until(self, time_s: float) -> None:
        """Return when it is ``time_s`` or later."""
        while (left_s := time_s - self.now_s()) > 0.0:
            await asyncio.sleep(min(left_s / self.speed, 3600.0))
