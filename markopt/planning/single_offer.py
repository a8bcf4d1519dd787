"""What the single-offer baselines share: the one on-demand or container offer that they scale."""

from __future__ import annotations

import numpy as np

from markopt.core import Offer, Problem
from markopt.errors import ConfigError, Infeasible
from markopt.planning.requirement import candidate_offers, required_rps


def scaled_offer(problem: Problem, instance_type: str | None) -> Offer:
    """Return the on-demand or container offer of that type; None: the one that runs already.

    A scaling group keeps its type: the one that makes up at least half of the billed throughput.
    Where none does, the cheapest for the forecast's mean rate, by price per required throughput
    and not per saturation throughput: a type may pool worse.

    Raises:
        ConfigError: there is no such offer of that type.
        Infeasible: no such offer meets the SLO.
    """
    lasting = [o for o in candidate_offers(problem) if o.purchase.lasting]
    if instance_type is not None:
        for offer in lasting:
            if offer.instance_type == instance_type:
                return offer
        raise ConfigError(
            f"planner.instance_type: needs an on-demand or container offer that meets the SLO, got "
            f"'{instance_type}'; there are {[o.instance_type for o in lasting]}"
        )
    if not lasting:
        raise Infeasible(
            "Planner: needs an on-demand or container offer that meets the SLO, got "
            f"{[offer.name for offer in problem.offers]}"
        )

    running = max(lasting, key=lambda offer: _billed_rps(problem, offer))
    total_rps = sum(_billed_rps(problem, offer) for offer in problem.offers)
    if total_rps > 0.0 and _billed_rps(problem, running) >= 0.5 * total_rps:
        return running
    rate_rps = np.maximum(np.array([problem.forecast.mean_rps().mean()]), 1.0)

    def usd(offer: Offer) -> float:
        q = float(required_rps(problem, rate_rps, {offer.instance_type: 1.0})[0])
        return float(np.ceil(q / offer.saturation_rps - 1e-9)) * offer.price_usd_per_s

    return min(lasting, key=lambda o: (usd(o), o.price_usd_per_s, o.name))


def _billed_rps(problem: Problem, offer: Offer) -> float:
    fleet = problem.fleet.of(offer.name)
    return offer.saturation_rps * (fleet.billed - fleet.noticed)


def equivalent_count(problem: Problem, offer: Offer, *, ready_only: bool = False) -> float:
    """Return the throughput that can be counted on, in instances of ``offer``."""
    total_rps = 0.0
    for other in problem.offers:
        fleet = problem.fleet.of(other.name)
        count = fleet.ready if ready_only else fleet.billed
        total_rps += other.saturation_rps * (count - fleet.noticed)
    return total_rps / offer.saturation_rps
