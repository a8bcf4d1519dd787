"""What runs and what is on its way, as counts per offer: a planner never sees an instance id."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OfferFleet:
    """Instances of one offer: ``ready`` serve now; each pending one is ready in so many seconds."""

    offer: str
    ready: int = 0
    pending_ready_in_s: tuple[float, ...] = ()

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
        for entry in self.offers:
            if entry.offer == offer:
                return entry
        return OfferFleet(offer)
