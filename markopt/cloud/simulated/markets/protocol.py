"""What the simulated cloud asks of a spot market, and how a market is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.bill import PerSecond, Tariff
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError


class Market(Protocol):
    """What the simulated cloud asks of a spot market."""

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        ...

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return when the pool's next shock strikes, after a time; infinity for never."""
        ...

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's spot instances a shock takes; ``noticed`` tells who goes.

        The instances are in the order of their launches.
        """
        ...

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return when an instance is interrupted on its own account; infinity for never."""
        ...

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the pool gives one more; ``running`` spot instances of it stay there."""
        ...

    def refusal(self, offer: Offer, now_s: float) -> str:
        """Return in words why an offer is not available."""
        return f"insufficient capacity in pool {offer.pool}"

    def tariff(self, offer: Offer) -> Tariff:
        """Return a fresh bill for an offer's instances; by default at the offer's own price."""
        return PerSecond(offer.price_usd_per_s, offer.minimum_billed_s)

    def price_usd_per_s(self, offer: Offer, now_s: float) -> float | None:
        """Return an offer's market price now; None: its price is constant."""
        return None

    def price_history(self, offer: Offer, now_s: float) -> PricePath | None:
        """Return an offer's market price up to now, never beyond; None: its price is constant."""
        return None

    def least_price_usd_per_s(self, offer: Offer) -> float | None:
        """Return what a second of an offer costs at least in the span; None: maybe nothing."""
        return offer.price_usd_per_s


@runtime_checkable
class MarketSettings(Protocol):
    """A configured market: makes a fresh one for every simulated cloud."""

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers over a simulated span.

        Raises:
            ConfigError: the settings do not fit the offers or the span.
            DataError: a file that they name cannot be read.
        """
        ...

    def expected(self, offers: Sequence[Offer], *, start_s: float) -> tuple[Offer, ...]:
        """Return the offers at the prices and hazards that may be expected of them at the start.

        They follow from what is known by then; by default they are the catalogue's.

        Raises:
            ConfigError: the settings do not fit the offers.
            DataError: a file that they name cannot be read.
        """
        return tuple(offers)

    def earlier(self, by_s: float) -> MarketSettings:
        """Return the market of a span that begins so much earlier, for tuning on the past.

        Raises:
            ConfigError: the record does not reach back so far.
        """
        return self


def spot_pools(offers: Sequence[Offer]) -> list[str]:
    """Return the pools with spot offers, in the offers' order."""
    return list(dict.fromkeys(o.pool for o in offers if o.purchase is PurchaseOption.SPOT))


def earlier_offset_s(offset_s: float, by_s: float) -> float:
    """Return where in a record a span begins that lies earlier.

    Raises:
        ConfigError: before the record's begin.
    """
    if by_s > offset_s:
        raise ConfigError(
            f"cloud.market.offset_s: must be at least compare.tune_s ({by_s:g} s), so that knobs "
            f"are tuned on the past of the record, got {offset_s:g}"
        )
    return offset_s - by_s
