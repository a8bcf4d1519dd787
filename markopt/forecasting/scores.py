"""How good forecasts were: pinball loss, CRPS, coverage, calibration, energy score of paths."""

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
    return quantile_loss(path_quantiles(values, levels), truth, levels)


def quantile_loss(
    quantiles: ArrayLike, realized: ArrayLike, levels: ArrayLike = LEVELS
) -> NDArray[np.float64]:
    """Return the pinball loss of quantiles, mean over levels.

    ``quantiles`` (levels, ...) as of ``path_quantiles``, ``realized`` (...); returns (...), NaN
    where nothing was realised.
    """
    truth = np.asarray(realized, dtype=np.float64)
    errors = truth - np.asarray(quantiles, dtype=np.float64)
    weights = np.asarray(levels, dtype=np.float64).reshape(-1, *([1] * truth.ndim))
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


def energy_score(paths: ArrayLike, realized: ArrayLike) -> NDArray[np.float64]:
    """Return the energy score of equally likely joint paths, one per forecast.

    E|X - y| - E|X - X'|/2 with Euclidean norms over the horizon (Gneiting and Raftery, JASA 102,
    2007, equation 22): for one step the CRPS, for several it also judges how the steps of a path
    hang together. ``paths`` (..., samples, horizon), ``realized`` (..., horizon); returns (...),
    NaN where any step was not realised, since scores of fewer steps do not compare.
    """
    values, truth = _matched(paths, realized)
    reference = values.mean(axis=-2, keepdims=True)
    values = values - reference  # distances stay; squares of small numbers lose fewer digits
    truth = truth - reference[..., 0, :]
    misses = np.sqrt(np.square(values - truth[..., None, :]).sum(axis=-1)).mean(axis=-1)
    squares = np.square(values).sum(axis=-1)
    products = values @ np.swapaxes(values, -1, -2)
    apart = squares[..., :, None] + squares[..., None, :] - 2.0 * products
    spread = np.sqrt(np.maximum(apart, 0.0)).mean(axis=(-2, -1))
    score: NDArray[np.float64] = misses - spread / 2.0
    return score


def pit_bounds(
    paths: ArrayLike, realized: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return between which probabilities each forecast places what was realised.

    Of n equally likely samples with b below the realised value and t equal to it: b/(n + 1) and
    (b + t + 1)/(n + 1). If forecasts are honest, a uniform draw in between is uniform on [0, 1].
    Shapes as in ``pinball_loss``; NaN where there is no data.
    """
    values, truth = _matched(paths, realized)
    samples = values.shape[-2]
    below = (values < truth[..., None, :]).sum(axis=-2)
    up_to = (values <= truth[..., None, :]).sum(axis=-2)
    missing = np.isnan(truth)
    low = np.where(missing, np.nan, below / (samples + 1.0))
    high = np.where(missing, np.nan, (up_to + 1.0) / (samples + 1.0))
    return low, high


def pit_distribution(low: ArrayLike, high: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """Return the mean distribution function of the PIT at ``at``; on the diagonal if honest.

    ``low`` and ``high`` are those of ``pit_bounds``, of any shape; NaN is left out. Each forecast
    counts as uniform between its bounds: the histogram without chance of Czado, Gneiting and Held
    (Biometrics 65, 2009). NaN throughout where there is no data at all.
    """
    first, last = np.ravel(low), np.ravel(high)
    known = np.isfinite(first)
    points = np.asarray(at, dtype=np.float64)
    if not known.any():
        return np.full(points.shape, np.nan)
    first, width = first[known], (last - first)[known]
    shares = [np.clip((point - first) / width, 0.0, 1.0).mean() for point in points.ravel()]
    return np.array(shares).reshape(points.shape)


def pit_histogram(low: ArrayLike, high: ArrayLike, bins: int = 20) -> NDArray[np.float64]:
    """Return the share of the PIT in each of ``bins`` equal bins; 1/bins each if honest.

    A hump says that forecasts are too wide, a trough that they are too narrow, a slope that they
    are too low (rising) or too high (falling).
    """
    return np.diff(pit_distribution(low, high, np.arange(bins + 1) / bins))


def peak_error(paths: ArrayLike, realized: ArrayLike) -> NDArray[np.float64]:
    """Return by how much the forecast peak misses, relative to the realised one.

    The median over paths of a path's largest value, minus the largest realised value, over the
    latter: below 0 where the peak was higher than forecast. ``paths`` (..., samples, horizon),
    ``realized`` (..., horizon); returns (...), NaN where a step was not realised or all were 0.
    """
    values, truth = _matched(paths, realized)
    realized_peak = truth.max(axis=-1)
    forecast_peak = np.median(values.max(axis=-1), axis=-1)
    known = realized_peak > 0.0  # False for NaN
    share = (forecast_peak - realized_peak) / np.where(known, realized_peak, 1.0)
    return np.where(known, share, np.nan)


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
