"""The fleet factor: what share of its saturation throughput a fleet carries under the SLO.

Found with the request engine (bouncer off, Poisson arrivals) by bisection over the load. The factor
rises with the size of the fleet (pooling), so it sits on the demand side: a rate D needs saturation
throughput Q(D) = D / eta(D). DESIGN section 5; docs/formulation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from markopt.capacity.batching import guard_factor
from markopt.capacity.cache import cached
from markopt.core import Batching, Offer, Profile, RequiredThroughput, Slo, ThroughputCurve
from markopt.engine import Bouncer, EngineSettings, RequestEngine, ServerKind
from markopt.errors import ConfigError

CALIBRATION_VERSION = 7
"""To be raised when the engine's rules or this procedure change: cached curves are then redone."""

_PROBED_LOADS = (0.3, 0.5, 0.7, 0.85)


@dataclass(frozen=True)
class CalibrationSettings:
    """How the fleet factor is measured.

    Fleets of ``sizes`` instances serve at least ``min_requests`` Poisson requests and at least
    ``min_service_times`` mean service times (but not more than ``max_requests`` requests).
    ``max_utilization`` caps the factor: a fleet that is critically loaded on average is overloaded
    in every second minute. ``precision`` is the width at which bisection ends. ``miss_margin`` is
    the share of the SLO's misses that is held back: curves are measured on one sample of arrivals
    and read between the measured sizes, and must hold on any other sample.

    Raises:
        ConfigError: a value is out of range.
    """

    sizes: tuple[int, ...] = (1, 2, 3, 5, 8, 13, 22, 40, 80, 160, 400, 1000)
    min_requests: int = 120_000
    max_requests: int = 3_000_000
    min_service_times: float = 300.0
    max_utilization: float = 0.97
    precision: float = 0.004
    miss_margin: float = 0.2
    seed: int = 20190710

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.sizes))
        if not self.sizes or self.sizes[0] < 1 or not rising:
            raise ConfigError(
                f"calibration.sizes: must rise from 1 instance or more, got {self.sizes}"
            )
        if not 0.0 <= self.miss_margin < 1.0:
            raise ConfigError(
                f"calibration.miss_margin: must lie in [0, 1), got {self.miss_margin}"
            )
        if not 0.0 < self.max_utilization <= 1.0:
            raise ConfigError(
                f"calibration.max_utilization: must lie in (0, 1], got {self.max_utilization}"
            )
        for key in ("min_requests", "max_requests", "min_service_times", "precision"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"calibration.{key}: must be positive, got {getattr(self, key)}")


@dataclass(frozen=True)
class Fleet:
    """Servers that are in service together, by kind."""

    kinds: tuple[ServerKind, ...]
    counts: tuple[int, ...]

    @property
    def saturation_rps(self) -> float:
        """Requests per second that the fleet serves when never idle."""
        return sum(
            count * max(b / t for b, t in enumerate(kind.service_times_s, 1))
            for kind, count in zip(self.kinds, self.counts, strict=True)
        )


def server_kind(offer: Offer) -> ServerKind:
    """Return how one model server of an offer behaves in the engine."""
    return ServerKind(
        service_times_s=offer.service_times_s,
        wait_s=offer.batching.wait_s,
        service_time_cv=offer.service_time_cv,
        guard=guard_factor(offer.service_time_cv),
        weight=offer.saturation_rps / offer.servers,
        baseline_share=offer.baseline_share,
        credit_limit_s=offer.credit_limit_s,
        credit_launch_s=offer.credit_launch_s,
    )


def attainment(
    fleet: Fleet, slo: Slo, rate_rps: float, unit_arrivals_s: NDArray[np.float64], seed: int
) -> float:
    """Return the share of requests answered in time at a Poisson rate, bouncer off.

    ``unit_arrivals_s`` are Poisson arrivals of rate one; the first tenth fills the system and is
    not counted.
    """
    arrivals_s = unit_arrivals_s / rate_rps
    span_s = float(arrivals_s[-1])
    settings = EngineSettings(
        rt_max_s=slo.rt_max_s, bouncer=Bouncer.NONE, queue_limit_s=1e9, bin_s=span_s / 100.0
    )
    engine = RequestEngine(settings, fleet.kinds, None, start_s=0.0, end_s=span_s, seed=seed)
    for kind, count in enumerate(fleet.counts):
        for _ in range(count):
            engine.add_server(kind, 0.0)
    engine.serve(arrivals_s)
    engine.finish()
    counts = engine.statistics(span_s)
    arrived = int(counts.arrivals[10:].sum())
    missed = int(counts.late[10:].sum() + counts.refused[10:].sum())
    return 1.0 - missed / max(arrived, 1)


