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
    else, and keeps what it has. After that it has one more, a probe: a plan must not end what it
    has for what it then does not get. Once a launch succeeds in full, the offer is as before. Where
    every offer would be limited, none is: then asking is all that can be done. With ``avoid_s`` 0
    nothing is remembered.
    """

    def __init__(self, *, avoid_s: float) -> None:
        self._avoid_s = avoid_s
        self._until_s: dict[str, float] = {}

    def applied(self, time_s: float, report: ActionReport) -> None:
        """Remember what became of launches at ``time_s``."""
        for name, ids in report.launched.items():
            if ids and name not in report.insufficient:
                self._until_s.pop(name, None)
        if self._avoid_s > 0.0:
            self._until_s |= dict.fromkeys(report.insufficient, time_s + self._avoid_s)

    def to_be_had(
        self, time_s: float, offers: Sequence[Offer], fleet: FleetState
    ) -> tuple[Offer, ...]:
        """Return the offers, with the stock that is left of those that were refused."""
        if all(offer.name in self._until_s for offer in offers):
            return tuple(offers)
        return tuple(
            self._limited(time_s, offer, fleet) if offer.name in self._until_s else offer
            for offer in offers
        )

    def _limited(self, time_s: float, offer: Offer, fleet: FleetState) -> Offer:
        own = fleet.of(offer.name)
        probe = time_s >= self._until_s[offer.name] - 1e-9
        left = own.billed - own.noticed + probe
        return replace(offer, stock=left if offer.stock is None else min(left, offer.stock))
