"""Offers that were refused for want of capacity, and count as sold out for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from markopt.core import ActionReport, FleetState, Offer


@final
class Shortfalls:
    """Keeps planners from asking for ever for what is not to be had.

    Where spot capacity is gone, asking again does not bring it back (SkyServe's authors found that
    MArk does just that, and fails its requests meanwhile). So an offer that was refused for want of
    capacity has, for ``avoid_s``, no more stock than what runs and stays: a planner buys something
    else, and keeps what it has. After that it is asked for again. Where every offer would be sold
    out, none is: then asking is all that can be done.
    """

    def __init__(self, *, avoid_s: float) -> None:
        self._avoid_s = avoid_s
        self._until_s: dict[str, float] = {}

    def applied(self, time_s: float, report: ActionReport) -> None:
        """Remember what became of launches at ``time_s``."""
        for name, ids in report.launched.items():
            if ids and name not in report.insufficient:
                self._until_s.pop(name, None)
        for name in report.insufficient:
            self._until_s[name] = time_s + self._avoid_s

    def to_be_had(
        self, time_s: float, offers: Sequence[Offer], fleet: FleetState
    ) -> tuple[Offer, ...]:
        """Return the offers, those that are sold out now with what stays of them as stock."""
        sold_out = {name for name, until_s in self._until_s.items() if time_s < until_s - 1e-9}
        if not sold_out or all(offer.name in sold_out for offer in offers):
            return tuple(offers)
        return tuple(
            replace(offer, stock=_staying(offer, fleet)) if offer.name in sold_out else offer
            for offer in offers
        )


def _staying(offer: Offer, fleet: FleetState) -> int:
    own = fleet.of(offer.name)
    staying = own.billed - own.noticed
    return staying if offer.stock is None else min(staying, offer.stock)
