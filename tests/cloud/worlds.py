"""Small clouds to test: offers, arrivals, and the cloud around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated import (
    LaunchDelay,
    LaunchSettings,
    SimulatedCloud,
    SimulationSettings,
)
from markopt.core import (
    Batching,
    FunctionOffer,
    Offer,
    PurchaseOption,
    Service,
    Slo,
)
from markopt.workload import ArrivalProcess

SERVICE = Service("made up", Slo(rt_max_s=0.5, sl_min=0.98))


def launches(**changes: float) -> LaunchSettings:
    """Return launches whose delay is the offer's to the second."""
    return LaunchSettings(LaunchDelay("constant"), **changes)  # type: ignore[arg-type]


CONSTANT = launches()


def offer(
    name: str = "c5.large/on_demand",
    *,
    zone: str = "us-east-1",
    hazard_per_h: float = 0.0,
    launch_delay_s: float = 100.0,
    stock: int | None = None,
    service_times_s: tuple[float, ...] = (0.1,),
    servers: int = 1,
    baseline_share: float = 1.0,
    credit_launch_s: float = 0.0,
    credit_limit_s: float = 0.0,
) -> Offer:
    """Return an offer at 3.6 USD per hour: a second costs 0.001 USD."""
    instance_type, purchase = name.split("/")[:2]
    return Offer(
        name=name,
        instance_type=instance_type,
        purchase=PurchaseOption(purchase),
        pool=f"{instance_type}/{zone}",
        vcpus=2.0,
        price_usd_per_s=0.001,
        saturation_rps=servers * len(service_times_s) / service_times_s[-1],
        batching=Batching(len(service_times_s), 0.0),
        service_times_s=service_times_s,
        servers=servers,
        launch_delay_s=launch_delay_s,
        interruption_per_h=hazard_per_h,
        stock=stock,
        baseline_share=baseline_share,
        credit_launch_s=credit_launch_s,
        credit_limit_s=credit_limit_s,
    )


def function(
    *,
    billing_step_s: float = 0.1,
    burst: float | None = None,
    warm_use_price_usd_per_gb_s: float | None = None,
    **changes: float,
) -> FunctionOffer:
    """Return a function of 1 GB that takes 0.15 s; a warm one costs 0.0001 USD a second."""
    keys: dict[str, float] = {"cold_start_s": 1.0, "idle_timeout_s": 600.0, **changes}
    return FunctionOffer(
        name="lambda/1024",
        memory_gb=1.0,
        service_time_s=0.15,
        price_usd_per_gb_s=1e-4,
        price_usd_per_invocation=1e-6,
        billing_step_s=billing_step_s,
        warm_price_usd_per_s=1e-4,
        cold_start_s=keys["cold_start_s"],
        idle_timeout_s=keys["idle_timeout_s"],
        concurrency_limit=int(keys.get("concurrency_limit", 1000)),
        burst=burst,
        burst_per_s=keys.get("burst_per_s", 0.0),
        warm_use_price_usd_per_gb_s=warm_use_price_usd_per_gb_s,
    )


@dataclass
class Poisson:
    """Poisson arrivals at one rate, changed to another at ``changes_s`` if that is given."""

    rate_rps: float
    later_rps: float | None = None
    changes_s: float = np.inf

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return sorted arrival times in [start_s, end_s)."""
        later = self.later_rps is not None and start_s >= self.changes_s
        rate = self.later_rps if later and self.later_rps is not None else self.rate_rps
        count = rng.poisson(rate * (end_s - start_s))
        return np.sort(rng.uniform(start_s, end_s, count))


@dataclass
class Times:
    """Requests at given times."""

    times_s: Sequence[float] = ()

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return those in [start_s, end_s)."""
        times = np.asarray(self.times_s, dtype=np.float64)
        return times[(times >= start_s) & (times < end_s)]


def cloud(
    offers: Sequence[Offer] = (),
    *,
    arrivals: ArrivalProcess | None = None,
    function: FunctionOffer | None = None,
    fleet: Mapping[str, int] | None = None,
    end_s: float = 3600.0,
    start_s: float = 0.0,
    seed: int = 1,
    record: bool = False,
    settings: SimulationSettings | None = None,
) -> SimulatedCloud:
    """Return a simulated cloud; without arrivals nobody asks for anything."""
    return SimulatedCloud(
        settings or SimulationSettings(),
        service=SERVICE,
        offers=offers or (offer(),),
        function=function,
        arrivals=arrivals or Times(),
        start_s=start_s,
        end_s=end_s,
        seed=np.random.SeedSequence(seed),
        initial_fleet=fleet,
        record_requests=record,
    )
