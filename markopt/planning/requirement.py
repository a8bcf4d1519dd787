"""What a fleet must hold for a rate: candidate offers, the fleet's mix and required throughput."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.core import FunctionOffer, Offer, Problem, PurchaseOption, Slo
from markopt.errors import Infeasible

Array = NDArray[np.float64]

REMIX_TOLERANCE_SHARE = 0.02
REMIX_ROUNDS = 3


def meets_slo(offer: Offer, slo: Slo) -> bool:
    """Return whether an idle instance of the offer answers one request within RT_max."""
    return offer.service_times_s[0] <= slo.rt_max_s


def function_in_time(function: FunctionOffer | None, slo: Slo) -> bool:
    """Return whether a warm function answers a request that is spilled on arrival in time."""
    return function is not None and function.service_time_s <= slo.rt_max_s


def candidate_offers(problem: Problem) -> tuple[Offer, ...]:
    """Return the offers that may carry load: in time, and not burstable (those stand by).

    Raises:
        Infeasible: none is left.
    """
    slo = problem.service.slo
    chosen = tuple(
        offer
        for offer in problem.offers
        if offer.purchase is not PurchaseOption.BURSTABLE and meets_slo(offer, slo)
    )
    if not chosen:
        raise Infeasible(
            f"Service '{problem.service.name}': needs an offer that answers within "
            f"rt_max_s={slo.rt_max_s}, got {_service_times(problem.offers)}, and "
            f"{_function_time(problem.function)}"
        )
    return chosen


def _service_times(offers: Sequence[Offer]) -> str:
    """Return the fastest offers with the time that each needs for one request."""
    fastest = sorted(offers, key=lambda o: (o.service_times_s[0], o.name))
    return listed([_service_time(offer) for offer in fastest]) or "no offers"


def _service_time(offer: Offer) -> str:
    note = " (burstable, stands by)" if offer.purchase is PurchaseOption.BURSTABLE else ""
    return f"{offer.name} {offer.service_times_s[0]:.4g} s{note}"


def _function_time(function: FunctionOffer | None) -> str:
    if function is None:
        return "no function"
    return f"the function {function.name} {function.service_time_s:.4g} s"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return the first names in one line, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def launch_delay_intervals(offer: Offer, interval_s: float) -> int:
    """Return d_k: intervals from a launch until the instance counts as ready, rounded up."""
    return math.ceil(offer.launch_delay_s / interval_s - 1e-9)


def cheapest_per_throughput(offers: Sequence[Offer]) -> Offer:
    """Return the offer with the least price per saturation throughput; ties go by name."""
    return min(offers, key=lambda o: (o.price_usd_per_s / o.saturation_rps, o.name))


def mix_of(offers: Sequence[Offer], counts: Sequence[float] | Array) -> dict[str, float]:
    """Return {instance type: share of saturation throughput} of so many of each offer.

    With no instance at all the mix is that of the offer that is cheapest per throughput.
    """
    held: dict[str, float] = {}
    for offer, count in zip(offers, counts, strict=True):
        if count > 0.0:
            rps = float(count) * offer.saturation_rps
            held[offer.instance_type] = held.get(offer.instance_type, 0.0) + rps
    if not held:
        return {cheapest_per_throughput(offers).instance_type: 1.0}
    total = sum(held.values())
    return {name: held[name] / total for name in sorted(held)}


def fleet_mix(problem: Problem, offers: Sequence[Offer]) -> dict[str, float]:
    """Return the mix of what is ready or launching among ``offers``."""
    counts = [
        problem.fleet.of(offer.name).billed - problem.fleet.of(offer.name).noticed
        for offer in offers
    ]
    return mix_of(offers, counts)


def required_rps(problem: Problem, rates_rps: Array, mix: Mapping[str, float]) -> Array:
    """Return Q at the given rates (any shape) for a fleet of this mix."""
    return problem.required_throughput.at(rates_rps, mix)


def remixed(old_rps: Array, new_rps: Array) -> bool:
    """Return whether required throughput moved enough to solve again."""
    moved = np.abs(new_rps - old_rps) > REMIX_TOLERANCE_SHARE * np.maximum(old_rps, 1e-9)
    return bool(np.any(moved))


def warm_count(problem: Problem, spill_rps: Array, rates_rps: Array) -> NDArray[np.int64]:
    """Return how many function environments to keep warm for a spill, per interval.

    Little's law, rounded up, within the concurrency limit. Where keeping one warm costs nothing,
    the few requests that a fleet at its required throughput cannot answer in time are added: the
    bouncer spills those too.
    """
    function = problem.function
    if function is None:
        return np.zeros(len(spill_rps), dtype=np.int64)
    rps = np.maximum(spill_rps, 0.0)
    if function.warm_price_usd_per_s == 0.0:
        rps = rps + problem.service.slo.miss_share * rates_rps
    wanted = np.ceil(rps * function.service_time_s - 1e-9)
    return np.asarray(np.clip(wanted, 0, function.concurrency_limit), dtype=np.int64)
