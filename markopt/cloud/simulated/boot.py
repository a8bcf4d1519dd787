"""How long launches take, which of them fail, and when that is found out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import numpy as np
from scipy.special import gammaincinv, ndtri

from markopt.core import Offer
from markopt.errors import ConfigError

_LEAST_SHARE = 1.0 / 30_000.0
"""Launches that are quicker than this quantile are too rare to count with."""


@final
@dataclass(frozen=True)
class LaunchDelay:
    """The distribution of launch delays around a mean, which the offer gives.

    Args:
        distribution: ``lognormal`` or ``gamma`` with coefficient of variation ``cv``; ``constant``;
            or ``empirical``, which passes through ``quantiles``, linearly in between.
        cv: dispersion of the first two; 0 makes them constant.
        quantiles: measured delays at evenly spaced levels from 0 to 1, in any unit: they are
            divided by the distribution's mean.

    Raises:
        ConfigError: a value is out of range, or missing.
    """

    distribution: str = "lognormal"
    cv: float = 0.1
    quantiles: Sequence[float] | None = None

    def __post_init__(self) -> None:
        known = ["lognormal", "gamma", "empirical", "constant"]
        if self.distribution not in known:
            raise ConfigError(
                f"cloud.launch.delay.distribution: expected one of {known}, got "
                f"'{self.distribution}'"
            )
        if not (math.isfinite(self.cv) and self.cv >= 0.0):
            raise ConfigError(f"cloud.launch.delay.cv: must not be negative, got {self.cv}")
        if self.distribution == "empirical":
            values = list(self.quantiles or ())
            rising = all(0.0 <= a <= b < math.inf for a, b in pairwise(values))
            if len(values) < 2 or not rising or not values[-1] > 0.0:
                raise ConfigError(
                    "cloud.launch.delay.quantiles: must be at least two rising delays, none "
                    f"negative, the last one positive, got {values}"
                )

    def factor(self, level: float) -> float:
        """Return the quantile at a level in (0, 1), as a multiple of the mean."""
        if self.distribution == "empirical":
            values = np.asarray(self.quantiles, dtype=np.float64)
            mean = float(np.mean((values[1:] + values[:-1]) / 2.0))
            return float(np.interp(level, np.linspace(0.0, 1.0, len(values)), values)) / mean
        if self.distribution == "constant" or self.cv == 0.0:
            return 1.0
        if self.distribution == "gamma":
            shape = 1.0 / (self.cv * self.cv)
            return float(gammaincinv(shape, level)) / shape
        variance = math.log1p(self.cv * self.cv)
        return math.exp(math.sqrt(variance) * float(ndtri(level)) - 0.5 * variance)


@final
@dataclass(frozen=True)
class LaunchSettings:
    """From the launch of an instance until its model server is ready, or found not to be.

    Args:
        delay: distribution of launch delays; their mean is the offer's ``launch_delay_s``.
        by_type: other distributions, by instance type or by offer, whose name wins.
        pending_s: first part of a launch, which is not billed.
        failure_share: share of launches that never become ready.
        failure_found_s: a failed launch is found out, and ended, so long after its launch.

    Raises:
        ConfigError: a value is out of range.
    """

    delay: LaunchDelay = field(default_factory=LaunchDelay)
    by_type: Mapping[str, LaunchDelay] = field(default_factory=dict)
    pending_s: float = 0.0
    failure_share: float = 0.0
    failure_found_s: float = 300.0

    def __post_init__(self) -> None:
        for key in ("pending_s", "failure_found_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"cloud.launch.{key}: must not be negative, got {value}")
        if not 0.0 <= self.failure_share <= 1.0:
            raise ConfigError(
                f"cloud.launch.failure_share: must lie in [0, 1], got {self.failure_share}"
            )
        for name, delay in self.by_type.items():
            if not isinstance(delay, LaunchDelay):
                raise ConfigError(
                    f"cloud.launch.by_type.{name}: must be a LaunchDelay, got {delay!r}"
                )

    def delay_of(self, offer: Offer) -> LaunchDelay:
        """Return the distribution of an offer's launch delays."""
        by_type = self.by_type
        return by_type.get(offer.name, by_type.get(offer.instance_type, self.delay))

    def least_boot_s(self, offer: Offer) -> float:
        """Return the least time that is billed between a launch and ready.

        One launch in 30,000 is quicker.
        """
        least_s = offer.launch_delay_s * self.delay_of(offer).factor(_LEAST_SHARE)
        return max(least_s - self.pending_s, 0.0)


@final
@dataclass(frozen=True)
class Launch:
    """What becomes of one launch: ready after ``delay_s``, or found to have failed then."""

    delay_s: float
    fails: bool


@final
class LaunchDraws:
    """Draws what becomes of launches: the k-th launch of an offer draws the k-th fate.

    Whatever else is launched, before or besides, changes nothing (common random numbers): each
    offer has a generator of its own, which its name selects, and every launch draws twice.
    """

    def __init__(self, settings: LaunchSettings, seed: np.random.SeedSequence) -> None:
        self._settings = settings
        self._seed = seed
        self._generator: dict[str, np.random.Generator] = {}

    def next(self, offer: Offer) -> Launch:
        """Return what becomes of the offer's next launch."""
        generator = self._generator.get(offer.name)
        if generator is None:
            generator = named_generator(self._seed, offer.name)
            self._generator[offer.name] = generator
        level, luck = generator.random(2).tolist()
        settings = self._settings
        if luck < settings.failure_share:
            return Launch(settings.failure_found_s, True)
        factor = settings.delay_of(offer).factor(max(level, 2.0**-53))
        return Launch(offer.launch_delay_s * factor, False)


def named_generator(seed: np.random.SeedSequence, name: str) -> np.random.Generator:
    """Return the generator that a name selects below a seed, whatever other names there are."""
    digest = hashlib.sha256(name.encode()).digest()
    key = (*seed.spawn_key, int.from_bytes(digest[:4], "big"))
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=key))
