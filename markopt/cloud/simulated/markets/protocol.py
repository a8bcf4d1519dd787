"""What the simulated cloud asks of a spot market, and how a market is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, PurchaseOption


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


def spot_pools(offers: Sequence[Offer]) -> list[str]:
    """Return the pools with spot offers, in the offers' order."""
    return list(dict.fromkeys(o.pool for o in offers if o.purchase is PurchaseOption.SPOT))
