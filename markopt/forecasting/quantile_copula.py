"""Joint paths from quantiles per step: a Gaussian copula with a measured correlation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from markopt.errors import DataError
from markopt.forecasting.draws import joint_normals

Array = NDArray[np.float64]

_LARGEST_SCORE = 3.0  # beyond the outer levels, quantiles are extended to this normal score


@dataclass(frozen=True, eq=False)
class QuantileCopula:
    """Turns quantiles per step into joint paths.

    ``scores`` (levels,) are the normal scores of the quantile levels; ``correlation`` (horizon,
    horizon) is that of the normal scores of past outcomes; ``spread`` (horizon,) widens (> 1) or
    narrows the quantiles so that the central 90 % held 90 % of past outcomes.
    """

    scores: Array
    correlation: Array
    spread: Array
    _factors: dict[int, Array] = field(default_factory=dict, repr=False)

    @classmethod
    def estimate(
        cls, levels: Array, quantiles: Array, outcomes: NDArray[np.floating]
    ) -> QuantileCopula:
        """Measure correlation and spread.

        Args:
            levels: quantile levels, (levels,).
            quantiles: forecasts of the past, (n, horizon, levels), rising.
            outcomes: what came, (n, horizon), NaN where there is no data.

        Raises:
            DataError: fewer than two outcomes are known over a whole horizon.
        """
        scores = ndtri(levels)
        reached = outcome_scores(scores, quantiles, np.asarray(outcomes, dtype=np.float64))
        whole = reached[np.isfinite(reached).all(axis=1)]
        if len(whole) < 2:
            raise DataError(
                f"Lstm: validation needs at least 2 gapless stretches of {reached.shape[1]} "
                f"intervals, got {len(whole)}"
            )
        ranks = ndtri((rankdata(whole, axis=0) - 0.5) / len(whole))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.nan_to_num(np.corrcoef(ranks, rowvar=False)).reshape(
                reached.shape[1], reached.shape[1]
            )
        np.fill_diagonal(correlation, 1.0)
        spread = np.nanquantile(np.abs(reached), 0.9, axis=0) / ndtri(0.95)
        return cls(scores, correlation, np.clip(spread, 0.7, 1.6))

    def paths(self, quantiles: Array, samples: int, rng: np.random.Generator) -> Array:
        """Return joint paths, (samples, horizon), of quantiles (horizon, levels)."""
        horizon = len(quantiles)
        draws = joint_normals(rng, samples, self._factor(horizon)) * self.spread[:horizon]
        return at_scores(self.scores, quantiles, np.clip(draws, -_LARGEST_SCORE, _LARGEST_SCORE))

    def _factor(self, horizon: int) -> Array:
        if horizon not in self._factors:
            values, vectors = np.linalg.eigh(self.correlation[:horizon, :horizon])
            factor = vectors * np.sqrt(np.maximum(values, 0.0))
            self._factors[horizon] = factor / np.linalg.norm(factor, axis=1, keepdims=True)
        return self._factors[horizon]


def at_scores(scores: Array, quantiles: Array, draws: Array) -> Array:
    """Return quantiles at the given normal scores: linear between levels, and beyond them.

    Args:
        scores: normal scores of the levels, (levels,).
        quantiles: (horizon, levels).
        draws: normal scores wanted, (samples, horizon).
    """
    cell = np.clip(np.searchsorted(scores, draws, side="right") - 1, 0, len(scores) - 2)
    share = (draws - scores[cell]) / (scores[cell + 1] - scores[cell])
    steps = np.arange(len(quantiles))
    low, high = quantiles[steps, cell], quantiles[steps, cell + 1]
    values: Array = low + share * (high - low)
    return values


def outcome_scores(scores: Array, quantiles: Array, outcomes: Array) -> Array:
    """Return the normal score that each outcome reached, (n, horizon): inverse of ``at_scores``."""
    count = (outcomes[..., None] >= quantiles).sum(axis=-1)
    cell = np.clip(count - 1, 0, len(scores) - 2)
    low = np.take_along_axis(quantiles, cell[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(quantiles, cell[..., None] + 1, axis=-1)[..., 0]
    share = (outcomes - low) / np.maximum(high - low, 1e-9)
    reached: Array = scores[cell] + share * (scores[cell + 1] - scores[cell])
    return np.clip(reached, -_LARGEST_SCORE, _LARGEST_SCORE)
