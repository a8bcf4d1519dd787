"""How good forecasts were: pinball loss, CRPS, coverage, by step of the horizon."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markopt.errors import DataError

LEVELS = (
    *(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98),
)


def path_quantiles(paths: ArrayLike, levels: ArrayLike = LEVELS) -> NDArray[np.float64]:
    """Return quantiles of equally likely paths.

    Args:
        paths: shape (..., samples, horizon).
        levels: shape (levels,), in [0, 1].

    Returns:
        Shape (levels, ..., horizon). Plotting position (k + 1/2)/samples: the median of the
        uniform order statistics, so that a band of few samples is not too narrow.
    """
    values = np.asarray(paths, dtype=np.float64)
    quantiles: NDArray[np.float64] = np.quantile(
        values, np.asarray(levels, dtype=np.float64), axis=-2, method="hazen"
    )
    return quantiles


def pinball_loss(
    paths: ArrayLike, realized: ArrayLike, levels: ArrayLike = LEVELS
) -> NDArray[np.float64]:
    """Return the pinball loss per step, mean over levels; NaN where nothing was realised.

    Args:
        paths: shape (..., samples, horizon).
        realized: shape (..., horizon), NaN where there is no data.
        levels: quantile levels, shape (levels,).

    Returns:
        Shape (..., horizon), in the units of the paths (take logarithms before, if wanted).

    Raises:
        DataError: the shapes do not fit.
    """
    values, truth = _matched(paths, realized)
    tau = np.asarray(levels, dtype=np.float64)
    errors = truth - path_quantiles(values, tau)
    weights = tau.reshape(-1, *([1] * truth.ndim))
    loss: NDArray[np.float64] = np.maximum(weights * errors, (weights - 1.0) * errors).mean(axis=0)
    return loss


def crps(paths: ArrayLike, realized: ArrayLike) -> NDArray[np.float64]:
    """Return the continuous ranked probability score per step from equally likely paths.

    E|X - y| - E|X - X'|/2 of the empirical distribution (Gneiting and Raftery, JASA 102, 2007,
    equation 21), by sorting. Shapes as in ``pinball_loss``.
    """
    values, truth = _matched(paths, realized)
    samples = values.shape[-2]
    spread = np.abs(values - truth[..., None, :]).mean(axis=-2)
    ranks = 2.0 * np.arange(1, samples + 1) - samples - 1.0
    pairs = (ranks[:, None] * np.sort(values, axis=-2)).sum(axis=-2) / samples**2
    score: NDArray[np.float64] = spread - pairs
    return score


def covered(paths: ArrayLike, realized: ArrayLike, share: float = 0.9) -> NDArray[np.float64]:
    """Return per step whether the central band of ``share`` holds what was realised.

    1 inside, 0 outside, NaN where there is no data; shape (..., horizon).
    """
    values, truth = _matched(paths, realized)
    low, high = path_quantiles(values, ((1.0 - share) / 2.0, (1.0 + share) / 2.0))
    inside = ((truth >= low) & (truth <= high)).astype(np.float64)
    return np.where(np.isnan(truth), np.nan, inside)


def coverage(paths: ArrayLike, realized: ArrayLike, share: float = 0.9) -> NDArray[np.float64]:
    """Return the covered share by step of the horizon, over all forecasts with data.

    ``paths`` (forecasts, samples, horizon), ``realized`` (forecasts, horizon); returns (horizon,),
    NaN for a step that was never realised.
    """
    return mean_by_step(covered(paths, realized, share))


def mean_by_step(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the mean over all but the last axis, without NaN; NaN where a step has no score."""
    values = np.asarray(scores, dtype=np.float64)
    flat = values.reshape(-1, values.shape[-1])
    known = np.isfinite(flat)
    count = known.sum(axis=0)
    total = np.where(known, flat, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _matched(
    paths: ArrayLike, realized: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.asarray(paths, dtype=np.float64)
    truth = np.asarray(realized, dtype=np.float64)
    if values.ndim < 2 or truth.shape != (*values.shape[:-2], values.shape[-1]):
        raise DataError(
            f"scores: paths (..., samples, horizon) need realised rates (..., horizon), got "
            f"{values.shape} and {truth.shape}"
        )
    return values, truth
