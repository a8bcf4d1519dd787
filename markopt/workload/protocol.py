"""What the rest of markopt needs of a workload: a history, and arrivals to replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries


class ArrivalProcess(Protocol):
    """A seeded source of request arrival times."""

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the sorted arrival times in [start_s, end_s).

        Calls go forward in time, block after block; a process may carry state from one block to
        the next. The same sequence of blocks with the same generator gives the same times.
        """
        ...


@dataclass(frozen=True, eq=False)
class Workload:
    """One span of load to be served, and the past that may be learnt from.

    Times are seconds since the trace's start. ``history`` ends at ``start_s``; ``new_arrivals``
    makes a fresh arrival process for [start_s, end_s), so that every policy replays the same.
    """

    name: str
    history: RateSeries
    start_s: float
    end_s: float
    source: ArrivalSource

    def new_arrivals(self) -> ArrivalProcess:
        """Return a fresh process at ``start_s``."""
        return self.source.new_process()


class ArrivalSource(Protocol):
    """Makes arrival processes that all start from the same state."""

    def new_process(self) -> ArrivalProcess:
        """Return a process positioned at the start of the evaluated span."""
        ...
