"""What the deployment costs, estimated from the lives of its instances and from prices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from markopt.core import FunctionOffer, Offer

_MAY_COME_BACK_S = 3600.0


@dataclass
class _Life:
    """An instance that is billed: from when, up to when it has been counted, at what price last."""

    offer: str
    since_s: float
    counted_s: float
    minimum_s: float
    usd: float = 0.0
    price_usd_per_s: float = 0.0
    ended: bool = False

    @property
    def billed_s(self) -> float:
        """Seconds so far; the minimum once it has ended, unless it did not live at all."""
        lived_s = self.counted_s - self.since_s
        return max(lived_s, self.minimum_s) if self.ended and lived_s > 0.0 else lived_s

    @property
    def billed_usd(self) -> float:
        """What they cost."""
        return self.usd + (self.billed_s - self.counted_s + self.since_s) * self.price_usd_per_s


@final
class EstimatedBill:
    """Adds up instance-seconds times the price of the moment, functions' use, and warm concurrency.

    An estimate: an instance counts from its launch to the look at which it has gone, and AWS's
    invoice knows credits, taxes, traffic and the load balancer besides. A life shorter than an
    offer's minimum is billed the minimum once it ends; one that is listed again, as happens where
    listings lag behind, goes on. Spot offers cost what the market showed in between two looks,
    others their price.

    Args:
        offers: what is billed, with prices.
        function: its price by request and warm second; None: there is none.
        start_s: when the bill begins. What ran before is billed from its launch on.
    """

    def __init__(
        self, offers: Iterable[Offer], function: FunctionOffer | None, *, start_s: float
    ) -> None:
        self._offers = {offer.name: offer for offer in offers}
        self._function = function
        self._now_s = start_s
        self._lives: dict[str, _Life] = {}
        self._folded_s = dict.fromkeys(self._offers, 0.0)
        self._folded_usd = dict.fromkeys(self._offers, 0.0)
        self._function_usd = 0.0
        self._warm_usd = 0.0

    def account(
        self,
        now_s: float,
        running: Mapping[str, tuple[str, float]],
        *,
        spot_usd_per_s: Mapping[str, float],
        warm_functions: int,
    ) -> None:
        """Count the time up to ``now_s``.

        Args:
            now_s: the time; it never falls.
            running: offer and launch of each instance that is paid for now, by id.
            spot_usd_per_s: the market's price by offer, since the last time.
            warm_functions: environments kept warm since then.
        """
        for name, (offer, launched_s) in running.items():
            if offer not in self._offers:
                continue
            if name not in self._lives:
                since_s = min(launched_s, now_s)
                minimum_s = self._offers[offer].minimum_billed_s
                self._lives[name] = _Life(offer, since_s, since_s, minimum_s)
            self._lives[name].ended = False
        for name, life in list(self._lives.items()):
            if life.ended:
                if now_s - life.counted_s > _MAY_COME_BACK_S:
                    self._fold(name)
                continue
            life.price_usd_per_s = spot_usd_per_s.get(
                life.offer, self._offers[life.offer].price_usd_per_s
            )
            life.usd += (now_s - life.counted_s) * life.price_usd_per_s
            life.counted_s = now_s
            life.ended = name not in running
        if self._function is not None:
            per_s = warm_functions * self._function.warm_price_usd_per_s
            self._warm_usd += (now_s - self._now_s) * per_s
        self._now_s = now_s

    def spilled(self, requests: int) -> None:
        """Count requests that functions served."""
        if self._function is not None:
            self._function_usd += requests * self._function.price_usd_per_request

    def _fold(self, name: str) -> None:
        """Add a life that is over for good to its offer's sums."""
        life = self._lives.pop(name)
        self._folded_s[life.offer] += life.billed_s
        self._folded_usd[life.offer] += life.billed_usd

    def billed_s(self) -> dict[str, float]:
        """Return billed instance-seconds per offer."""
        seconds = dict(self._folded_s)
        for life in self._lives.values():
            seconds[life.offer] += life.billed_s
        return seconds

    def cost_usd(self) -> dict[str, float]:
        """Return what it comes to so far, per purchase option, for functions and their warmth."""
        by_offer = dict(self._folded_usd)
        for life in self._lives.values():
            by_offer[life.offer] += life.billed_usd
        cost: dict[str, float] = {}
        for name, usd in by_offer.items():
            kind = self._offers[name].purchase.value
            cost[kind] = cost.get(kind, 0.0) + usd
        return {**cost, "lambda": self._function_usd, "warm": self._warm_usd}

    def total_usd(self) -> float:
        """Return the sum over all kinds."""
        return math.fsum(self.cost_usd().values())
