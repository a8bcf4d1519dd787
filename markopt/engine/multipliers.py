"""Service-time dispersion as a table of quantiles with mean one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from markopt.engine.state import MULTIPLIER_COUNT
from markopt.errors import ConfigError


def service_time_multipliers(cv: float, distribution: str) -> NDArray[np.float64]:
    """Return equally likely factors on the mean service time, shape (MULTIPLIER_COUNT,).

    ``lognormal`` with coefficient of variation ``cv`` (0: all ones); ``exponential`` ignores it.
    The table's mean is exactly one; its tails end at the outermost of its quantiles.

    Raises:
        ConfigError: the distribution is unknown.
    """
    if distribution == "lognormal":
        if cv == 0.0:
            return np.ones(MULTIPLIER_COUNT)
        from scipy.special import ndtri

        sigma = math.sqrt(math.log1p(cv * cv))
        factors = np.exp(sigma * ndtri(_midpoints()) - 0.5 * sigma * sigma)
    elif distribution == "exponential":
        factors = -np.log1p(-_midpoints())
    else:
        raise ConfigError(
            f"service-time distribution: expected 'lognormal' or 'exponential', got "
            f"'{distribution}'"
        )
    return np.asarray(factors / factors.mean(), dtype=np.float64)


def _midpoints() -> NDArray[np.float64]:
    return (np.arange(MULTIPLIER_COUNT) + 0.5) / MULTIPLIER_COUNT
