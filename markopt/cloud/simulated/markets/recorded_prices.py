"""Recorded spot prices are replayed against maximum prices: the bidding era, before 2018."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from markopt.cloud.simulated.markets.parameters import read_parameters
from markopt.cloud.simulated.markets.price_history import PriceHistory, read_prices
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.cloud.simulated.markets.prices import Billing, PriceMarket, check_billing, expect
from markopt.cloud.simulated.markets.protocol import (
    Market,
    MarketSettings,
    earlier_offset_s,
    spot_pools,
)
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError


@final
@dataclass(frozen=True)
class RecordedPricesSettings(MarketSettings):
    """Recorded prices are replayed: what its maximum does not cover is refused or interrupted.

    A pool takes the history of its own instance type and zone, unless ``map`` says otherwise.

    Args:
        path: CSV of price changes, ``instance_type,availability_zone,timestamp_utc,usd_per_hour``.
        zone: the history's zone for pools that name only a region.
        map: instance type or pool (``c5.large/us-east-1c``) to the type or ``type/zone`` of the
            history that it takes; prices are scaled by the ratio of the on-demand prices.
        on_demand_usd_per_h: on-demand prices of the history's types that ``map`` names; None: those
            of ``data/spot/on_demand.yaml``.
        offset_s: where in the record the simulated span begins; expectations use what comes before.
        billing: ``per_second``, or ``hourly_2015``: each begun hour at the price at its begin, the
            last one of an interrupted instance free.

    Raises:
        ConfigError: a value is out of range.
    """

    path: str
    zone: str = "us-east-1a"
    map: Mapping[str, str] | None = None
    on_demand_usd_per_h: Mapping[str, float] | None = None
    offset_s: float = 7 * 86400.0
    billing: Billing = "per_second"

    def __post_init__(self) -> None:
        if not self.offset_s >= 0.0:
            raise ConfigError(f"cloud.market.offset_s: must not be negative, got {self.offset_s}")
        check_billing(self.billing)
        for name, target in (self.map or {}).items():
            if not isinstance(target, str):
                raise ConfigError(f"cloud.market.map.{name}: must be a name, got {target!r}")
        for name, price in (self.on_demand_usd_per_h or {}).items():
            if isinstance(price, bool) or not isinstance(price, int | float) or not price > 0.0:
                raise ConfigError(
                    f"cloud.market.on_demand_usd_per_h.{name}: must be a positive number, "
                    f"got {price!r}"
                )

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers.

        Raises:
            ConfigError: a pool has no history, or the record does not cover the span.
            DataError: the file cannot be read.
        """
        paths = self._paths(offers, needed_s=end_s - start_s)
        shifted = {pool: p.scaled(1.0, start_s - self.offset_s) for pool, p in paths.items()}
        return PriceMarket(offers, shifted, start_s=start_s, end_s=end_s, billing=self.billing)

    def expected(self, offers: Sequence[Offer], *, start_s: float) -> tuple[Offer, ...]:
        """Return spot offers at the mean price and hazard of the record before the start."""
        paths = self._paths(offers, needed_s=0.0)
        past = {
            pool: path.within(float(path.starts_s[0]), self.offset_s)
            for pool, path in paths.items()
        }
        return tuple(
            expect(o, past[o.pool]) if o.purchase is PurchaseOption.SPOT else o for o in offers
        )

    def earlier(self, by_s: float) -> RecordedPricesSettings:
        """Return the market of a span that begins so much earlier in the record."""
        return replace(self, offset_s=earlier_offset_s(self.offset_s, by_s))

    def _paths(self, offers: Sequence[Offer], needed_s: float) -> dict[str, PricePath]:
        """Return the price path of every spot pool, in the record's time."""
        spot = {o.pool: o for o in reversed(offers) if o.purchase is PurchaseOption.SPOT}
        sources = {pool: self._source(pool, spot[pool]) for pool in spot_pools(offers)}
        if not sources:
            return {}
        history = read_prices(self.path, {kind for kind, _ in sources.values()})
        paths = {}
        for pool, (kind, zone) in sources.items():
            path = self._found(history, pool, kind, zone)
            if self.offset_s < path.starts_s[0] or self.offset_s + needed_s > history.end_s + 1e-6:
                raise ConfigError(
                    f"cloud.market.offset_s: {self.path} has prices of {kind} in {zone} from "
                    f"{path.starts_s[0]:g} to {history.end_s:g} s, but the simulated span is "
                    f"{self.offset_s:g} to {self.offset_s + needed_s:g} s"
                )
            paths[pool] = path.scaled(self._ratio(spot[pool], kind), 0.0)
        return paths

    def _source(self, pool: str, offer: Offer) -> tuple[str, str]:
        """Return the instance type and zone whose history a pool takes."""
        _, _, place = pool.partition("/")
        zone = place if place[-1:].isalpha() else self.zone
        mapped = self.map or {}
        target = mapped.get(pool, mapped.get(offer.instance_type, offer.instance_type))
        kind, _, mapped_zone = target.partition("/")
        return kind, mapped_zone or zone

    def _found(self, history: PriceHistory, pool: str, kind: str, zone: str) -> PricePath:
        if kind not in history.zones:
            types = ", ".join(list(history.zones)[:12])
            more = "" if len(history.zones) <= 12 else f" and {len(history.zones) - 12} more"
            raise ConfigError(
                f"cloud.market.map: {self.path} has no prices of '{kind}' for pool '{pool}'; map "
                f"it to one that it has, such as 'cloud.market.map={{{kind}: "
                f"{next(iter(history.zones))}}}': {types}{more}"
            )
        if (kind, zone) not in history.paths:
            raise ConfigError(
                f"cloud.market.zone: {self.path} has no prices of '{kind}' in '{zone}' for pool "
                f"'{pool}'; zones: {', '.join(history.zones[kind])} (set cloud.market.zone, or "
                f"cloud.market.map to type/zone)"
            )
        return history.paths[kind, zone]

    def _ratio(self, offer: Offer, kind: str) -> float:
        """Return what prices of another type's history are multiplied with."""
        if kind == offer.instance_type:
            return 1.0
        known = self.on_demand_usd_per_h
        if known is None:
            known = read_parameters("spot/on_demand.yaml")["usd_per_h"]
        if kind not in known:
            raise ConfigError(
                f"cloud.market.on_demand_usd_per_h: needs the on-demand price of '{kind}', whose "
                f"history '{offer.instance_type}' takes; given: "
                f"{', '.join(known) or 'none'}"
            )
        if offer.on_demand_usd_per_s is None:
            raise ConfigError(
                f"cloud.market.map: offer '{offer.name}' has no on-demand price to scale by"
            )
        return offer.on_demand_usd_per_s * 3600.0 / float(known[kind])
