"""When spot instances are interrupted: single hazards, and shocks that hit a whole pool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.settings import SimulationSettings
from markopt.core import Offer, PurchaseOption


class Market(Protocol):
    """What the simulated cloud asks of a spot market."""

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        ...

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return when the pool's next shock strikes; infinity for never."""
        ...

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's spot instances a shock takes; ``noticed`` tells who goes."""
        ...

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return when an instance is interrupted on its own account; infinity for never."""
        ...

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the pool gives one more; ``running`` spot instances of it stay there."""
        ...


class SpotMarket:
    """Draws interruptions at each offer's hazard.

    Of the hazard h of an instance, the share ``spot_shock_share`` comes as shocks to its pool: they
    strike at rate ``h * share / size`` and take each instance of the pool with probability
    ``size``, after which the pool gives nothing for an exponential time. The rest strikes
    instances one by one. Every pool has a generator of its own, so that what a policy buys in one
    pool never changes another.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        settings: SimulationSettings,
        *,
        start_s: float,
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
        self._start_s = start_s

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._hazard_per_s)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Draw when the pool's next shock strikes; infinity for never."""
        settings = self._settings
        rate = self._hazard_per_s[pool] * settings.spot_shock_share / settings.spot_shock_size
        if rate <= 0.0:
            return math.inf
        return after_s + float(self._shocks[pool].exponential(1.0 / rate))

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's instances a shock takes; the pool is closed for a while."""
        generator = self._shocks[pool]
        outage_s = float(generator.standard_exponential()) * self._settings.spot_outage_s
        self._outage_until_s[pool] = max(self._outage_until_s[pool], now_s + outage_s)
        return self._lives[pool].random(len(noticed)) < self._settings.spot_shock_size

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Draw when an instance is interrupted on its own account; infinity for never."""
        hazard = offer.interruption_per_h / 3600.0 * (1.0 - self._settings.spot_shock_share)
        if offer.purchase is not PurchaseOption.SPOT or hazard <= 0.0:
            return math.inf
        return launched_s + float(self._lives[offer.pool].exponential(1.0 / hazard))

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the offer's pool gives instances now."""
        return now_s >= self._outage_until_s.get(offer.pool, -math.inf) or (
            offer.purchase is not PurchaseOption.SPOT
        )
