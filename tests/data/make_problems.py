"""Writes the saved problems that are made and not recorded: python tests/data/make_problems.py.

Offers, functions and required throughput are those of the catalogue of 2019 and the services'
profiles, calibrated as for any run. Loads, fleets, limits, zones and what differs between zones
(price, hazard, stock, launch delay) are drawn from fixed seeds: no measurements. Numbers are
rounded to six digits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from markopt.assembly import ConfigParts
from markopt.core import (
    FleetState,
    Forecast,
    Limits,
    Offer,
    OfferFleet,
    Problem,
    PurchaseOption,
    RequiredThroughput,
    Slo,
    SloWindow,
)
from markopt.core.documents import problem_from_json, problem_to_json
from markopt.evaluation.episode import Scene

FOLDER = Path(__file__).parent
INTERVAL_S = 60.0
DEFAULTS = {field.name: field.default for field in fields(Offer) if field.default is not MISSING}
V3_CPU = "catalog.instance_types=[c5.large,c5.xlarge,c5.2xlarge]"
ALL_CPU = "catalog.instance_types=[c5.large,c5.xlarge,c5.2xlarge,c5.4xlarge]"
BN_GPU = "catalog.instance_types=[p2.xlarge,p3.2xlarge,g3.4xlarge]"


def scene(service: str, *overrides: str) -> Scene:
    """Return offers, function and required throughput of a service."""
    return ConfigParts([f"service={service}", *overrides], planners=["program"]).scene(0)


def walks(
    seed: int, *, start_rps: float, growth: float = 0.0, step: float = 0.05, shape: Any = (20, 8)
) -> np.ndarray:
    """Return paths that grow by ``growth`` per interval, with geometric noise."""
    noise = np.random.default_rng(seed).normal(0.0, step, shape).cumsum(axis=1)
    return start_rps * np.exp(growth * np.arange(1, shape[1] + 1) + noise)


def stated(
    base: Scene,
    offers: Sequence[Offer],
    paths_rps: np.ndarray,
    fleet: Sequence[OfferFleet] = (),
    **changes: Any,
) -> Problem:
    """Return the problem of these offers; curves that none of them needs are left out."""
    types = {offer.instance_type for offer in offers}
    curves = {n: c for n, c in base.required_throughput.curves.items() if n in types}
    values: dict[str, Any] = {
        "function": base.function,
        "window": _half_window(float(paths_rps[:, 0].mean())),
    }
    return Problem(
        time_s=0.0,
        interval_s=INTERVAL_S,
        service=base.service,
        offers=tuple(offers),
        fleet=FleetState(tuple(fleet)),
        forecast=Forecast.equally_likely(0.0, INTERVAL_S, paths_rps),
        required_throughput=RequiredThroughput(curves),
        history_peak_rps=float(paths_rps.max()),
        **(values | changes),
    )


def _half_window(rate_rps: float) -> SloWindow:
    """Return an SLO window of which half has gone by at this rate, with 0.5 % missed."""
    requests = round(1800.0 * rate_rps)
    return SloWindow(requests, round(0.005 * requests), 1800.0)


def zoned(offers: Sequence[Offer], zones: int, seed: int) -> list[Offer]:
    """Return each spot offer once per zone, with a price, hazard and stock of the zone's own."""
    rng = np.random.default_rng(seed)
    spread: list[Offer] = []
    for offer in offers:
        if offer.purchase is not PurchaseOption.SPOT:
            spread.append(offer)
            continue
        spread += [
            replace(
                offer,
                name=f"{offer.instance_type}/spot-{zone}",
                pool=f"{offer.instance_type}/{zone}",
                price_usd_per_s=offer.price_usd_per_s * rng.uniform(0.9, 1.3),
                interruption_per_h=float(rng.choice([0.02, 0.05, 0.1, 0.2])),
                stock=int(rng.integers(10, 60)),
            )
            for zone in "abcdefghijklmnopqrstuvwxyz"[:zones]
        ]
    return spread


def small(v3: Scene) -> Problem:
    """Two on-demand offers, a little load, no function."""
    offers = [o for o in v3.offers if o.name in ("c5.large/on_demand", "c5.xlarge/on_demand")]
    fleet = [OfferFleet("c5.large/on_demand", ready=6)]
    paths = walks(1, start_rps=12.0, growth=0.06, shape=(10, 6))
    return stated(v3, offers, paths, fleet, function=None)


