"""Spot offers at the price of the moment, as far as the market shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from markopt.core import FleetState, Offer


def at_spot_prices(
    offers: Sequence[Offer], spot_price_usd_per_s: Mapping[str, float], fleet: FleetState
) -> tuple[Offer, ...]:
    """Return the offers at what the market asks now; those without a price as they are.

    Over the minutes that a plan looks ahead, the price of the moment says more than the mean of a
    month. A price above an offer's maximum means that a launch would be refused: the offer then
    has no more stock than what runs of it and stays, and is expected at its maximum.
    """
    return tuple(
        _at(offer, spot_price_usd_per_s[offer.name], fleet)
        if offer.name in spot_price_usd_per_s
        else offer
        for offer in offers
    )


def _at(offer: Offer, price_usd_per_s: float, fleet: FleetState) -> Offer:
    if price_usd_per_s <= 0.0:
        return offer
    if price_usd_per_s <= offer.maximum_usd_per_s:
        return replace(offer, price_usd_per_s=price_usd_per_s)
    own = fleet.of(offer.name)
    left = own.billed - own.noticed
    stock = left if offer.stock is None else min(left, offer.stock)
    return replace(offer, price_usd_per_s=offer.maximum_usd_per_s, stock=stock)
