"""How good a forecast's first step was: quantiles and their pinball loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast

PINBALL_LEVELS = np.arange(1, 20) / 20.0
"""Levels 0.05, 0.10 .. 0.95."""


def first_step_quantiles_rps(forecast: Forecast) -> NDArray[np.float64]:
    """Return the first interval's quantiles at ``PINBALL_LEVELS``, as ``Forecast.quantile_rps``."""
    first = forecast.paths_rps[:, 0]
    order = np.argsort(first, kind="stable")
    cumulative = np.cumsum(forecast.probabilities[order])
    at = np.searchsorted(cumulative, PINBALL_LEVELS - 1e-12, side="left")
    quantiles: NDArray[np.float64] = first[order[np.minimum(at, len(order) - 1)]]
    return quantiles


def pinball_loss(quantiles_rps: NDArray[np.float64], realized_rps: float) -> float:
    """Return the mean pinball loss at ``PINBALL_LEVELS``; NaN where the outcome is NaN."""
    short_rps = realized_rps - quantiles_rps
    return float(np.maximum(PINBALL_LEVELS * short_rps, (PINBALL_LEVELS - 1.0) * short_rps).mean())
