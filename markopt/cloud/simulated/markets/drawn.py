"""Spot instances interrupted at random: single hazards, and shocks that hit a whole pool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.markets.protocol import Market, MarketSettings
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError


@final
@dataclass(frozen=True)
class DrawnSettings(MarketSettings):
    """Interruptions are drawn at each offer's hazard.

    Args:
        shock_share: share of the interruption hazard that comes as shocks to a whole pool.
        shock_size: share of a pool's instances that one shock takes.
        outage_s: mean time after a shock in which the pool gives no instances.

    Raises:
        ConfigError: a value is out of range.
    """

    shock_share: float = 0.5
    shock_size: float = 0.5
    outage_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.shock_share <= 1.0:
            raise ConfigError(
                f"cloud.market.shock_share: must lie in [0, 1], got {self.shock_share}"
            )
        if not 0.0 < self.shock_size <= 1.0:
            raise ConfigError(f"cloud.market.shock_size: must lie in (0, 1], got {self.shock_size}")
        if not self.outage_s >= 0.0:
            raise ConfigError(f"cloud.market.outage_s: must not be negative, got {self.outage_s}")

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers."""
        return DrawnMarket(offers, self, seed=seed)


@final
class DrawnMarket(Market):
    """Draws interruptions at each offer's hazard.

    Of the hazard h of an instance, the share ``shock_share`` comes as shocks to its pool: they
    strike at rate ``h * share / size`` and take each instance of the pool with probability
    ``size``, after which the pool gives nothing for an exponential time. The rest strikes
    instances one by one. Every pool has a generator of its own, so that what a policy buys in one
    pool never changes another.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        settings: DrawnSettings,
        *,
        seed: np.random.SeedSequence,
    ) -> None:
        self._settings = settings
        self._hazard_per_s: dict[str, float] = {}
        for offer in offers:
            if offer.purchase is PurchaseOption.SPOT:
                known = self._hazard_per_s.get(offer.pool, 0.0)
                self._hazard_per_s[offer.pool] = max(known, offer.interruption_per_h / 3600.0)
        children = seed.spawn(2 * len(self._hazard_per_s))
        self._shocks: dict[str, np.random.Generator] = {}
        self._lives: dict[str, np.random.Generator] = {}
        for at, pool in enumerate(self._hazard_per_s):
            self._shocks[pool] = np.random.default_rng(children[2 * at])
            self._lives[pool] = np.random.default_rng(children[2 * at + 1])
        self._outage_until_s = dict.fromkeys(self._hazard_per_s, -math.inf)

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._hazard_per_s)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Draw when the pool's next shock strikes; infinity for never."""
        settings = self._settings
        rate = self._hazard_per_s[pool] * settings.shock_share / settings.shock_size
        if rate <= 0.0:
            return math.inf
        return after_s + float(self._shocks[pool].exponential(1.0 / rate))

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's instances a shock takes; the pool is closed for a while."""
        generator = self._shocks[pool]
        outage_s = float(generator.standard_exponential()) * self._settings.outage_s
        self._outage_until_s[pool] = max(self._outage_until_s[pool], now_s + outage_s)
        return self._lives[pool].random(len(noticed)) < self._settings.shock_size

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Draw when an instance is interrupted on its own account; infinity for never."""
        hazard = offer.interruption_per_h / 3600.0 * (1.0 - self._settings.shock_share)
        if offer.purchase is not PurchaseOption.SPOT or hazard <= 0.0:
            return math.inf
        return launched_s + float(self._lives[offer.pool].exponential(1.0 / hazard))

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the offer's pool gives instances now."""
        return now_s >= self._outage_until_s.get(offer.pool, -math.inf) or (
            offer.purchase is not PurchaseOption.SPOT
        )
