"""The twin check: profile a local server, simulate a fleet of it, run that fleet live, compare.

The simulated cloud is told what the load balancer does: the server that has held the fewest
requests for longest is sent the next one, and takes it unless it holds too many. Both serve the
same arrivals.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from markopt.capacity import saturation_rps
from markopt.cloud.clock import WallClock
from markopt.cloud.live import Deployment
from markopt.cloud.local.requests import RequestLog
from markopt.cloud.local.settings import LocalCloud
from markopt.core import Batching, Offer, Service
from markopt.errors import ConfigError
from markopt.evaluation.profiling import ProfileSettings, ServerProfile, measure
from markopt.workload.protocol import Workload

Row = dict[str, Any]

LEVELS = (*np.round(np.arange(0.01, 0.99, 0.01), 2).tolist(), 0.985, 0.99, 0.995, 0.999)
"""Quantiles of response times that are kept."""


@dataclass(frozen=True)
class TwinCase:
    """A fleet to check.

    Args:
        name: of the case.
        server: ``stand_in`` or ``model``.
        offer: what each instance is; of a model, its price and batching only.
        instances: how many.
        service: whose ``RT_max`` counts.
        repeats: samples per batch size, of the profile.
        seed: of arrivals and service times.
    """

    name: str
    server: Literal["stand_in", "model"]
    offer: Offer
    instances: int
    service: Service
    repeats: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.instances < 1:
            raise ConfigError(f"twin.{self.name}: instances must be positive, got {self.instances}")

    @property
    def profile_settings(self) -> ProfileSettings:
        """How the server is profiled: every batch size that it can form."""
        sizes = tuple(range(1, self.offer.batching.batch_size + 1))
        return ProfileSettings(
            batch_sizes=sizes,
            wait_s=self.offer.batching.wait_s,
            repeats=self.repeats,
            load_shares=(),
            seed=self.seed,
        )


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the simulation says: response times of answered requests as a client sees them."""

    response_s: NDArray[np.float64]
    refused: int

    def attainment(self, rt_max_s: float) -> float:
        """Return the share of requests answered in time."""
        total = len(self.response_s) + self.refused
        return float(np.sum(self.response_s <= rt_max_s)) / total if total else 1.0


@dataclass(frozen=True, eq=False)
class TwinResult:
    """One case's profile, prediction and live run; ``load_average`` is the machine's before it."""

    case: TwinCase
    profile: ServerProfile
    predicted: Prediction
    measured: RequestLog
    rate_rps: float
    load_average: float

    def rows(self) -> list[Row]:
        """Return predicted and measured quantities with their relative difference."""
        rt_max_s = self.case.service.slo.rt_max_s
        seen_s = self.measured.response_s[self.measured.answered]
        said_s = self.predicted.response_s
        pairs = {
            "attainment": (
                self.predicted.attainment(rt_max_s),
                self.measured.attainment(rt_max_s),
            ),
            "p50_ms": tuple(1000.0 * float(np.quantile(x, 0.5)) for x in (said_s, seen_s)),
            "p98_ms": tuple(1000.0 * float(np.quantile(x, 0.98)) for x in (said_s, seen_s)),
            "mean_ms": tuple(1000.0 * float(np.mean(x)) for x in (said_s, seen_s)),
        }
        late_s = self.measured.lateness_s
        return [
            {
                "case": self.case.name,
                "instances": self.case.instances,
                "rt_max_ms": 1000.0 * rt_max_s,
                "rate_rps": self.rate_rps,
                "requests": len(self.measured),
                "quantity": quantity,
                "predicted": predicted,
                "measured": measured,
                "difference_percent": 100.0 * (measured / predicted - 1.0),
                "lateness_p50_ms": 1000.0 * float(np.quantile(late_s, 0.5)),
                "lateness_p99_ms": 1000.0 * float(np.quantile(late_s, 0.99)),
                "lateness_max_ms": 1000.0 * float(late_s.max()),
                "load_average": self.load_average,
            }
            for quantity, (predicted, measured) in pairs.items()
        ]

    def quantile_rows(self) -> list[Row]:
        """Return quantiles of predicted and measured response times and of the lateness."""
        columns = {
            "predicted_ms": self.predicted.response_s,
            "measured_ms": self.measured.response_s[self.measured.answered],
            "lateness_ms": self.measured.lateness_s,
        }
        return [
            {
                "case": self.case.name,
                "level": level,
                **{key: 1000.0 * float(np.quantile(x, level)) for key, x in columns.items()},
            }
            for level in LEVELS
        ]

    def profile_rows(self) -> list[Row]:
        """Return the measured service times."""
        return [
            {
                "case": self.case.name,
                "batch_size": batch.batch_size,
                "service_time_ms": 1000.0 * batch.mean_s,
                "low_ms": 1000.0 * batch.low_s,
                "high_ms": 1000.0 * batch.high_s,
                "samples": batch.samples,
                "path_ms": 1000.0 * self.profile.path_s,
            }
            for batch in self.profile.batches
        ]


