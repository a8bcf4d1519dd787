"""Offers that no optimal plan needs: dominated by another, or identical to one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Problem

Flags = NDArray[np.bool_]


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
    if not offers:
        return ()
    running = np.array([problem.fleet.of(offer.name).billed > 0 for offer in offers])
    pool = _numbered([offer.pool for offer in offers])
    lasting = np.array([offer.purchase.lasting for offer in offers])
    limited = np.array([offer.pool in problem.limits.max_instances_by_pool for offer in offers])
    endless = np.array([offer.stock is None for offer in offers])
    burden = np.array([_burden(offer) for offer in offers])
    lighter = (burden[:, None, :] <= burden[None, :, :]).all(axis=2)
    # [i, j] throughout: i may replace j.
    same_pool = pool[:, None] == pool[None, :]
    replaces = lighter & endless[:, None] & (same_pool | ~limited[:, None])
    if pools_matter:
        replaces &= same_pool | lasting[:, None]
    order = _numbered([offer.name for offer in offers])
    first = order[:, None] < order[None, :]
    replaces &= ~lighter.T | ~endless[None, :] | running[:, None] | first
    replaces &= _pools_as_well(problem, offers)
    np.fill_diagonal(replaces, val=False)
    kept = running | ~replaces.any(axis=0)
    return tuple(offer for offer, stays in zip(offers, kept.tolist(), strict=True) if stays)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of every name among the sorted ones."""
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _burden(offer: Offer) -> tuple[float, ...]:
    return (
        offer.price_usd_per_s,
        -offer.saturation_rps,
        offer.launch_delay_s,
        offer.interruption_per_h,
        offer.vcpus,
        offer.minimum_billed_s,
    )


def _pools_as_well(problem: Problem, offers: Sequence[Offer]) -> Flags:
    """Return whether i needs no more throughput than j at any rate, by pair of offers.

    Curves can be told apart where they have the same rates.
    """
    kinds = sorted({offer.instance_type for offer in offers})
    as_well = np.eye(len(kinds), dtype=bool)
    groups: dict[bytes, list[int]] = defaultdict(list)
    curves = [problem.required_throughput.curves[kind] for kind in kinds]
    for number, curve in enumerate(curves):
        groups[curve.demand_rps.tobytes()].append(number)
    for group in groups.values():
        needed = np.array([curves[number].throughput_rps for number in group])
        as_well[np.ix_(group, group)] = (needed[:, None, :] <= needed[None, :, :]).all(axis=2)
    of = np.array([kinds.index(offer.instance_type) for offer in offers])
    return np.asarray(as_well[np.ix_(of, of)], dtype=bool)
