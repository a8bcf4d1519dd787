"""One policy run over one trace: the parts, the conditions that all policies share, the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from markopt.cloud.protocol import Backend
from markopt.control import Controller, ControllerSettings
from markopt.control.record import IntervalRecord
from markopt.core import (
    FunctionOffer,
    Offer,
    RateSeries,
    RequestSink,
    RequestStatistics,
    RequiredThroughput,
    Service,
)
from markopt.errors import ConfigError
from markopt.evaluation.foresight import perfect_foresight
from markopt.evaluation.memory import release_free_memory
from markopt.evaluation.outcome import EpisodeResult
from markopt.evaluation.seeds import generator, seed_sequence
from markopt.evaluation.tape import ForecastTape, RecordedForecaster, record_tape
from markopt.forecasting.protocol import Forecaster, Foreseeing
from markopt.planning.protocol import Planner
from markopt.workload.protocol import Workload


class RecordingBackend(Backend, Protocol):
    """A back end that keeps count of what became of every request: a simulated cloud."""

    def statistics(self) -> RequestStatistics:
        """Return counts over time and response times."""
        ...


class CloudMaker(Protocol):
    """Makes a fresh simulated cloud: what ``conf/cloud`` configures."""

    def __call__(
        self,
        *,
        service: Service,
        offers: tuple[Offer, ...],
        function: FunctionOffer | None,
        workload: Workload,
        seed: np.random.SeedSequence,
        initial_fleet: Mapping[str, int],
        request_sink: RequestSink | None = None,
    ) -> RecordingBackend:
        """Return a cloud at the start of the workload's span."""
        ...

    def realized_rates(
        self, workload: Workload, interval_s: float, seed: np.random.SeedSequence
    ) -> RateSeries:
        """Return the rates of the very arrivals that a cloud of this seed will see."""
        ...

    def least_offers(
        self, offers: tuple[Offer, ...], workload: Workload, seed: np.random.SeedSequence
    ) -> tuple[Offer, ...] | None:
        """Return the offers at the lowest price that each has in the span; None: maybe nothing."""
        ...

    def least_boot_s(self, offer: Offer) -> float:
        """Return the least time that is billed between a launch and ready."""
        ...


@dataclass(frozen=True, eq=False)
class Scene:
    """What every policy of a comparison shares: service, load, offers, cloud, loop and seed.

    ``best_saturation_rps`` maps each offer to the largest saturation throughput over all batchings,
    which the clairvoyant bound uses.
    """

    service: Service
    workload: Workload
    offers: tuple[Offer, ...]
    function: FunctionOffer | None
    required_throughput: RequiredThroughput
    best_saturation_rps: Mapping[str, float]
    cloud: CloudMaker
    settings: ControllerSettings
    seed: int

    @property
    def interval_count(self) -> int:
        """Control intervals in the evaluated span."""
        span_s = self.workload.end_s - self.workload.start_s
        return round(span_s / self.settings.interval_s)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What follows from a scene alone, computed once for all policies.

    ``initial_fleet`` is the least-cost fleet that serves the first interval's mean rate.
    """

    realized: RateSeries
    initial_fleet: Mapping[str, int]
    clairvoyant_bound_usd: float | None


@dataclass(frozen=True, eq=False)
class EpisodeSetup:
    """A policy in its scene. ``forecaster`` has been fitted to the scene's history.

    ``config`` and its ``provenance`` are passed on to the result.
    """

    policy: str
    scene: Scene
    conditions: Conditions
    forecaster: Forecaster
    planner: Planner
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    wall_s: Mapping[str, float] = field(default_factory=dict)


def set_conditions(scene: Scene, *, bound: bool = True) -> Conditions:
    """Work out the realized rates, the common first fleet and, if wanted, the clairvoyant bound.

    Raises:
        Infeasible: no offer can serve the load.
        ConfigError: the evaluated span holds no whole interval.
    """
    from markopt.planning import cheapest_fleet

    interval_s, workload = scene.settings.interval_s, scene.workload
    seed = seed_sequence(scene.seed, "cloud")
    realized = scene.cloud.realized_rates(workload, interval_s, seed)
    if not len(realized):
        raise ConfigError(
            f"workload: the evaluated span must hold an interval of {interval_s} s, got "
            f"{workload.end_s - workload.start_s} s"
        )
    first_rps = float(realized.rate_rps[0])
    fleet = cheapest_fleet(scene.offers, scene.required_throughput, first_rps)
    found = perfect_foresight(scene, realized, fleet) if bound else None
    release_free_memory()
    return Conditions(realized, fleet, None if found is None else found.total_usd)


def fit_forecaster(forecaster: Forecaster, scene: Scene, conditions: Conditions) -> Forecaster:
    """Return the forecaster, fitted to the scene's history.

    An oracle, as the one kind that may know them, is handed the realized rates first.
    """
    if isinstance(forecaster, Foreseeing):
        forecaster = forecaster.with_rates(conditions.realized)
    return forecaster.fit(scene.workload.history)


def forecast_once(
    scene: Scene,
    conditions: Conditions,
    fitted: Forecaster,
    on_step: Callable[[], None] | None = None,
) -> ForecastTape:
    """Record every forecast of the scene's span, for all policies to replay."""
    return record_tape(
        fitted,
        conditions.realized,
        horizon=scene.settings.horizon,
        samples=scene.settings.samples,
        rng=generator(scene.seed, "forecast"),
        on_step=on_step,
    )


def run_episode(
    setup: EpisodeSetup,
    on_interval: Callable[[IntervalRecord], None] | None = None,
    request_sink: RequestSink | None = None,
) -> EpisodeResult:
    """Run one policy through its scene in the simulated cloud.

    ``request_sink`` is given every request as it ends.

    Every policy of one scene sees the same arrivals, service times and interruptions, and starts
    from the same fleet.

    Raises:
        Infeasible: the planner proves that no plan exists.
        MarkoptError: a part is configured wrongly.
    """
    scene, conditions = setup.scene, setup.conditions
    began = time.perf_counter()
    cloud = scene.cloud(
        service=scene.service,
        offers=scene.offers,
        function=scene.function,
        workload=scene.workload,
        seed=seed_sequence(scene.seed, "cloud"),
        initial_fleet=conditions.initial_fleet,
        request_sink=request_sink,
    )
    controller = Controller(
        service=scene.service,
        offers=scene.offers,
        function=scene.function,
        required_throughput=scene.required_throughput,
        forecaster=setup.forecaster,
        planner=setup.planner,
        backend=cloud,
        settings=scene.settings,
        history=scene.workload.history,
        rng=generator(scene.seed, "forecast"),
        on_interval=on_interval,
    )
    intervals = controller.run(scene.workload.start_s, scene.workload.end_s)
    ledger = cloud.close()
    wall_s = {**setup.wall_s, "episode": time.perf_counter() - began}
    if isinstance(setup.forecaster, RecordedForecaster):
        wall_s["forecasts_on_tape"] = sum(setup.forecaster.tape.wall_s)
    return EpisodeResult(
        policy=setup.policy,
        trace=scene.workload.name,
        seed=scene.seed,
        service=scene.service.name,
        slo=scene.service.slo,
        interval_s=scene.settings.interval_s,
        start_s=scene.workload.start_s,
        end_s=scene.workload.end_s,
        statistics=cloud.statistics(),
        ledger=ledger,
        intervals=intervals,
        clairvoyant_bound_usd=conditions.clairvoyant_bound_usd,
        wall_s=wall_s,
        config=dict(setup.config),
        provenance=dict(setup.provenance),
    )
