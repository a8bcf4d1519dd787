"""The SLO monitor: adds an instance between two plans when too many requests miss the SLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from markopt.core import (
    Actions,
    InstanceState,
    Limits,
    Observation,
    Offer,
    PurchaseOption,
    SloWindow,
)
from markopt.errors import ConfigError

_PAID = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY)


def average_after(average: float, weight: float, requests: int, violations: int) -> float:
    """Return the moving average after ``requests`` requests of which ``violations`` missed the SLO.

    Request by request the average moves by ``weight`` towards 1 (a violation) or 0. Counts do not
    tell the order within a bin, so violations are taken as spread evenly: every request counts as
    the share p that missed, and n steps have the closed form ``p + (average - p) (1 - weight)^n``.
    Against any even order of whole violations that is exact to within about ``weight``.
    Violations become known later than their requests arrive, so a bin may hold more of them than
    arrivals: then there were at least as many requests.
    """
    requests = max(requests, violations)
    if requests == 0:
        return average
    share = violations / requests
    return share + (average - share) * (1.0 - weight) ** requests


@final
class SloMonitor:
    """MArk's SLO monitor as released: average, threshold, one more instance, cool-down.

    The share of violations is an exponentially weighted average per request. In a round (one call
    of ``react``) in which it lies above ``threshold_share``, one instance is added; the next
    ``cool_down_rounds`` rounds only watch. The next plan finds the addition among the pending
    instances, and keeps or drops it.

    The average speaks of the last second or so under load, the SLO of its window. A plan that
    spends the window's misses would be answered with instances that it ends as soon as they have
    booted, so while such a plan runs (``window`` given to ``react``) the monitor also waits until
    the window's misses exceed ``threshold_share`` of its requests so far.

    ``offer`` names what is added. ``auto`` takes, among on-demand and container offers that stock
    and limits allow, the one that launches fastest, then the cheapest per request/s, then the first
    by name (without such offers: among all that are not spot, then among all).

    Source: MArk's released code (weight 0.001, above 2 %, 5 rounds).

    Raises:
        ConfigError: a parameter is out of range, or ``offer`` names none of ``offers``.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        weight: float = 0.001,
        threshold_share: float = 0.02,
        cool_down_rounds: int = 5,
        offer: str = "auto",
        limits: Limits | None = None,
    ) -> None:
        check_monitor(weight, threshold_share, cool_down_rounds)
        names = [candidate.name for candidate in offers]
        if offer != "auto" and offer not in names:
            raise ConfigError(
                f"controller.monitor_offer: must be 'auto' or one of {names}, got '{offer}'"
            )
        self.weight = weight
        self.threshold_share = threshold_share
        self.cool_down_rounds = cool_down_rounds
        self.offer = offer
        self._limits = limits or Limits()
        self._vcpus = {candidate.name: candidate.vcpus for candidate in offers}
        self._candidates = _candidates(offers, offer)
        self._violation_share = 0.0
        self._rounds_to_wait = 0

    @property
    def violation_share(self) -> float:
        """The average share of requests that missed the SLO."""
        return self._violation_share

    def watch(self, observation: Observation) -> None:
        """Let one round pass without acting: take the counts in, shorten the cool-down."""
        arrivals = observation.arrivals.tolist()
        late = observation.late.tolist()
        refused = observation.refused.tolist()
        for bin_arrivals, bin_late, bin_refused in zip(arrivals, late, refused, strict=True):
            self._violation_share = average_after(
                self._violation_share, self.weight, bin_arrivals, bin_late + bin_refused
            )
        self._rounds_to_wait = max(self._rounds_to_wait - 1, 0)

    def react(
        self,
        observation: Observation,
        *,
        decision_id: str,
        launched: int = 0,
        window: SloWindow | None = None,
    ) -> Actions | None:
        """Let one round pass; return one launch where the average is above the threshold.

        A round that brings no requests (an idle service, a stalled metric) tells nothing new, and
        adds nothing.

        ``launched`` is the number of instances launched in this control interval so far, which a
        launch limit counts. ``window``: what the SLO's window holds so far, where the plan spends
        its misses; None where it does not.
        """
        waiting = self._rounds_to_wait > 0
        self.watch(observation)
        if waiting or self._violation_share <= self.threshold_share:
            return None
        if window is not None and window.violations <= self.threshold_share * window.requests:
            return None
        if not (observation.arrivals.any() or observation.late.any() or observation.refused.any()):
            return None
        allowed = self._limits.max_launches_per_interval
        if allowed is not None and launched >= allowed:
            return None
        chosen = self._affordable(observation)
        if chosen is None:
            return None
        self._rounds_to_wait = self.cool_down_rounds
        return Actions(decision_id, {chosen: 1})

    def _affordable(self, observation: Observation) -> str | None:
        """Return the first candidate that stock and the vCPU quota leave room for."""
        counts: dict[str, int] = {}
        for instance in observation.instances:
            if instance.state in _PAID:
                counts[instance.offer] = counts.get(instance.offer, 0) + 1
        used = sum(self._vcpus.get(name, 0.0) * count for name, count in counts.items())
        quota = self._limits.max_vcpus
        for candidate in self._candidates:
            in_stock = candidate.stock is None or counts.get(candidate.name, 0) < candidate.stock
            if in_stock and (quota is None or used + candidate.vcpus <= quota + 1e-9):
                return candidate.name
        return None


def check_monitor(weight: float, threshold_share: float, cool_down_rounds: int) -> None:
    """Check the monitor's parameters.

    Raises:
        ConfigError: one is out of range.
    """
    if not 0.0 < weight <= 1.0:
        raise ConfigError(f"controller.monitor_weight: must lie in (0, 1], got {weight}")
    if not 0.0 <= threshold_share < 1.0:
        raise ConfigError(
            f"controller.monitor_threshold_share: must lie in [0, 1), got {threshold_share}"
        )
    if cool_down_rounds < 0:
        raise ConfigError(
            f"controller.monitor_cool_down_rounds: must be at least 0, got {cool_down_rounds}"
        )


def _candidates(offers: Sequence[Offer], wanted: str) -> tuple[Offer, ...]:
    if wanted != "auto":
        return tuple(offer for offer in offers if offer.name == wanted)
    lasting = [offer for offer in offers if offer.purchase.lasting]
    uninterrupted = [offer for offer in offers if offer.purchase is not PurchaseOption.SPOT]
    chosen = lasting or uninterrupted or offers
    return tuple(
        sorted(
            chosen,
            key=lambda o: (o.launch_delay_s, o.price_usd_per_s / o.saturation_rps, o.name),
        )
    )
