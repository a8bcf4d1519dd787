"""How long spells last: exponential, or with a heavy tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from markopt.errors import ConfigError

Family = Literal["exponential", "weibull", "lognormal"]
FAMILIES: tuple[Family, ...] = ("exponential", "weibull", "lognormal")


@final
@dataclass(frozen=True)
class Durations:
    """A distribution of durations by its mean.

    ``shape`` is Weibull's k (below 1: a heavier tail than exponential) or the lognormal's standard
    deviation of the logarithm; exponential durations have none.

    Raises:
        ConfigError: the family does not exist, or a value is out of range.
    """

    family: Family
    mean_s: float
    shape: float | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(f"durations: expected one of {list(FAMILIES)}, got '{self.family}'")
        if not (math.isfinite(self.mean_s) and self.mean_s >= 0.0):
            raise ConfigError(f"durations: the mean must not be negative, got {self.mean_s}")
        if self.family != "exponential" and not (self.shape is not None and self.shape > 0.0):
            raise ConfigError(f"durations: {self.family} needs a positive shape, got {self.shape}")

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Durations:
        """Return the durations that an entry of a parameter file describes."""
        shape = entry.get("shape")
        return cls(entry["family"], float(entry["mean_s"]), None if shape is None else float(shape))

    def draw(self, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        """Return so many durations in seconds."""
        if self.family == "lognormal":
            return self._lognormal(rng.standard_normal(size))
        return self._from_exponential(rng.standard_exponential(size))

    def quantiles(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the durations that these shares do not exceed."""
        from scipy.special import ndtri

        if self.family == "lognormal":
            return self._lognormal(np.asarray(ndtri(shares)))
        return self._from_exponential(-np.log1p(-np.asarray(shares)))

    def _lognormal(self, normal: NDArray[np.float64]) -> NDArray[np.float64]:
        sigma = self.shape or 0.0
        return np.asarray(np.exp(sigma * normal - 0.5 * sigma * sigma) * self.mean_s)

    def _from_exponential(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.family == "weibull":
            k = self.shape or 1.0
            return np.asarray(unit ** (1.0 / k) * self.mean_s / math.gamma(1.0 + 1.0 / k))
        return unit * self.mean_s

    def survival(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the shares of durations that are longer than the times."""
        from scipy.special import ndtr

        x = np.asarray(times_s, dtype=np.float64) / self.mean_s
        if self.family == "weibull":
            k = self.shape or 1.0
            return np.asarray(np.exp(-((x * math.gamma(1.0 + 1.0 / k)) ** k)))
        if self.family == "lognormal":
            sigma = self.shape or 1.0
            with np.errstate(divide="ignore"):
                return np.asarray(ndtr(-(np.log(x) + 0.5 * sigma * sigma) / sigma))
        return np.asarray(np.exp(-x))
