"""The time that a live back end goes by: the wall's, a faster one, or one that is stepped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, final

from markopt.errors import ConfigError


class Clock(Protocol):
    """Seconds since the epoch, and waiting for a moment."""

    def now_s(self) -> float:
        """Return the time, seconds since the epoch."""
        ...

    def wait_until(self, time_s: float) -> None:
        """Return when it is ``time_s`` or later."""
        ...


@final
class WallClock:
    """The wall's time; with ``start_s``, time from there on, ``speed`` times as fast.

    At ``began_s`` of the machine's monotonic clock, which all its processes share, it was
    ``start_s``.

    Raises:
        ConfigError: ``speed`` is not positive.
    """

    def __init__(self, *, start_s: float | None = None, speed: float = 1.0) -> None:
        if not speed > 0.0:
            raise ConfigError(f"Clock: speed must be positive, got {speed}")
        self.speed = speed
        self.began_s = time.monotonic()
        self.start_s = time.time() if start_s is None else start_s

    def now_s(self) -> float:
        """Return the time."""
        return self.start_s + self.speed * (time.monotonic() - self.began_s)

    def set_to(self, time_s: float) -> None:
        """Make it ``time_s`` now: of a cloud whose time went on while nobody looked."""
        self.start_s, self.began_s = time_s, time.monotonic()

    def wait_until(self, time_s: float) -> None:
        """Sleep until ``time_s``."""
        while (left_s := time_s - self.now_s()) > 0.0:
            time.sleep(left_s / self.speed)


@final
@dataclass
class SteppedClock:
    """Time that passes only when it is waited for: for rehearsals, which then take no time.

    What a cloud does by itself - booting, an interruption's notice - must go by this clock too.
    """

    time_s: float

    def now_s(self) -> float:
        """Return the time."""
        return self.time_s

    def wait_until(self, time_s: float) -> None:
        """Make it ``time_s``, unless it is later already."""
        self.time_s = max(self.time_s, time_s)
