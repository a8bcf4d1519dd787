"""What perfect foresight would pay in a scene: the clairvoyant bound, and ideal whole instances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from markopt.core import FleetState, Offer, OfferFleet, RateSeries, Slo
from markopt.errors import SolverFailed
from markopt.evaluation.seeds import seed_sequence

if TYPE_CHECKING:
    from markopt.evaluation.episode import Scene
    from markopt.planning import ClairvoyantBound


def perfect_foresight(
    scene: Scene, realized: RateSeries, initial_fleet: Mapping[str, int], *, boots: bool = True
) -> ClairvoyantBound | None:
    """Return the clairvoyant bound of a scene's realized rates; None: spot may cost nothing.

    ``boots`` False leaves out what launches are billed until they are ready.
    """
    from markopt.planning import clairvoyant_bound

    seed = seed_sequence(scene.seed, "cloud")
    least = scene.cloud.least_offers(scene.offers, scene.workload, seed)
    if least is None:
        return None
    ready = [OfferFleet(name, ready=count) for name, count in initial_fleet.items() if count]
    boot_s = {o.name: scene.cloud.least_boot_s(o) if boots else 0.0 for o in scene.offers}
    return clairvoyant_bound(
        realized,
        least,
        scene.function,
        scene.service.slo,
        FleetState(tuple(ready)),
        scene.best_saturation_rps,
        billed_boot_s=boot_s,
    )


@dataclass(frozen=True)
class IdealCost:
    """Least cost of serving every request of a span without delays, risks and queues, in USD.

    In each interval instances may be held for just that interval, at their saturation throughput,
    in ``whole`` numbers or ``fractional`` ones, and functions serve the rest. No request is missed.
    """

    whole_usd: float
    fractional_usd: float


def ideal_cost(scene: Scene, realized: RateSeries) -> IdealCost | None:
    """Return the ideal cost of a scene's realized rates; None: spot may cost nothing.

    Each interval is a covering problem of its own, solved exactly; equal rates are solved once.

    Raises:
        SolverFailed: HiGHS gave no optimum.
    """
    seed = seed_sequence(scene.seed, "cloud")
    least = scene.cloud.least_offers(scene.offers, scene.workload, seed)
    if least is None:
        return None
    offers, spill_usd = _serving(least, scene.service.slo), _spill_usd(scene)
    interval_s = realized.interval_s
    per_request = [offer.price_usd_per_s / offer.saturation_rps for offer in offers]
    cheapest_usd = min([*per_request, spill_usd])
    rates = [float(rate) for rate in realized.rate_rps if math.isfinite(rate) and rate > 0.0]
    whole = {rate: _whole_usd(offers, rate, spill_usd, interval_s) for rate in set(rates)}
    return IdealCost(
        whole_usd=math.fsum(whole[rate] for rate in rates),
        fractional_usd=math.fsum(cheapest_usd * interval_s * rate for rate in rates),
    )


def _serving(offers: Sequence[Offer], slo: Slo) -> list[Offer]:
    """Return the offers that answer a lone request in time and keep their speed."""
    from markopt.core import PurchaseOption

    return [
        offer
        for offer in offers
        if offer.purchase is not PurchaseOption.BURSTABLE
        and offer.service_times_s[0] <= slo.rt_max_s
    ]


def _spill_usd(scene: Scene) -> float:
    """Return the bill of a spilled request; infinity where no function answers in time."""
    function, slo = scene.function, scene.service.slo
    if function is None or function.service_time_s > slo.rt_max_s:
        return math.inf
    return function.price_usd(function.service_time_s)


def _whole_usd(
    offers: Sequence[Offer], rate_rps: float, spill_usd: float, interval_s: float
) -> float:
    """Return the least cost of one interval in whole instances and spilled requests."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    mu = np.array([offer.saturation_rps for offer in offers])
    usd = np.array([offer.price_usd_per_s * interval_s for offer in offers])
    whole = np.ones(len(offers), dtype=np.int64)
    most = np.ceil(rate_rps / mu)
    if math.isfinite(spill_usd):
        mu, usd = np.append(mu, 1.0), np.append(usd, spill_usd * interval_s)
        whole, most = np.append(whole, 0), np.append(most, rate_rps)
    if not len(mu):
        return math.inf
    scale = float(usd.mean())  # costs near 1, where the solver's tolerances are meant
    answer = milp(
        usd / scale,
        integrality=whole,
        bounds=Bounds(0.0, most),
        constraints=LinearConstraint(mu[None, :] / rate_rps, 1.0, np.inf),
        options={"mip_rel_gap": 0.0},
    )
    if answer.x is None:
        raise SolverFailed(f"Ideal fleet for {rate_rps} rps: HiGHS ended with '{answer.message}'")
    return float(answer.fun) * scale
