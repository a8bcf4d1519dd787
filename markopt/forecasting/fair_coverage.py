"""Coverage of forecasts of counts: an outcome that many paths share is neither hit nor miss."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markopt.errors import DataError


def level_bounds(paths: ArrayLike, realized: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return the levels between which each outcome lies among equally likely paths.

    With ``below`` paths below the outcome and ``tied`` equal to it, (below - 1/2)/n and
    (below + tied + 1/2)/n, within [0, 1]: the plotting position of ``scores.path_quantiles``. A
    uniform draw between the two is uniform over [0, 1] for a calibrated forecast, of counts too
    (randomised probability integral transform).

    Args:
        paths: shape (..., samples, horizon).
        realized: shape (..., horizon), NaN where there is no data.

    Returns:
        Two arrays of shape (..., horizon), NaN where there is no data.

    Raises:
        DataError: the shapes do not fit.
    """
    values = np.asarray(paths, dtype=np.float64)
    truth = np.asarray(realized, dtype=np.float64)
    if values.ndim < 2 or truth.shape != (*values.shape[:-2], values.shape[-1]):
        raise DataError(
            f"fair_coverage: paths (..., samples, horizon) need realised rates (..., horizon), got "
            f"{values.shape} and {truth.shape}"
        )
    outcome = truth[..., None, :]
    same = np.isclose(values, outcome, rtol=1e-9, atol=1e-12)
    below = ((values < outcome) & ~same).sum(axis=-2).astype(np.float64)
    tied = same.sum(axis=-2)
    count = values.shape[-2]
    known = np.isfinite(truth)
    low = np.where(known, np.maximum(below - 0.5, 0.0) / count, np.nan)
    high = np.minimum(below + tied + 0.5, count) / count
    return low, np.where(known, high, np.nan)


def fairly_covered(
    paths: ArrayLike, realized: ArrayLike, share: float = 0.9
) -> NDArray[np.float64]:
    """Return per step the probability that the outcome's level lies in the central ``share``.

    1 inside, 0 outside, between where the band's edge cuts through the outcome's ties; NaN where
    there is no data; shape (..., horizon).
    """
    low, high = level_bounds(paths, realized)
    edge = (1.0 - share) / 2.0
    inside = np.minimum(high, 1.0 - edge) - np.maximum(low, edge)
    return np.asarray(np.maximum(inside, 0.0) / (high - low))
