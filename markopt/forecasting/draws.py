"""Random draws that represent a distribution well with few samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri


def joint_normals(
    rng: np.random.Generator, samples: int, factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return draws with the correlation ``factor @ factor.T`` and stratified marginals.

    ``factor`` has shape (dimension, rank) and rows of unit length. Every column of the result,
    shape (samples, dimension), holds one standard normal draw per equiprobable stratum, in the
    order of correlated draws: Latin hypercube sampling with dependence (Packham and Schmidt,
    Journal of Computational Finance 13(3), 2010).
    """
    dimension, rank = factor.shape
    correlated = rng.standard_normal((samples, rank)) @ factor.T
    order = np.argsort(correlated, axis=0)
    strata = ndtri((np.arange(samples)[:, None] + rng.random((samples, dimension))) / samples)
    draws = np.empty((samples, dimension))
    np.put_along_axis(draws, order, strata, axis=0)
    # A uniform draw of exactly 0 lies in the open interval with probability one, not surely.
    return np.clip(draws, -8.0, 8.0, out=draws)


def correlated_normals(
    rng: np.random.Generator, samples: int, covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return stratified normal draws around zero, (samples, dimension), of a covariance."""
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-18))
    correlation = covariance / np.outer(deviation, deviation)
    try:
        # BLAS threads make the eigenvectors of so small a matrix cost 300 times as much as this.
        factor = np.linalg.cholesky(correlation + 1e-10 * np.eye(len(correlation)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlation)
        factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return deviation * joint_normals(rng, samples, factor)


def systematic_choice(
    rng: np.random.Generator, samples: int, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return ``samples`` of the candidates, evenly spread over them from a random start."""
    positions = (np.arange(samples) + rng.random()) * (len(candidates) / samples)
    chosen: NDArray[np.int64] = candidates[positions.astype(np.int64) % len(candidates)]
    return chosen
