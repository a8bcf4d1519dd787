"""One thing that is wrong with a trace, and the bins that detectors look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.workload.trace import Trace

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Finding:
    """Suspicious data: ``length_s`` from ``start_s`` (since the trace's start), and why.

    ``kind`` is one of ``KINDS``; ``evidence`` one line of figures.
    """

    kind: str
    start_s: float
    length_s: float
    evidence: str

    @property
    def end_s(self) -> float:
        """Where the suspicious stretch ends."""
        return self.start_s + self.length_s


@final
@dataclass(frozen=True, eq=False)
class Bins:
    """A trace's bins with data: where they start, how wide they are, what they count.

    ``joined[i]`` tells that bin i follows bin i - 1 without a gap. All of shape (n,).
    """

    starts_s: Array
    widths_s: Array
    rates_rps: Array
    counts: Array
    joined: NDArray[np.bool_]

    @classmethod
    def of(cls, trace: Trace) -> Self:
        """Return the bins of a trace whose gaps are not filled."""
        known = np.isfinite(trace.rate_rps)
        starts_s = trace.edges_s[:-1][known]
        widths_s = np.diff(trace.edges_s)[known]
        rates = trace.rate_rps[known]
        ends_s = np.concatenate([[-np.inf], starts_s[:-1] + widths_s[:-1]])
        joined = np.abs(starts_s - ends_s) < 0.5 * trace.bin_s
        return cls(starts_s, widths_s, rates, rates * widths_s, joined)

    def __len__(self) -> int:
        return len(self.starts_s)

    def finding(self, kind: str, first: int, last: int, evidence: str) -> Finding:
        """Return a finding on the bins first .. last - 1."""
        start_s = float(self.starts_s[first])
        end_s = float(self.starts_s[last - 1] + self.widths_s[last - 1])
        return Finding(kind, start_s, end_s - start_s, evidence)

    def runs(self, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return (first, last + 1) of each gapless run of bins where ``inside`` holds, (runs, 2).

        ``inside`` (n,) is about single bins.
        """
        padded = np.concatenate([[False], inside, [False]])
        before = padded[:-2] & self.joined
        after = np.concatenate([padded[2:-1] & self.joined[1:], [False]])
        firsts = np.flatnonzero(inside & ~before)
        lasts = np.flatnonzero(inside & ~after) + 1
        return np.stack([firsts, lasts], axis=1)
