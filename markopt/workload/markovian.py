"""Markovian arrival processes: definition, checks and theory of MAP and MMPP(2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError
from markopt.workload.processes import MarkovianArrivals


@final
@dataclass(frozen=True, eq=False)
class MapSource:
    """A Markovian arrival process MAP(D0, D1), rates per second.

    ``d0[i, j]``, i ≠ j: rate of silent changes from phase i to j; ``d1[i, j]``: rate of changes
    that bring a request. Rows of D0 + D1 sum to 0 (Neuts 1979; Lucantoni 1991). ``phase`` is where
    a process starts: an index, or None for a draw from the stationary law.

    Raises:
        DataError: the matrices are not a MAP whose every phase is left for ever with events, or
            whose phases do not form one closed class.
    """

    d0: Floats
    d1: Floats
    phase: int | None = None
    stationary: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "d0", frozen_floats(self.d0))
        object.__setattr__(self, "d1", frozen_floats(self.d1))
        _check_map(self.d0, self.d1)
        if self.phase is not None and not 0 <= self.phase < len(self.d0):
            raise DataError(f"MAP: phase must lie in 0..{len(self.d0) - 1}, got {self.phase}")
        object.__setattr__(self, "stationary", frozen_floats(_stationary(self.d0 + self.d1)))

    @classmethod
    def mmpp2(cls, rates_rps: Sequence[float], mean_sojourn_s: Sequence[float]) -> MapSource:
        """Return the MMPP(2) with these Poisson rates and mean times in its two states.

        Raises:
            DataError: a rate is negative, both are 0, or a sojourn is not positive.
        """
        for name, values, low in (
            ("rates_rps", rates_rps, 0),
            ("mean_sojourn_s", mean_sojourn_s, 1),
        ):
            bad = [v for v in values if not math.isfinite(v) or v < 0.0 or (low and v == 0.0)]
            if len(values) != 2 or bad:
                wanted = "positive" if low else "not negative"
                raise DataError(
                    f"MMPP: {name} must be two finite numbers, {wanted}, got {list(values)}"
                )
        leave = [1.0 / s for s in mean_sojourn_s]
        d0 = [[-rates_rps[0] - leave[0], leave[0]], [leave[1], -rates_rps[1] - leave[1]]]
        return cls(np.array(d0), np.diag(rates_rps))

    @property
    def mean_rps(self) -> float:
        """Stationary arrival rate."""
        return float(self.stationary @ self.d1.sum(axis=1))

    def dispersion(self, window_s: float) -> float:
        """Return the stationary variance-to-mean ratio of counts in windows of ``window_s``.

        Var N(t) = λt + 2∫₀ᵗ(t−u)(π D1 e^{Qu} D1 1 − λ²)du, with Q = D0 + D1; through the block
        exponential of Van Loan (1978), so it is exact.
        """
        from scipy.linalg import expm

        size = len(self.d0)
        generator = self.d0 + self.d1
        ones = np.ones(size)
        rate = self.mean_rps
        # Deviation of the conditional rate from its mean decays: project the mean out.
        start = self.stationary @ self.d1 - rate * self.stationary
        block = np.zeros((3 * size, 3 * size))
        block[:size, :size] = generator
        block[:size, size : 2 * size] = np.eye(size)
        block[size : 2 * size, 2 * size :] = np.eye(size)
        twice = expm(block * window_s)[:size, 2 * size :]
        excess = 2.0 * float(start @ twice @ self.d1 @ ones)
        return 1.0 + excess / (rate * window_s)

    def new_process(self) -> MarkovianArrivals:
        """Return a fresh process."""
        size = len(self.d0)
        event_rate = -np.diag(self.d0)
        silent = self.d0 - np.diag(np.diag(self.d0))
        choice = np.cumsum(np.hstack([silent, self.d1]) / event_rate[:, None], axis=1)
        choice[:, 2 * size - 1] = 1.0
        return MarkovianArrivals(event_rate, choice, self.stationary, self.phase)


def _check_map(d0: NDArray[np.float64], d1: NDArray[np.float64]) -> None:
    if d0.ndim != 2 or d0.shape[0] != d0.shape[1] or d1.shape != d0.shape or d0.size == 0:
        raise DataError(f"MAP: D0 and D1 must be square and alike, got {d0.shape} and {d1.shape}")
    if not (np.all(np.isfinite(d0)) and np.all(np.isfinite(d1))):
        raise DataError("MAP: D0 and D1 must be finite")
    off_diagonal = d0 - np.diag(np.diag(d0))
    for name, matrix in (("D0 off its diagonal", off_diagonal), ("D1", d1)):
        if np.any(matrix < 0.0):
            i, j = np.argwhere(matrix < 0.0)[0]
            raise DataError(
                f"MAP: {name} must not be negative, got {matrix[i, j]} in row {i}, column {j}"
            )
    if np.any(np.diag(d0) >= 0.0):
        row = int(np.flatnonzero(np.diag(d0) >= 0.0)[0])
        raise DataError(
            f"MAP: the diagonal of D0 must be negative, got {d0[row, row]} in row {row}"
        )
    sums = (d0 + d1).sum(axis=1)
    bad = np.flatnonzero(np.abs(sums) > 1e-9 * np.abs(np.diag(d0)))
    if bad.size:
        raise DataError(f"MAP: rows of D0 + D1 must sum to 0, got {sums[bad[0]]} in row {bad[0]}")
    if not np.any(d1 > 0.0):
        raise DataError("MAP: D1 must hold a positive rate, else nothing ever arrives")


def _stationary(generator: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(generator)
    system = np.vstack([generator.T, np.ones(size)])
    right = np.zeros(size + 1)
    right[-1] = 1.0
    solution, _, rank, _ = np.linalg.lstsq(system, right, rcond=None)
    if rank < size:
        raise DataError("MAP: the phases must form one class that is never left, got several")
    solution = np.maximum(solution, 0.0)
    total: NDArray[np.float64] = solution / solution.sum()
    return total