def slo_capacity_share(
    fleet: Fleet, slo: Slo, settings: CalibrationSettings, *, at_least: float = 0.0
) -> float:
    """Return the load, as a share of saturation throughput, up to which the SLO is met.

    ``at_least`` is known to be met.
    """
    saturation_rps = fleet.saturation_rps
    mean_service_s = float(np.mean([kind.service_times_s[-1] for kind in fleet.kinds]))
    wanted = max(
        settings.min_requests, settings.min_service_times * mean_service_s * saturation_rps
    )
    requests = int(min(wanted, settings.max_requests))
    generator = np.random.default_rng(settings.seed)
    unit_arrivals_s = np.cumsum(generator.standard_exponential(requests))

    target = 1.0 - (1.0 - settings.miss_margin) * slo.miss_share

    def holds(share: float) -> bool:
        rate_rps = share * saturation_rps
        return attainment(fleet, slo, rate_rps, unit_arrivals_s, settings.seed) >= target

    # Lower loads must hold too: batches that wait for company can be late at a middling load.
    low, high = at_least, settings.max_utilization
    for share in (*(load for load in _PROBED_LOADS if at_least < load < high), high):
        if share > low and not holds(share):
            high = share
            break
        low = max(low, share)
    while high - low > settings.precision:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def fleet_factors(
    kind: ServerKind, servers: int, slo: Slo, settings: CalibrationSettings
) -> list[float]:
    """Return eta for fleets of ``settings.sizes`` instances of ``servers`` servers each.

    Never falls with the size (a larger fleet can be run as two smaller ones), unless batches wait.
    """
    factors: list[float] = []
    for size in settings.sizes:
        fleet = Fleet((kind,), (size * servers,))
        # Batches that wait for company carry a smaller share in a larger fleet: no floor for them.
        at_least = factors[-1] if factors and kind.wait_s == 0.0 else 0.0
        factors.append(slo_capacity_share(fleet, slo, settings, at_least=at_least))
    return factors


def throughput_curve(
    offer: Offer, slo: Slo, settings: CalibrationSettings | None = None
) -> ThroughputCurve:
    """Return Q(D) for fleets of this offer's instance type, from the disk cache where possible.

    Knots are (eta_n * n * mu, n * mu) for the calibrated sizes n; a size whose factor is zero
    (nothing can be carried) is left out.
    """
    settings = settings or CalibrationSettings()
    kind = server_kind(offer)
    inputs = {
        "version": CALIBRATION_VERSION,
        "kind": asdict(kind),
        "servers": offer.servers,
        "slo": [slo.rt_max_s, slo.sl_min],
        "settings": asdict(settings),
    }
    factors = cached(
        "fleet_factor", inputs, lambda: fleet_factors(kind, offer.servers, slo, settings)
    )
    demand, throughput = [0.0], [0.0]
    for size, factor in zip(settings.sizes, factors, strict=True):
        carried = factor * size * offer.saturation_rps
        if carried > demand[-1]:
            demand.append(carried)
            throughput.append(size * offer.saturation_rps)
    if len(demand) == 1:
        # Nothing is carried at any size: a curve so steep that no planner buys the type.
        demand.append(1e-3 * offer.saturation_rps)
        throughput.append(1e3 * offer.saturation_rps)
    return ThroughputCurve(np.array(demand), np.array(throughput))


def calibrate(
    offers: Sequence[Offer],
    slo: Slo,
    settings: CalibrationSettings | None = None,
    *,
    progress: Callable[[Iterable[str]], Iterable[str]] | None = None,
) -> RequiredThroughput:
    """Return the required throughput of every instance type among ``offers``.

    ``progress`` may wrap the iteration over instance types (a progress bar).
    """
    by_type = {offer.instance_type: offer for offer in offers}
    names: Iterable[str] = list(by_type)
    curves = {
        name: throughput_curve(by_type[name], slo, settings)
        for name in (progress(names) if progress else names)
    }
    return RequiredThroughput(curves)


def slo_capacity_rps(
    profile: Profile,
    batching: Batching,
    slo: Slo,
    *,
    instances: int,
    settings: CalibrationSettings,
) -> float:
    """Return the rate that a few instances of one profile carry under the SLO with a batching."""
    times = tuple(profile.service_time_s(b) for b in range(1, batching.batch_size + 1))
    kind = ServerKind(times, wait_s=batching.wait_s, service_time_cv=profile.service_time_cv)
    fleet = Fleet((kind,), (instances * profile.servers,))
    return slo_capacity_share(fleet, slo, settings) * fleet.saturation_rps