def measured_offer(case: TwinCase, profile: ServerProfile) -> Offer:
    """Return the case's offer with measured service times."""
    measured = profile.profile(case.service.name, case.offer.instance_type)
    size = case.offer.batching.batch_size
    return dataclasses.replace(
        case.offer,
        service_times_s=tuple(measured.service_time_s(b) for b in range(1, size + 1)),
        service_time_cv=measured.service_time_cv,
        saturation_rps=saturation_rps(measured, size),
        servers=1,
    )


def batched(offer: Offer, batching: Batching) -> Offer:
    """Return an offer with another batching; its service times hold from batch 1 on.

    Raises:
        ConfigError: the offer has no service time of a batch so large.
    """
    times_s = offer.service_times_s[: batching.batch_size]
    if len(times_s) < batching.batch_size:
        raise ConfigError(
            f"twin.largest_batch: offer '{offer.name}' has batches up to {len(times_s)}, got "
            f"{batching.batch_size}"
        )
    return dataclasses.replace(
        offer,
        batching=batching,
        service_times_s=times_s,
        saturation_rps=offer.servers * max(b / t for b, t in enumerate(times_s, 1)),
    )


def profile_case(
    case: TwinCase, cloud: LocalCloud, workload: Workload, on_step: Callable[[], None]
) -> ServerProfile:
    """Profile one server of the case, behind the load balancer.

    Raises:
        BackendError: it does not start, or does not answer.
    """
    alone = dataclasses.replace(cloud, server=case.server, bouncer="none", replay=False)
    deployment = _deployment(case, case.offer, workload, 1, WallClock(start_s=workload.start_s))
    backend = alone.open(deployment)
    try:
        return measure(backend.url, case.profile_settings, bodies_of(case), on_step)
    finally:
        backend.close()


def predict(
    case: TwinCase, cloud: LocalCloud, profile: ServerProfile, workload: Workload
) -> Prediction:
    """Simulate the fleet under the workload; responses include the way there and back."""
    from markopt.cloud.simulated import SimulatedCloud, SimulationSettings

    found: list[NDArray[np.float64]] = []

    def keep(_: object, response_s: NDArray[np.float64], __: object) -> None:
        found.append(response_s.copy())

    offer = measured_offer(case, profile)
    simulated = SimulatedCloud(
        SimulationSettings(
            dispatcher="least_connections",
            bouncer=cloud.bouncer,
            bouncer_queue_length=cloud.bouncer_queue_length,
        ),
        service=case.service,
        offers=[offer],
        function=None,
        arrivals=workload.new_arrivals(),
        start_s=workload.start_s,
        end_s=workload.end_s,
        seed=np.random.SeedSequence(case.seed),
        initial_fleet={offer.name: case.instances},
        request_sink=keep,
    )
    simulated.advance(workload.end_s)
    simulated.close()
    response_s = np.concatenate([*found, np.empty(0)])
    answered = np.isfinite(response_s)
    return Prediction(response_s[answered] + profile.path_s, int(np.sum(~answered)))


def run_live(
    case: TwinCase,
    cloud: LocalCloud,
    profile: ServerProfile,
    workload: Workload,
    on_second: Callable[[], None] = lambda: None,
) -> RequestLog:
    """Run the fleet under the workload; return what the clients saw.

    Raises:
        BackendError: the fleet does not start in time, or fails.
    """
    live = dataclasses.replace(cloud, server=case.server, replay=True)
    # A stand-in is to be what was profiled; a model's queue limit follows from its profile.
    offer = case.offer if case.server == "stand_in" else measured_offer(case, profile)
    start_s = workload.start_s - _opening_s(case)
    clock = WallClock(start_s=start_s)
    backend = live.open(_deployment(case, offer, workload, case.instances, clock))
    try:
        second_s = workload.start_s
        while second_s < workload.end_s:
            second_s = min(second_s + 1.0, workload.end_s)
            backend.advance(second_s)
            on_second()
        backend.close()
        return backend.requests()
    finally:
        backend.close()


def _opening_s(case: TwinCase) -> float:
    """Return how long before the first request the fleet is started: models load."""
    return 5.0 + (10.0 if case.server == "model" else 0.1) * case.instances


def check(
    case: TwinCase,
    cloud: LocalCloud,
    profile: ServerProfile,
    workload: Workload,
    on_second: Callable[[], None] = lambda: None,
) -> TwinResult:
    """Predict and run one case whose server has been profiled."""
    predicted = predict(case, cloud, profile, workload)
    load_average = os.getloadavg()[0]
    measured = run_live(case, cloud, profile, workload, on_second)
    span_s = workload.end_s - workload.start_s
    return TwinResult(case, profile, predicted, measured, len(measured) / span_s, load_average)


def bodies_of(case: TwinCase) -> Sequence[bytes]:
    """Return request bodies that the case's server takes."""
    if case.server == "stand_in":
        return (b"",)
    from markopt.cloud.local.model_server import example_bodies

    return [text.encode() for text in example_bodies(case.seed)]


def _deployment(
    case: TwinCase, offer: Offer, workload: Workload, instances: int, clock: WallClock
) -> Deployment:
    return Deployment(
        name=f"twin-{case.name}".replace("_", "-"),
        service=case.service,
        offers=(offer,),
        function=None,
        interval_s=60.0,
        workload=workload,
        clock=clock,
        seed=np.random.SeedSequence(case.seed),
        initial_fleet={offer.name: instances},
    )
