"""Arrival processes: draw the requests of one block of time after the other, sorted and seeded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError
from markopt.workload import kernels
from markopt.workload.protocol import ArrivalProcess


def _check_forward(position_s: float, start_s: float, end_s: float) -> None:
    if not position_s - 1e-9 <= start_s <= end_s:
        raise DataError(
            f"arrivals: blocks must go forward in time from {position_s} s, got "
            f"[{start_s}, {end_s}) s"
        )


def check_steps(edges_s: NDArray[np.float64], level: NDArray[np.float64], name: str) -> None:
    """Check that ``edges_s`` rise strictly from 0 or later and that levels are finite and >= 0.

    Raises:
        DataError: they are not, or there is not one edge more than levels.
    """
    if edges_s.ndim != 1 or level.shape != (len(edges_s) - 1,) or len(level) == 0:
        raise DataError(
            f"{name}: needs one edge more than bins, got {edges_s.shape} and {level.shape}"
        )
    if not np.all(np.isfinite(edges_s)) or edges_s[0] < 0.0 or np.any(np.diff(edges_s) <= 0.0):
        raise DataError(f"{name}: edges_s must rise strictly from 0 or later")
    bad = np.flatnonzero(~(np.isfinite(level) & (level >= 0.0)))
    if bad.size:
        raise DataError(
            f"{name}: bin {bad[0]} must be finite and not negative, got {level[bad[0]]}"
        )


def _size_hint(mean: float) -> int:
    return int(mean + 6.0 * math.sqrt(mean) + 64.0)


@final
class PoissonArrivals:
    """Poisson process whose rate is constant between edges; none outside of them."""

    def __init__(self, edges_s: NDArray[np.float64], rate_rps: NDArray[np.float64]) -> None:
        self._edges_s = edges_s
        self._rate_rps = rate_rps
        self._position = np.array([0.0, -1.0])

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the sorted arrival times in [start_s, end_s)."""
        _check_forward(self._position[0], start_s, end_s)
        self._position[0] = start_s
        first = max(int(np.searchsorted(self._edges_s, start_s, side="right")) - 1, 0)
        last = int(np.searchsorted(self._edges_s, end_s, side="left"))
        spans_s = np.diff(np.clip(self._edges_s[first : last + 1], start_s, end_s))
        hint = _size_hint(float(spans_s @ self._rate_rps[first:last]))
        return kernels.collect(
            lambda out: kernels.fill_poisson(
                out, self._position, self._edges_s, self._rate_rps, end_s, rng
            ),
            hint,
        )


