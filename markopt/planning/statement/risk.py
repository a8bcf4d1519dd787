"""Risk measures: the throughput that an interval must have so that a promise holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from markopt.errors import ConfigError

Array = NDArray[np.float64]
Measure = Literal["expectation", "quantile", "saa", "cvar", "gaussian", "wasserstein"]
MEASURES = ("expectation", "quantile", "saa", "cvar", "gaussian", "wasserstein")


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A promise per interval: P(required throughput > what serves) <= ``violation_share``.

    What serves counts ready instances and warm functions. The measures differ in what they take
    the sample paths for (docs/formulation.md, *Risk measures*):

    - ``expectation``: no promise per interval; only the budget of misses.
    - ``quantile``: the paths are the distribution.
    - ``saa``: the paths are a sample of it; the promise holds with ``confidence``.
    - ``cvar``: the mean of the worst ``violation_share`` must not be short.
    - ``gaussian``: normal, with the paths' mean and variance.
    - ``wasserstein``: any distribution within a transport distance of ``radius_share`` times the
      mean required throughput.

    ``joint``: the promise is for all intervals of the window together (``saa`` exactly, the
    others by Bonferroni's inequality).

    Raises:
        ConfigError: a value is out of range.
    """

    measure: Measure = "expectation"
    violation_share: float = 0.02
    confidence: float = 0.95
    radius_share: float = 0.01
    joint: bool = False

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ConfigError(
                f"planner.risk.measure: must be one of {', '.join(MEASURES)}, got '{self.measure}'"
            )
        if not 0.0 < self.violation_share < 1.0:
            raise ConfigError(
                f"planner.risk.violation_share: must lie in (0, 1), got {self.violation_share}"
            )
        if not 0.0 <= self.confidence < 1.0:
            raise ConfigError(f"planner.risk.confidence: must lie in [0, 1), got {self.confidence}")
        if not self.radius_share >= 0.0:
            raise ConfigError(
                f"planner.risk.radius_share: must not be negative, got {self.radius_share}"
            )

    @property
    def promises(self) -> bool:
        """Whether there is a promise per interval."""
        return self.measure != "expectation"

    def level(self, q: Array, p: Array, share: float) -> float:
        """Return the least throughput at which the promise holds for a violation ``share``.

        ``q`` required throughputs, largest first, ``p`` their probabilities (sum one).

        Raises:
            ConfigError: there is no promise.
        """
        if self.measure == "quantile":
            return quantile_level(q, p, share)
        if self.measure == "saa":
            return sampled_level(q, share, self.confidence)
        if self.measure == "cvar":
            return tail_mean(q, p, share)
        if self.measure == "gaussian":
            mean = float(p @ q)
            deviation = math.sqrt(float(p @ (q - mean) ** 2))
            return mean + float(special.ndtri(1.0 - share)) * deviation
        if self.measure == "wasserstein":
            return transported_level(q, p, share, self.radius_share * float(p @ q))
        raise ConfigError("planner.risk.measure: 'expectation' promises nothing per interval")


def quantile_level(q: Array, p: Array, share: float) -> float:
    """Return the least b with P(q > b) <= share; ``q`` largest first."""
    above = np.cumsum(p) - p  # probability of those before
    # b = q[i] leaves all strictly larger ones violated.
    within = np.flatnonzero(above <= share + 1e-12)
    return float(q[within[-1]])


def spared(samples: int, share: float, confidence: float) -> int:
    """Return how many of ``samples`` may be violated so that P(q > b) <= share with confidence.

    The largest k with P(Bin(samples, share) <= k) <= 1 - confidence: the distribution-free
    tolerance limit of order statistics (Wilks 1941). -1: even none is too many; then the promise
    holds with the confidence 1 - (1 - share)^samples only.
    """
    if confidence <= 0.0:
        return int(np.floor(samples * share + 1e-9))
    counts = np.arange(samples + 1)
    held = special.bdtr(counts, samples, share) <= 1.0 - confidence + 1e-12
    return int(held.sum()) - 1


def sampled_level(q: Array, share: float, confidence: float) -> float:
    """Return the level of a sample of equally likely required throughputs, largest first."""
    return float(q[max(spared(len(q), share, confidence), 0)])


def tail_mean(q: Array, p: Array, share: float) -> float:
    """Return CVaR: the mean of the largest ``share`` of probability; ``q`` largest first.

    Rockafellar and Uryasev 2000.
    """
    before = np.cumsum(p) - p
    taken = np.clip(share - before, 0.0, p)
    return float(taken @ q) / max(float(taken.sum()), 1e-300)


def transported_level(q: Array, p: Array, share: float, radius: float) -> float:
    """Return the least b with P'(q > b) <= share for all P' within transport distance ``radius``.

    The worst P' moves the largest q below b up to b: it needs the integral of (b - q)+ over the
    largest ``share`` of probability, which must be at least the radius (Chen, Kuhn, Wiesemann
    2018, theorem 2). Piecewise linear in b: solved exactly.
    """
    if radius <= 0.0:
        return quantile_level(q, p, share)
    before = np.cumsum(p) - p
    taken = np.clip(share - before, 0.0, p)
    held = taken > 0.0
    values, weights = q[held][::-1], taken[held][::-1]  # smallest first: those that b passes first
    mass = np.cumsum(weights)
    moment = np.cumsum(weights * values)
    levels = (radius + moment) / mass
    following = np.append(values[1:], np.inf)
    at = int(np.argmax(levels <= following))
    return float(levels[at])
