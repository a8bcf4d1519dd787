"""What runs and what is on its way, as counts per offer: a planner never sees an instance id."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)  # one per offer and interval is kept
class OfferFleet:
    """Instances of one offer: ``ready`` serve now; each pending one is ready in so many seconds.

    ``noticed`` of the ready ones have been told that they will be interrupted within minutes: they
    serve still, but a plan cannot count on them.
    """

    offer: str
    ready: int = 0
    pending_ready_in_s: tuple[float, ...] = ()
    noticed: int = 0

    @property
    def billed(self) -> int:
        """Instances that are paid for: ready and pending."""
        return self.ready + len(self.pending_ready_in_s)


@dataclass(frozen=True)
class FleetState:
    """The fleet by offer, and the function environments that are kept warm."""

    offers: tuple[OfferFleet, ...] = ()
    warm_functions: int = 0

    def of(self, offer: str) -> OfferFleet:
        """Return the instances of one offer (none, if it does not appear)."""
        entry = self._by_offer.get(offer)
        return OfferFleet(offer) if entry is None else entry

    @cached_property
    def _by_offer(self) -> dict[str, OfferFleet]:
        return {entry.offer: entry for entry in reversed(self.offers)}