@final
class CountArrivals:
    """Exact-count replay: each bin keeps its number of requests, at uniform times within it."""

    def __init__(self, edges_s: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
        self._edges_s = edges_s
        self._expected = expected
        self._position = np.array([-1.0, -1.0, 0.0, -1.0])
        self._until_s = 0.0

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the sorted arrival times in [start_s, end_s)."""
        _check_forward(self._until_s, start_s, end_s)
        if self._position[0] < 0.0:
            first = int(np.searchsorted(self._edges_s, start_s, side="right")) - 1
            self._position[0] = max(first, 0)
        self._until_s = end_s
        times_s = kernels.collect(
            lambda out: kernels.fill_counts(
                out, self._position, self._edges_s, self._expected, end_s, rng
            ),
            kernels.CHUNK,
        )
        return times_s[np.searchsorted(times_s, start_s, side="left") :]


@final
class MarkovianArrivals:
    """Markovian arrival process in continuous time; see ``MapSource``."""

    def __init__(
        self,
        event_rate: NDArray[np.float64],
        choice: NDArray[np.float64],
        stationary: NDArray[np.float64],
        phase: int | None,
    ) -> None:
        self._event_rate = event_rate
        self._choice = choice
        self._stationary = stationary
        self._phase = phase
        self._position: NDArray[np.float64] | None = None
        self._until_s = -math.inf

    @property
    def phase(self) -> int | None:
        """Phase at the end of the last block; None before the first where it is to be drawn."""
        return self._phase if self._position is None else int(self._position[0])

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the sorted arrival times in [start_s, end_s)."""
        _check_forward(self._until_s, start_s, end_s)
        if self._position is None:
            phase = self._phase
            if phase is None:
                phase = int(
                    np.searchsorted(np.cumsum(self._stationary)[:-1], rng.random(), side="right")
                )
            first_s = start_s + rng.standard_exponential() / self._event_rate[phase]
            self._position = np.array([float(phase), first_s])
        position = self._position
        self._until_s = end_s
        times_s = kernels.collect(
            lambda out: kernels.fill_markovian(
                out, position, self._event_rate, self._choice, end_s, rng
            ),
            kernels.CHUNK,
        )
        return times_s[np.searchsorted(times_s, start_s, side="left") :]


@final
class ReplayArrivals:
    """Replay of request times, thinned or superposed with jittered copies of itself."""

    def __init__(self, times_s: NDArray[np.float64], scale: float, jitter_s: float) -> None:
        self._times_s = times_s
        self._scale = scale
        self._jitter_s = jitter_s
        self._next = -1
        self._waiting_s = np.empty(0)
        self._until_s = 0.0

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the sorted arrival times in [start_s, end_s)."""
        _check_forward(self._until_s, start_s, end_s)
        if self._next < 0:
            # Copies of requests just before the span still fall into it.
            lead_s = self._jitter_s if self._scale > 1.0 else 0.0
            self._next = int(np.searchsorted(self._times_s, start_s - lead_s, side="left"))
        last = max(int(np.searchsorted(self._times_s, end_s, side="left")), self._next)
        chosen = self._times_s[self._next : last]
        out = np.empty(math.ceil(self._scale) * len(chosen))
        count = kernels.copy_requests(chosen, self._scale, self._jitter_s, start_s, out, rng)
        self._next, self._until_s = last, end_s
        times_s = np.sort(np.concatenate([self._waiting_s, out[:count]]), kind="stable")
        cut = int(np.searchsorted(times_s, end_s, side="left"))
        self._waiting_s = times_s[cut:]
        return times_s[np.searchsorted(times_s[:cut], start_s, side="left") : cut]


@final
@dataclass(frozen=True, eq=False)
class PoissonSource:
    """Makes Poisson processes with rate ``rate_rps[i]`` on [edges_s[i], edges_s[i+1]).

    Times are exact (exponential gaps by time change; no grid within a bin). Shapes: edges (n+1,),
    rates (n,). Outside the edges nothing arrives.

    Raises:
        DataError: edges do not rise from 0 or later, or a rate is negative or not finite.
    """

    edges_s: Floats
    rate_rps: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges_s", frozen_floats(self.edges_s))
        object.__setattr__(self, "rate_rps", frozen_floats(self.rate_rps))
        check_steps(self.edges_s, self.rate_rps, "PoissonSource")

    def new_process(self) -> ArrivalProcess:
        """Return a fresh process."""
        return PoissonArrivals(self.edges_s, self.rate_rps)


@final
@dataclass(frozen=True, eq=False)
class CountSource:
    """Makes exact-count replays: ``expected[i]`` requests, uniform in [edges_s[i], edges_s[i+1]).

    A fraction of an expected count becomes one request more with that probability. Shapes and
    errors as in ``PoissonSource``.
    """

    edges_s: Floats
    expected: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges_s", frozen_floats(self.edges_s))
        expected = np.asarray(self.expected, dtype=np.float64)
        # Counts that went through a rate and back are whole again.
        whole = np.rint(expected)
        close = np.abs(expected - whole) <= 1e-9 * np.maximum(whole, 1.0)
        object.__setattr__(self, "expected", frozen_floats(np.where(close, whole, expected)))
        check_steps(self.edges_s, self.expected, "CountSource")

    def new_process(self) -> ArrivalProcess:
        """Return a fresh process."""
        return CountArrivals(self.edges_s, self.expected)


@final
@dataclass(frozen=True, eq=False)
class ReplaySource:
    """Replays sorted request times ``times_s``.

    ``scale`` below 1 keeps each request with that probability. Above 1 every request comes
    floor(scale) times, and once more with the probability of the rest: the first at its own time,
    each other moved forward by a uniform time up to ``jitter_s`` (forward only, so that no time
    depends on a later request). Bursts longer than ``jitter_s`` scale; shorter ones are smoothed.

    Raises:
        DataError: times are not finite and sorted, or scale or jitter is out of range.
    """

    times_s: Floats
    scale: float = 1.0
    jitter_s: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "times_s", frozen_floats(self.times_s))
        if not np.all(np.isfinite(self.times_s)) or np.any(np.diff(self.times_s) < 0.0):
            raise DataError("ReplaySource: times_s must be finite and sorted")
        if not 0.0 < self.scale < math.inf:
            raise DataError(f"ReplaySource: scale must be positive and finite, got {self.scale}")
        if not 0.0 <= self.jitter_s < math.inf:
            raise DataError(f"ReplaySource: jitter_s must be at least 0, got {self.jitter_s}")

    def new_process(self) -> ArrivalProcess:
        """Return a fresh process."""
        return ReplayArrivals(self.times_s, self.scale, self.jitter_s)
