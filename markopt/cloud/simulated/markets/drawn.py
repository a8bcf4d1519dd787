"""Spot instances interrupted at random: single hazards, and shocks to pools, zones and regions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.markets.durations import FAMILIES, Durations, Family
from markopt.cloud.simulated.markets.protocol import Market, MarketSettings
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError


@final
@dataclass(frozen=True)
class DrawnSettings(MarketSettings):
    """Interruptions are drawn at each offer's hazard.

    Args:
        shock_share: share of the interruption hazard that comes as shocks to a whole pool.
        zone_shock_share: share that comes as shocks to all spot pools of a zone.
        region_shock_share: share that comes as shocks to all spot pools of a region.
        shock_size: share of a pool's instances that one shock takes.
        outage_s: mean time after a shock in which the pools that it hit give no instances.
        outage_family: how these times are distributed, ``exponential``, ``weibull`` or
            ``lognormal``.
        outage_shape: Weibull's k, or the lognormal's standard deviation of the logarithm.

    Raises:
        ConfigError: a value is out of range.
    """

    shock_share: float = 0.5
    zone_shock_share: float = 0.0
    region_shock_share: float = 0.0
    shock_size: float = 0.5
    outage_s: float = 600.0
    outage_family: Family = "exponential"
    outage_shape: float | None = None

    def __post_init__(self) -> None:
        for key in ("shock_share", "zone_shock_share", "region_shock_share"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ConfigError(
                    f"cloud.market.{key}: must lie in [0, 1], got {getattr(self, key)}"
                )
        if not self.shared <= 1.0 + 1e-9:
            raise ConfigError(
                f"cloud.market.shock_share: with zone_shock_share and region_shock_share it must "
                f"not exceed 1, got {self.shared:g}"
            )
        if not 0.0 < self.shock_size <= 1.0:
            raise ConfigError(f"cloud.market.shock_size: must lie in (0, 1], got {self.shock_size}")
        if not self.outage_s >= 0.0:
            raise ConfigError(f"cloud.market.outage_s: must not be negative, got {self.outage_s}")
        if self.outage_family not in FAMILIES:
            raise ConfigError(
                f"cloud.market.outage_family: expected one of {list(FAMILIES)}, got "
                f"'{self.outage_family}'"
            )
        shaped = self.outage_family != "exponential"
        if shaped and not (self.outage_shape is not None and self.outage_shape > 0.0):
            raise ConfigError(
                f"cloud.market.outage_shape: {self.outage_family} needs a positive one, got "
                f"{self.outage_shape}"
            )

    @property
    def shared(self) -> float:
        """Share of the hazard that comes as shocks of any level."""
        return self.shock_share + self.zone_shock_share + self.region_shock_share

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers."""
        return DrawnMarket(offers, self, start_s=start_s, seed=seed)


@final
class _Shocks:
    """One level's shocks to one place, drawn in order of time, each with the outage after it."""

    def __init__(
        self, rate_per_s: float, outages: Durations, start_s: float, rng: np.random.Generator
    ) -> None:
        self._rate_per_s = rate_per_s
        self._outages = outages
        self._rng = rng
        self._last_s = start_s
        self._times_s: list[float] = []
        self._closed_until_s: list[float] = []

    def next_s(self, after_s: float) -> float:
        """Return when the next shock strikes after a time; infinity for never."""
        if self._rate_per_s <= 0.0:
            return math.inf
        while self._last_s <= after_s or not self._times_s:
            self._last_s += float(self._rng.exponential(1.0 / self._rate_per_s))
            end_s = self._last_s + float(self._outages.draw(self._rng, 1)[0])
            before_s = self._closed_until_s[-1] if self._closed_until_s else -math.inf
            self._times_s.append(self._last_s)
            self._closed_until_s.append(max(end_s, before_s))
        return self._times_s[bisect_right(self._times_s, after_s)]

    def strikes(self, now_s: float) -> bool:
        """True where a shock strikes just now."""
        at = bisect_right(self._times_s, now_s)
        return at > 0 and self._times_s[at - 1] == now_s

    def closed(self, now_s: float) -> bool:
        """True within the outage of a shock."""
        self.next_s(now_s)
        at = bisect_right(self._times_s, now_s)
        return at > 0 and now_s < self._closed_until_s[at - 1]


@final
class DrawnMarket(Market):
    """Draws interruptions at each offer's hazard.

    Of the hazard h of a pool's instances (the largest of its offers'), a share comes as shocks to
    the pool, to its zone and to its region. Shocks of a level strike at rate ``h * share / size``
    (h: the largest of the pools that the level hits) and take each instance of those pools with
    probability ``size`` times the pool's h over the largest; after that these pools give nothing
    for a time that is drawn with the shock, whatever is asked for. The rest strikes instances one
    by one. Every pool, zone and region has a generator of its own, so that what a policy buys in
    one pool never changes another.

    Args:
        offers: what is on sale. A pool's zone is what follows the slash, its region the same
            without a last letter.
        settings: shares, sizes and durations.
        start_s: when the simulated span begins.
        seed: source of randomness.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        settings: DrawnSettings,
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
        outages = Durations(settings.outage_family, settings.outage_s, settings.outage_shape)
        self._lives: dict[str, np.random.Generator] = {}
        self._levels: dict[str, list[tuple[_Shocks, float]]] = {p: [] for p in self._hazard_per_s}
        children = seed.spawn(2 * len(self._levels))
        for pool, child in zip(self._levels, children[1::2], strict=True):
            self._lives[pool] = np.random.default_rng(child)
        for share, name_of in (
            (settings.shock_share, None),
            (settings.zone_shock_share, _zone),
            (settings.region_shock_share, _region),
        ):
            places: dict[str, list[str]] = {}
            for pool in self._levels:
                places.setdefault(name_of(pool) if name_of else pool, []).append(pool)
            seeds = seed.spawn(len(places)) if name_of else children[::2]
            for pools, child in zip(places.values(), seeds, strict=True):
                highest = max(self._hazard_per_s[pool] for pool in pools)
                rate_per_s = highest * share / settings.shock_size
                shocks = _Shocks(rate_per_s, outages, start_s, np.random.default_rng(child))
                for pool in pools:
                    hit = self._hazard_per_s[pool] / highest if highest > 0.0 else 0.0
                    self._levels[pool].append((shocks, hit * settings.shock_size))

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._hazard_per_s)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return when the next shock of any level strikes a pool; infinity for never."""
        return min(shocks.next_s(after_s) for shocks, _ in self._levels[pool])

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's instances the shocks of this moment take."""
        spared = 1.0
        for shocks, size in self._levels[pool]:
            if shocks.strikes(now_s):
                spared *= 1.0 - size
        return self._lives[pool].random(len(noticed)) < 1.0 - spared

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Draw when an instance is interrupted on its own account; infinity for never."""
        hazard = offer.interruption_per_h / 3600.0 * max(1.0 - self._settings.shared, 0.0)
        if offer.purchase is not PurchaseOption.SPOT or hazard <= 0.0:
            return math.inf
        return launched_s + float(self._lives[offer.pool].exponential(1.0 / hazard))

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the offer's pool gives instances now."""
        if offer.purchase is not PurchaseOption.SPOT:
            return True
        return not any(shocks.closed(now_s) for shocks, _ in self._levels[offer.pool])


def _zone(pool: str) -> str:
    """Return the zone of a pool: what follows the slash."""
    return pool.partition("/")[2]


def _region(pool: str) -> str:
    """Return the region of a pool: its zone without a last letter (``us-east-1a``)."""
    return _zone(pool).rstrip("abcdefghijklmnopqrstuvwxyz")
