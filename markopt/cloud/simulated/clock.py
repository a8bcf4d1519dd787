"""Simulated time, and what is to happen at which time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import final


@final
class Clock:
    """The time now, and events to come: at equal times in the order in which they were scheduled.

    Args:
        start_s: the time at first.
        end_s: the last time; events after it never happen.
    """

    def __init__(self, start_s: float, end_s: float) -> None:
        self.now_s = start_s
        self.end_s = end_s
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def schedule(self, time_s: float, act: Callable[[], None]) -> None:
        """Let ``act`` happen at ``time_s``, not before now."""
        if time_s <= self.end_s:
            heapq.heappush(self._events, (time_s, next(self._order), act))

    def next_event(self, until_s: float) -> tuple[float, Callable[[], None]] | None:
        """Take the next event at or before ``until_s``: its time and what happens; None: none."""
        if not self._events or self._events[0][0] > until_s:
            return None
        time_s, _, act = heapq.heappop(self._events)
        return time_s, act
