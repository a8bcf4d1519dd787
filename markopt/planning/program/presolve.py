"""Offers that no optimal plan needs: dominated by another, or identical to one."""

from __future__ import annotations

from collections.abc import Sequence

from markopt.core import Offer, Problem


def undominated_offers(
    problem: Problem, offers: Sequence[Offer], *, pools_matter: bool = False
) -> tuple[Offer, ...]:
    """Return ``offers`` less those that another one replaces at no loss.

    An offer goes when another is no dearer, no smaller, no slower to launch, no likelier to be
    interrupted, needs no more vCPUs and has no stock limit; and none of it runs or launches. Of
    identical offers the first by name stays. The one that replaces must need no more throughput per
    rate (same instance type, or a curve nowhere above), since a larger instance may pool worse.
    With ``pools_matter`` it must also fail with no others: it is of the same pool, or lasts.
    """
    kept: list[Offer] = []
    for offer in offers:
        if problem.fleet.of(offer.name).billed > 0:
            kept.append(offer)
            continue
        others = [other for other in offers if other is not offer]
        if pools_matter:
            others = [o for o in others if o.pool == offer.pool or o.purchase.lasting]
        if not any(_replaces(problem, other, offer) for other in others):
            kept.append(offer)
    return tuple(kept)


def _replaces(problem: Problem, other: Offer, offer: Offer) -> bool:
    if other.stock is not None or not _pools_as_well(problem, other, offer):
        return False
    limited = problem.limits.max_instances_by_pool
    if other.pool in limited and other.pool != offer.pool:
        return False
    weak = _burden(other)
    strong = _burden(offer)
    if any(a > b for a, b in zip(weak, strong, strict=True)):
        return False
    running = problem.fleet.of(other.name).billed > 0
    return weak != strong or offer.stock is not None or running or other.name < offer.name


def _burden(offer: Offer) -> tuple[float, ...]:
    return (
        offer.price_usd_per_s,
        -offer.saturation_rps,
        offer.launch_delay_s,
        offer.interruption_per_h,
        offer.vcpus,
        offer.minimum_billed_s,
    )


def _pools_as_well(problem: Problem, first: Offer, second: Offer) -> bool:
    if first.instance_type == second.instance_type:
        return True
    curves = problem.required_throughput.curves
    one, two = curves[first.instance_type], curves[second.instance_type]
    return bool(
        one is two
        or (
            one.demand_rps.shape == two.demand_rps.shape
            and (one.demand_rps == two.demand_rps).all()
            and (one.throughput_rps <= two.throughput_rps).all()
        )
    )
