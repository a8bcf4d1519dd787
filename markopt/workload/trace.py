"""Request traces in memory: rates on bins with a catalogue of gaps, or single request times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError
from markopt.workload.processes import check_steps
from markopt.workload.settings import check_choice

GapRule = Literal["error", "hold", "interpolate", "split"]
GAP_RULES: tuple[GapRule, ...] = ("error", "hold", "interpolate", "split")

# A step of one and a half bins or more hides at least one bin; a smaller one is clock drift.
_GAP_STEP = 1.5
# What a gap is filled with is an average over up to so long beside it, not one noisy bin.
_FILL_WINDOW_S = 300.0
# A bridge over a gap of years needs no bin for every second.
_MOST_PIECES = 100_000


@final
@dataclass(frozen=True)
class Gap:
    """A hole in a trace: ``length_s`` without data from ``start_s`` (since the trace's start)."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """Where data starts again."""
        return self.start_s + self.length_s


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """Mean request rates on consecutive bins, which start at 0.

    ``edges_s`` has shape (n + 1,), ``rate_rps`` (n,); NaN is a gap not yet filled. ``origin_s`` is
    the file's own time of 0, ``bin_s`` the modal bin width. ``gaps`` lists every hole of the file,
    and goes on to list it once it is filled.

    Raises:
        DataError: edges do not rise from 0, or a rate is negative or infinite.
    """

    name: str
    origin_s: float
    bin_s: float
    edges_s: Floats
    rate_rps: Floats
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges_s", frozen_floats(self.edges_s))
        object.__setattr__(self, "rate_rps", frozen_floats(self.rate_rps))
        level = np.where(np.isnan(self.rate_rps), 0.0, self.rate_rps)
        check_steps(self.edges_s, level, f"Trace '{self.name}'")

    @classmethod
    def from_rows(
        cls, name: str, times_s: NDArray[np.float64], values: NDArray[np.float64], *, counts: bool
    ) -> Self:
        """Build a trace from rows (bin start, count or rate), at least two, strictly rising.

        The bin width is the modal difference. A row holds until the next one or, where the next
        bins are missing, for one bin width.
        """
        steps_s = np.diff(times_s)
        least_s = float(steps_s.min())
        widths, frequency = np.unique(np.round(steps_s / least_s, 6), return_counts=True)
        bin_s = float(widths[np.argmax(frequency)]) * least_s
        is_gap = np.append(steps_s >= _GAP_STEP * bin_s, False)
        starts_s = times_s - times_s[0]
        ends_s = np.append(starts_s[1:], starts_s[-1] + bin_s)
        gap_at = np.flatnonzero(is_gap)
        gap_starts_s = starts_s[gap_at] + bin_s
        gap_ends_s = ends_s[gap_at]
        ends_s = ends_s.copy()
        ends_s[gap_at] = gap_starts_s
        rates_rps = values / (ends_s - starts_s) if counts else values
        edges_s = np.append(np.insert(starts_s, gap_at + 1, gap_starts_s), starts_s[-1] + bin_s)
        gaps = tuple(
            Gap(float(a), float(b - a)) for a, b in zip(gap_starts_s, gap_ends_s, strict=True)
        )
        rates_rps = np.insert(rates_rps, gap_at + 1, np.nan)
        return cls(name, float(times_s[0]), bin_s, edges_s, rates_rps, gaps)

    @property
    def duration_s(self) -> float:
        """Time from the first bin's start to the last one's end, gaps included."""
        return float(self.edges_s[-1])

    def filled(self, rule: GapRule) -> Self:
        """Return the trace without NaN.

        ``hold`` goes on with the mean rate before the gap, ``interpolate`` goes in a line from
        there to the mean rate after it; both means over the gap's length or 300 s, whichever is
        less. ``split`` keeps the longest span without gap (the first of equals), which then starts
        at 0 with ``origin_s`` moved. ``error`` accepts no gap. Only ``interpolate`` lets what
        comes after a gap bear on the load within it.

        Raises:
            DataError: there is a gap and ``rule`` is ``error``.
            ConfigError: the rule is unknown.
        """
        check_choice("gaps", rule, GAP_RULES)
        if not self.gaps or not np.any(np.isnan(self.rate_rps)):
            return self
        if rule == "error":
            first = self.gaps[0]
            raise DataError(
                f"{self.name}: gap of {first.length_s:g} s from {self.origin_s + first.start_s:g} "
                f"s on (the first of {len(self.gaps)}); choose workload.gaps=hold, interpolate or "
                f"split"
            )
        return self._longest_span() if rule == "split" else self._bridged(rule == "interpolate")

    def mean_rates(self, start_s: float, interval_s: float, count: int) -> NDArray[np.float64]:
        """Return the mean rate of ``count`` intervals from ``start_s``, gaps counted as 0."""
        bounds_s = start_s + interval_s * np.arange(count + 1)
        requests = np.interp(bounds_s, self.edges_s, self._requests_before())
        return np.asarray(np.maximum(np.diff(requests), 0.0) / interval_s, dtype=np.float64)

    def gap_shares(self, start_s: float, interval_s: float, count: int) -> NDArray[np.float64]:
        """Return the share of each of ``count`` intervals from ``start_s`` that lies in a gap."""
        bounds_s = start_s + interval_s * np.arange(count + 1)
        if not self.gaps:
            return np.zeros(count)
        edges_s = np.array([[g.start_s, g.end_s] for g in self.gaps]).ravel()
        lengths_s = np.array([[g.length_s, 0.0] for g in self.gaps]).ravel()
        missing_s = np.interp(bounds_s, edges_s, np.concatenate([[0.0], np.cumsum(lengths_s)[:-1]]))
        return np.asarray(np.diff(missing_s) / interval_s, dtype=np.float64)

    def _requests_before(self) -> NDArray[np.float64]:
        known = np.where(np.isnan(self.rate_rps), 0.0, self.rate_rps)
        return np.concatenate([[0.0], np.cumsum(known * np.diff(self.edges_s))])

    def _known_before(self) -> NDArray[np.float64]:
        known = np.isfinite(self.rate_rps)
        return np.concatenate([[0.0], np.cumsum(known * np.diff(self.edges_s))])

    def _mean_between(
        self, starts_s: NDArray[np.float64], ends_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        requests, known = self._requests_before(), self._known_before()
        total = np.interp(ends_s, self.edges_s, requests) - np.interp(
            starts_s, self.edges_s, requests
        )
        time_s = np.interp(ends_s, self.edges_s, known) - np.interp(starts_s, self.edges_s, known)
        return np.asarray(np.maximum(total, 0.0) / time_s, dtype=np.float64)

    def _bridged(self, interpolate: bool) -> Self:
        at = np.flatnonzero(np.isnan(self.rate_rps))
        starts_s, ends_s = self.edges_s[at], self.edges_s[at + 1]
        window_s = np.clip(ends_s - starts_s, self.bin_s, max(_FILL_WINDOW_S, self.bin_s))
        before = self._mean_between(starts_s - window_s, starts_s)
        after = self._mean_between(ends_s, ends_s + window_s) if interpolate else before
        edges: list[NDArray[np.float64]] = []
        rates: list[NDArray[np.float64]] = []
        done = 0
        for index, gap in enumerate(at):
            length_s = ends_s[index] - starts_s[index]
            pieces = min(max(round(length_s / self.bin_s), 1), _MOST_PIECES)
            middle = (np.arange(pieces) + 0.5) / pieces
            edges += [
                self.edges_s[done:gap],
                starts_s[index] + length_s * np.arange(pieces) / pieces,
            ]
            rates += [
                self.rate_rps[done:gap],
                (1.0 - middle) * before[index] + middle * after[index],
            ]
            done = int(gap) + 1
        edges.append(self.edges_s[done:])
        rates.append(self.rate_rps[done:])
        return type(self)(
            self.name,
            self.origin_s,
            self.bin_s,
            np.concatenate(edges),
            np.concatenate(rates),
            self.gaps,
        )

    def _longest_span(self) -> Self:
        at = np.flatnonzero(np.isnan(self.rate_rps))
        firsts = np.concatenate([[0], at + 1])
        lasts = np.concatenate([at, [len(self.rate_rps)]])
        chosen = int(np.argmax(self.edges_s[lasts] - self.edges_s[firsts]))
        first, last = int(firsts[chosen]), int(lasts[chosen])
        start_s = float(self.edges_s[first])
        return type(self)(
            self.name,
            self.origin_s + start_s,
            self.bin_s,
            self.edges_s[first : last + 1] - start_s,
            self.rate_rps[first:last],
        )


@final
@dataclass(frozen=True, eq=False)
class RequestTrace:
    """Sorted times of single requests, since the whole second in which the first one came.

    ``origin_s`` is the file's own time of 0. The trace ends with the whole second of its last
    request.

    Raises:
        DataError: times are not finite, not sorted or before 0.
    """

    name: str
    origin_s: float
    times_s: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "times_s", frozen_floats(self.times_s))
        times_s = self.times_s
        if len(times_s) == 0 or not np.all(np.isfinite(times_s)) or np.any(np.diff(times_s) < 0.0):
            raise DataError(f"Trace '{self.name}': times_s must be finite, sorted and some")
        if times_s[0] < 0.0:
            raise DataError(f"Trace '{self.name}': times_s must be 0 or later, got {times_s[0]}")

    @property
    def duration_s(self) -> float:
        """Time from 0 to the end of the last request's whole second."""
        return float(np.floor(self.times_s[-1]) + 1.0)

    def binned(self, bin_s: float = 1.0) -> Trace:
        """Return the counts per bin as a trace. A silent bin is a zero: it cannot be told apart.

        Raises:
            DataError: the bin width is not positive.
        """
        if not bin_s > 0.0:
            raise DataError(f"Trace '{self.name}': bin_s must be positive, got {bin_s}")
        bins = int(np.ceil(self.duration_s / bin_s - 1e-9))
        edges_s = np.asarray(bin_s * np.arange(bins + 1), dtype=np.float64)
        counts = np.histogram(self.times_s, edges_s)[0]
        return Trace(self.name, self.origin_s, bin_s, edges_s, counts / bin_s)
