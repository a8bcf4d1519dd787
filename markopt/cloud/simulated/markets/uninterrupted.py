"""Any spot market without its interruptions: at the same prices, instances stay and can be had."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.bill import Tariff
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.cloud.simulated.markets.protocol import Market, MarketSettings
from markopt.core import Offer


@final
@dataclass(frozen=True)
class UninterruptedSettings(MarketSettings):
    """A market whose interruptions and refusals are left out, for asking what they cost.

    Args:
        market: whose prices hold.
    """

    market: MarketSettings

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers, without interruptions."""
        market = self.market.build(offers, start_s=start_s, end_s=end_s, seed=seed)
        return UninterruptedMarket(market)

    def expected(self, offers: Sequence[Offer], *, start_s: float) -> tuple[Offer, ...]:
        """Return the offers at the prices that the market expects, with a hazard of zero."""
        found = self.market.expected(offers, start_s=start_s)
        return tuple(replace(offer, interruption_per_h=0.0) for offer in found)

    def earlier(self, by_s: float) -> MarketSettings:
        """Return the market of a span that begins so much earlier."""
        return UninterruptedSettings(self.market.earlier(by_s))


@final
class UninterruptedMarket(Market):
    """Bills as the market that it wraps, and never takes or refuses an instance."""

    def __init__(self, market: Market) -> None:
        self._market = market

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return self._market.pools

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return infinity: there are no shocks."""
        return math.inf

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return that none is taken."""
        return np.zeros(len(noticed), dtype=np.bool_)

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return infinity: no instance is interrupted."""
        return math.inf

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """Return True: the pool always gives one more."""
        return True

    def tariff(self, offer: Offer) -> Tariff:
        """Return a fresh bill for an offer's instances, as the wrapped market makes it."""
        return self._market.tariff(offer)

    def price_usd_per_s(self, offer: Offer, now_s: float) -> float | None:
        """Return an offer's market price now; None: its price is constant."""
        return self._market.price_usd_per_s(offer, now_s)

    def price_history(self, offer: Offer, now_s: float) -> PricePath | None:
        """Return an offer's market price up to now; None: its price is constant."""
        return self._market.price_history(offer, now_s)

    def least_price_usd_per_s(self, offer: Offer) -> float | None:
        """Return what a second of an offer costs at least in the span; None: maybe nothing."""
        return self._market.least_price_usd_per_s(offer)
