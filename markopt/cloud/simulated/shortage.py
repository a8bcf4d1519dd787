"""Insufficient capacity outside the spot market: a pool that gives few instances, or none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from markopt.cloud.simulated.boot import named_generator
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError


@final
@dataclass(frozen=True)
class ShortageSettings:
    """Spans in which a pool refuses launches that are not spot.

    Args:
        every_s: mean time from the end of one shortage to the next; None: there are none.
        lasts_s: mean length of a shortage.
        left: mean number of instances that a pool still gives during one, so that a larger request
            is fulfilled in part.

    Raises:
        ConfigError: a value is out of range.
    """

    every_s: float | None = None
    lasts_s: float = 600.0
    left: float = 0.0

    def __post_init__(self) -> None:
        if self.every_s is not None and not self.every_s > 0.0:
            raise ConfigError(f"cloud.shortage.every_s: must be positive, got {self.every_s}")
        for key in ("lasts_s", "left"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"cloud.shortage.{key}: must not be negative, got {value}")


@dataclass
class _Pool:
    generator: np.random.Generator
    begins_s: float
    ends_s: float = -math.inf
    left: int = 0


@final
class Shortages:
    """Alternating spans with and without capacity, exponentially long, one process per pool.

    What is bought takes from what is ``left`` of the shortage in which it is bought, and changes
    nothing else: begins, ends and what is left at first are the same for every policy.
    """

    def __init__(
        self, settings: ShortageSettings, *, start_s: float, seed: np.random.SeedSequence
    ) -> None:
        self._settings = settings
        self._start_s = start_s
        self._seed = seed
        self._pools: dict[str, _Pool] = {}

    def gives(self, offer: Offer, now_s: float) -> bool:
        """Tell whether the offer's pool gives an instance now, and take it."""
        every_s = self._settings.every_s
        if every_s is None or offer.purchase is PurchaseOption.SPOT:
            return True
        pool = self._pools.get(offer.pool)
        if pool is None:
            generator = named_generator(self._seed, offer.pool)
            pool = _Pool(generator, self._start_s + float(generator.exponential(every_s)))
            self._pools[offer.pool] = pool
        while pool.begins_s <= now_s:
            pool.ends_s = pool.begins_s + float(pool.generator.exponential(self._settings.lasts_s))
            pool.left = int(pool.generator.poisson(self._settings.left))
            pool.begins_s = pool.ends_s + float(pool.generator.exponential(every_s))
        if now_s >= pool.ends_s:
            return True
        pool.left -= 1
        return pool.left >= 0