def spot_heavy(v3: Scene) -> Problem:
    """Nine spot pools in three zones with little stock each, one of them under notice."""
    offers = zoned(v3.offers, 3, seed=2)
    fleet = [
        OfferFleet("c5.large/spot-a", ready=30, noticed=8),
        OfferFleet("c5.large/spot-b", ready=25, pending_ready_in_s=(40.0, 40.0)),
        OfferFleet("c5.xlarge/spot-c", ready=12),
    ]
    return stated(v3, offers, walks(2, start_rps=310.0, growth=0.05), fleet)


def gpu_batch(bn: Scene) -> Problem:
    """GPU instances that serve in batches of up to 256, and a load that falls."""
    fleet = [
        OfferFleet("p3.2xlarge/spot", ready=2),
        OfferFleet("p2.xlarge/on_demand", ready=1),
    ]
    paths = walks(3, start_rps=3000.0, growth=-0.04, step=0.08)
    return stated(bn, bn.offers, paths, fleet)


def tight_quota(v3: Scene) -> Problem:
    """A rise that vCPUs, launches and stock leave too little room for; no function helps out."""
    offers = [replace(o, stock=15) if o.name == "c5.large/spot" else o for o in v3.offers]
    fleet = [OfferFleet("c5.large/spot", ready=12), OfferFleet("c5.xlarge/on_demand", ready=2)]
    return stated(
        v3,
        offers,
        walks(4, start_rps=70.0, growth=0.1),
        fleet,
        function=None,
        limits=Limits(max_vcpus=48.0, max_launches_per_interval=3),
    )


def infeasible(v3: Scene) -> Problem:
    """An SLO that is tighter than any service time."""
    service = replace(v3.service, slo=Slo(rt_max_s=0.05, sl_min=0.98))
    base = stated(v3, v3.offers, walks(5, start_rps=50.0, shape=(5, 6)))
    return replace(base, service=service)


def offers_600(wide: Scene) -> Problem:
    """Six hundred offers: four instance types in 75 zones, each as on-demand and spot."""
    rng = np.random.default_rng(6)
    offers = []
    for number in range(600):
        kind = wide.offers[number % len(wide.offers)]
        spot = kind.purchase is PurchaseOption.SPOT
        zone = f"z{number // len(wide.offers):02d}"
        offers.append(
            replace(
                kind,
                name=f"{kind.instance_type}/{kind.purchase.value}-{zone}",
                pool=f"{kind.instance_type}/{zone}",
                price_usd_per_s=kind.price_usd_per_s * rng.uniform(0.95, 1.4),
                interruption_per_h=float(rng.choice([0.01, 0.05, 0.2])) if spot else 0.0,
                stock=int(rng.integers(2, 30)) if spot else None,
                launch_delay_s=float(rng.choice([60.0, 100.0, 150.0])),
            )
        )
    fleet = [OfferFleet(o.name, ready=1 + n % 3) for n, o in enumerate(offers[1:120:6])]
    paths = walks(6, start_rps=600.0, growth=0.04, shape=(10, 6))
    return stated(wide, offers, paths, fleet, limits=Limits(max_vcpus=1200.0))


def rounded(value: Any) -> Any:
    """Return a JSON document with six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def write(name: str, problem: Problem) -> None:
    """Write a problem that can be read back."""
    document = rounded(json.loads(problem_to_json(problem)))
    for offer in document["offers"]:
        for key in [key for key, value in offer.items() if DEFAULTS.get(key, "-") == value]:
            del offer[key]
    # Equal shares need all their digits to sum to one.
    samples = problem.forecast.samples
    document["forecast"]["probabilities"] = [1.0 / samples] * samples
    text = json.dumps(document, separators=(",", ":"))
    problem_from_json(text)
    (FOLDER / f"problem_{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Write all of them."""
    v3 = scene("inception_v3", V3_CPU)
    write("small", small(v3))
    write("spot_heavy", spot_heavy(v3))
    write("tight_quota", tight_quota(v3))
    write("infeasible", infeasible(v3))
    write("gpu_batch", gpu_batch(scene("inception_bn", BN_GPU)))
    write("600_offers", offers_600(scene("inception_v3", ALL_CPU)))


if __name__ == "__main__":
    main()
