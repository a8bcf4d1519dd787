"""Requests per bin, as the load balancer counts them and as its log tells how they ended."""

from __future__ import annotations

import math
from typing import Any, final

NAMES = ("arrivals", "late", "refused", "spilled")
_REFUSED = frozenset({429, 503})


@final
class RequestCounts:
    """Counts by bin of the cloud's time.

    Args:
        start_s: begin of the first bin.
        bin_s: width.
        rt_max_s: later answers are late.
        speed: the cloud's seconds per real one, in which the log gives times.
    """

    def __init__(self, *, start_s: float, bin_s: float, rt_max_s: float, speed: float) -> None:
        self._start_s = start_s
        self._bin_s = bin_s
        self._rt_max_s = rt_max_s
        self._speed = speed
        self._bins: dict[str, list[int]] = {name: [] for name in NAMES}
        self._counted = 0
        self.closed = 0
        self.answered = 0

    def ended(self, now_s: float) -> int:
        """Return how many bins have ended."""
        return max(math.floor((now_s - self._start_s) / self._bin_s + 1e-9), 0)

    def end_s(self, number: int) -> float:
        """Return when a bin ends."""
        return self._start_s + (number + 1) * self._bin_s

    def _add(self, name: str, number: int, amount: int = 1) -> None:
        bins = self._bins[name]
        if number >= len(bins):
            bins.extend([0] * (number + 1 - len(bins)))
        bins[max(number, 0)] += amount

    def close_bins(self, total: int, upto: int) -> None:
        """Put requests that came since the last time into the bins that have ended meanwhile.

        ``total`` counts from the begin. Where several bins ended they are shared out evenly.
        """
        behind = upto - self.closed
        if behind <= 0:
            return
        fresh = total - self._counted
        for at in range(behind):
            share = fresh * (at + 1) // behind - fresh * at // behind
            self._add("arrivals", self.closed + at, share)
        self._counted, self.closed = total, upto

    def spilled(self, now_s: float) -> None:
        """Count a request that functions accepted."""
        self._add("spilled", max(self.ended(now_s), self.closed))

    def log_line(self, line: str, now_s: float) -> None:
        """Count how a request ended: ``response_ms status backend server``.

        A request whose server was taken (502), or whose client left, was never answered: late.
        """
        fields = line.split()
        if len(fields) != 4:
            return
        response_s = float(fields[0]) / 1000.0 * self._speed
        status = int(fields[1])
        self.answered += 1
        number = max(self.ended(now_s), self.closed)
        if status in _REFUSED:
            self._add("refused", number)
        elif status != 200 or response_s > self._rt_max_s:
            self._add("late", number)

    def between(self, first: int, upto: int) -> dict[str, Any]:
        """Return the counts of bins ``first`` to ``upto``, that one left out."""
        found = {}
        for name, bins in self._bins.items():
            padded = bins + [0] * max(upto - len(bins), 0)
            found[name] = padded[first:upto]
        return found
