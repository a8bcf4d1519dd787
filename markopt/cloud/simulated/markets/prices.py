"""A market of prices: instances run while the market price does not exceed their maximum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.bill import PerHour, PerSecond, Tariff
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.cloud.simulated.markets.protocol import Market, spot_pools
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError

Billing = Literal["per_second", "hourly_2015"]
BILLINGS = ("per_second", "hourly_2015")

NEVER_CHEAP_ENOUGH_PER_H = 60.0
"""Hazard of an offer whose market price was never as low as its maximum: gone within minutes."""


def check_billing(billing: str) -> None:
    """Raise a ConfigError where a rule of billing does not exist."""
    if billing not in BILLINGS:
        raise ConfigError(
            f"cloud.market.billing: expected one of {list(BILLINGS)}, got '{billing}'"
        )


def expect(offer: Offer, past: PricePath) -> Offer:
    """Return a spot offer at the mean price and the hazard that a past path shows for it.

    Both count only the time in which the price was at most the offer's maximum; the hazard is the
    number of rises above it per hour of that time. Without a past, the offer's own hazard and the
    price of the moment, its maximum at most, have to do.
    """
    if past.end_s <= past.starts_s[0]:
        now_usd_per_s = min(past.price(past.end_s), offer.maximum_usd_per_s)
        return replace(offer, price_usd_per_s=now_usd_per_s)
    price, hazard_per_h = past.expected(offer.maximum_usd_per_s)
    return replace(
        offer,
        price_usd_per_s=offer.price_usd_per_s if math.isinf(price) else price,
        interruption_per_h=min(hazard_per_h, NEVER_CHEAP_ENOUGH_PER_H),
    )


@final
class PriceMarket(Market):
    """Launches, interrupts and bills spot instances as the market prices of their pools demand.

    A launch is refused while the price is above the offer's maximum. An instance is interrupted
    when the price rises above it. It pays the price of the moment, its maximum at most (which
    matters during the notice only). What is bought moves no price.

    Args:
        offers: what is on sale.
        paths: the price in each spot pool, in simulated time.
        start_s, end_s: the simulated span.
        billing: ``per_second``, or ``hourly_2015``: each begun hour at the price at its begin, the
            last one of an interrupted instance free.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        paths: Mapping[str, PricePath],
        *,
        start_s: float,
        end_s: float,
        billing: Billing = "per_second",
    ) -> None:
        self._paths = {pool: paths[pool] for pool in spot_pools(offers)}
        self._span_s = (start_s, end_s)
        self._billing = billing
        self._rises_s: dict[str, NDArray[np.float64]] = {
            offer.name: self._paths[offer.pool].rises_above_s(offer.maximum_usd_per_s)
            for offer in offers
            if offer.purchase is PurchaseOption.SPOT
        }

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._paths)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return infinity: each instance is interrupted by its own maximum."""
        return math.inf

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return none: there are no shocks."""
        return np.zeros(len(noticed), dtype=np.bool_)

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return when the price next exceeds the offer's maximum; infinity for never."""
        if offer.purchase is not PurchaseOption.SPOT:
            return math.inf
        if self._paths[offer.pool].price(launched_s) > offer.maximum_usd_per_s:
            return launched_s
        rises_s = self._rises_s[offer.name]
        at = int(rises_s.searchsorted(launched_s, side="right"))
        return float(rises_s[at]) if at < len(rises_s) else math.inf

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the price is at most the offer's maximum."""
        if offer.purchase is not PurchaseOption.SPOT:
            return True
        return self._paths[offer.pool].price(now_s) <= offer.maximum_usd_per_s

    def refusal(self, offer: Offer, now_s: float) -> str:
        """Return in words why an offer is not available."""
        price = 3600.0 * self._paths[offer.pool].price(now_s)
        maximum = 3600.0 * offer.maximum_usd_per_s
        return (
            f"the market price of {price:.4g} USD/h in pool {offer.pool} exceeds the maximum of "
            f"{maximum:.4g}"
        )

    def tariff(self, offer: Offer) -> Tariff:
        """Return a fresh bill for an offer's instances, at the market's price."""
        if offer.purchase is not PurchaseOption.SPOT:
            return super().tariff(offer)
        paid = self._paths[offer.pool].capped(offer.maximum_usd_per_s)
        if self._billing == "hourly_2015":
            return PerHour(paid.price)
        return PerSecond(offer.price_usd_per_s, offer.minimum_billed_s, paid.integral)

    def price_usd_per_s(self, offer: Offer, now_s: float) -> float | None:
        """Return an offer's market price now; None: its price is constant."""
        if offer.purchase is not PurchaseOption.SPOT:
            return None
        return self._paths[offer.pool].price(now_s)

    def price_history(self, offer: Offer, now_s: float) -> PricePath | None:
        """Return an offer's market price up to now, never beyond; None: its price is constant."""
        if offer.purchase is not PurchaseOption.SPOT:
            return None
        path = self._paths[offer.pool]
        return path.within(float(path.starts_s[0]), now_s)

    def least_price_usd_per_s(self, offer: Offer) -> float | None:
        """Return the lowest price of the span; None where an interrupted hour may be free."""
        if offer.purchase is not PurchaseOption.SPOT:
            return offer.price_usd_per_s
        span = self._paths[offer.pool].within(*self._span_s)
        highest = float(span.usd_per_s.max())
        if self._billing == "hourly_2015" and highest > offer.maximum_usd_per_s:
            return None
        return min(float(span.usd_per_s.min()), offer.maximum_usd_per_s)
