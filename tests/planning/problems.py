"""Small generated problems for the planning tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from markopt.core import (
    Batching,
    FleetState,
    Forecast,
    FunctionOffer,
    Offer,
    OfferFleet,
    Problem,
    PurchaseOption,
    RequiredThroughput,
    Service,
    Slo,
    SloWindow,
    ThroughputCurve,
)

SLO = Slo(rt_max_s=0.2, sl_min=0.98)


def curve(surplus: float = 1.0) -> ThroughputCurve:
    """Q(D) = D + surplus * sqrt(D) at knots: pooling helps, as in the engine."""
    demand = np.concatenate([[0.0], np.geomspace(1.0, 5000.0, 30)])
    return ThroughputCurve(demand, demand + surplus * np.sqrt(demand))


def offer(
    name: str,
    *,
    price_usd_per_h: float = 0.085,
    saturation_rps: float = 30.0,
    purchase: PurchaseOption = PurchaseOption.ON_DEMAND,
    **changes: Any,
) -> Offer:
    """An offer named instance type or instance type/option."""
    instance_type = name.split("/", maxsplit=1)[0]
    values: dict[str, Any] = {
        "pool": f"{instance_type}/a",
        "vcpus": 2.0,
        "batching": Batching(),
        "service_times_s": (0.035,),
        "launch_delay_s": 100.0,
    }
    return Offer(
        name=name,
        instance_type=instance_type,
        purchase=purchase,
        price_usd_per_s=price_usd_per_h / 3600.0,
        saturation_rps=saturation_rps,
        **(values | changes),
    )


def function(**changes: Any) -> FunctionOffer:
    """A Lambda size that is in time when warm and late when cold."""
    values: dict[str, Any] = {
        "memory_gb": 2.9375,
        "service_time_s": 0.144,
        "price_usd_per_gb_s": 0.0000166667,
        "price_usd_per_invocation": 2e-7,
    }
    return FunctionOffer(name="lambda/3008", **(values | changes))


def problem(
    offers: Sequence[Offer],
    paths_rps: Any,
    *,
    ready: dict[str, int] | None = None,
    pending: dict[str, tuple[float, ...]] | None = None,
    noticed: dict[str, int] | None = None,
    curves: dict[str, ThroughputCurve] | None = None,
    with_function: FunctionOffer | None = None,
    slo: Slo = SLO,
    **changes: Any,
) -> Problem:
    """A problem with equally likely paths and one curve for all instance types."""
    paths = np.atleast_2d(np.asarray(paths_rps, dtype=np.float64))
    ready, pending, noticed = ready or {}, pending or {}, noticed or {}
    fleet = FleetState(
        tuple(
            OfferFleet(
                o.name, ready.get(o.name, 0), pending.get(o.name, ()), noticed.get(o.name, 0)
            )
            for o in offers
        )
    )
    shared = curve()
    return Problem(
        time_s=0.0,
        interval_s=60.0,
        service=Service("inception-bn", slo),
        offers=tuple(offers),
        function=with_function,
        fleet=fleet,
        forecast=Forecast.equally_likely(0.0, 60.0, paths),
        required_throughput=RequiredThroughput(curves or {o.instance_type: shared for o in offers}),
        **({"window": SloWindow()} | changes),
    )


EIGHT = (
    offer("c5.large", price_usd_per_h=0.085, saturation_rps=28.0),
    offer("c5.xlarge", price_usd_per_h=0.17, saturation_rps=45.0, vcpus=4.0),
    offer("c5.2xlarge", price_usd_per_h=0.34, saturation_rps=71.0, vcpus=8.0),
    offer("p2.xlarge", price_usd_per_h=0.90, saturation_rps=220.0, vcpus=4.0),
    *(
        offer(
            f"{name}/spot",
            price_usd_per_h=price,
            saturation_rps=rps,
            vcpus=vcpus,
            purchase=PurchaseOption.SPOT,
            interruption_per_h=0.05,
        )
        for name, price, rps, vcpus in (
            ("c5.large", 0.035, 28.0, 2.0),
            ("c5.xlarge", 0.07, 45.0, 4.0),
            ("c5.2xlarge", 0.14, 71.0, 8.0),
            ("p2.xlarge", 0.27, 220.0, 4.0),
        )
    ),
)


def walk_paths(
    rng: np.random.Generator, *, samples: int, horizon: int, start_rps: float, step: float = 0.06
) -> np.ndarray:
    """Geometric random walks."""
    steps = rng.normal(0.0, step, (samples, horizon)).cumsum(axis=1)
    return start_rps * np.exp(steps)


def without_function(base: Problem) -> Problem:
    """The same problem, with nowhere to spill."""
    return replace(base, function=None)
