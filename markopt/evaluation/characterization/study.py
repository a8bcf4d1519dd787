"""Every platform, purchase option and batch size of a service, at low and at high load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.capacity import saturation_rps
from markopt.catalog import Confidence, worst_confidence
from markopt.core import FunctionOffer, Profile, Service, Slo
from markopt.engine import FunctionKind
from markopt.evaluation.characterization import measurement
from markopt.evaluation.characterization.measurement import Point
from markopt.evaluation.characterization.options import Option
from markopt.evaluation.characterization.settings import CharacterizeSettings
from markopt.evaluation.progress import late_bar
from markopt.evaluation.seeds import generator

Load = Literal["low", "one", "pool", "cold"]
LOADS: tuple[Load, ...] = ("low", "one", "pool", "cold")
_COLD_REQUESTS = 1000
_SERVICE_TIMES = 300.0
_LONGEST = 5
"""A measurement lasts so many service times, but takes at most so many times the requests."""

_MILLION = 1e6
_SAMPLES = 2
"""Independent samples of arrivals; an instance or a pool must meet the SLO in each of them."""


@dataclass(frozen=True)
class Row:
    """One platform in one purchase option, with one largest batch, at one load.

    ``load``: ``low`` is one lone stream on one instance; ``one`` and ``pool`` are the largest rates
    at which one instance, and a pool of ``instances``, meet the SLO (``rate_rps`` 0: there is no
    such rate, and no response times); ``cold`` sends every request to a new environment.
    ``saturation_rps`` is what one instance serves per second when never idle. ``confidence`` is the
    worst of profile and price; ``ready_s`` has its own.
    """

    catalog: str
    platform: str
    family: str
    model: str
    processor: str
    vcpus: float | None
    memory_gb: float
    purchase: str
    batch_size: int
    load: str
    instances: int
    rate_rps: float
    throughput_rps: float
    saturation_rps: float
    mean_s: float | None
    p50_s: float | None
    p98_s: float | None
    p99_s: float | None
    attainment: float
    meets_slo: bool
    usd_per_million: float | None
    ready_s: float
    profile_confidence: str
    price_confidence: str
    confidence: str
    ready_confidence: str
    requests: int


@dataclass(frozen=True)
class Characterization:
    """What a study found: its rows, option by option, batch by batch, load by load."""

    service: Service
    settings: CharacterizeSettings
    seed: int
    low_rps: float
    rows: tuple[Row, ...]


@dataclass
class _Bench:
    """Measures points once, however many options share them (the same curve at another price)."""

    slo: Slo
    settings: CharacterizeSettings
    seed: int
    low_rps: float
    samples: tuple[NDArray[np.float64], ...]
    _known: dict[object, tuple[tuple[Load, int, Point], ...]] = field(default_factory=dict)

    def points(self, option: Option, batch_size: int) -> tuple[tuple[Load, int, Point], ...]:
        """Return load, number of instances and what was seen there."""
        function = option.function
        key = (
            _curve(option.profile),
            batch_size,
            option.baseline_share,
            function and _kind_key(option),
        )
        if key not in self._known:
            measure = self._servers if function is None else self._functions
            self._known[key] = tuple(measure(option, batch_size))
        return self._known[key]

    def _servers(self, option: Option, batch_size: int) -> Iterator[tuple[Load, int, Point]]:
        profile = option.profile
        kind = measurement.server_of(
            profile,
            batch_size,
            baseline_share=option.baseline_share,
            credit_limit_s=option.credit_limit_s,
        )
        saturation = option.baseline_share * saturation_rps(profile, batch_size)

        def measure(instances: int, rate_rps: float) -> tuple[Point, ...]:
            wanted = math.ceil(_SERVICE_TIMES * kind.service_times_s[-1] * rate_rps)
            count = min(max(self.settings.requests, wanted), _LONGEST * self.settings.requests)
            return tuple(
                measurement.measure_servers(
                    kind,
                    instances * profile.servers,
                    self.slo,
                    rate_rps,
                    unit_s=unit_s[:count],
                    seed=self.seed + at,
                )
                for at, unit_s in enumerate(self.samples)
            )

        yield "low", 1, measure(1, self.low_rps)[0]
        loads: tuple[tuple[Load, int], ...] = (("one", 1), ("pool", self.settings.pool_instances))
        for load, instances in loads:
            seen = partial(measure, instances)
            rate = measurement.largest_rate(seen, self.slo, instances * saturation)
            yield load, instances, _judged(seen, rate)

    def _functions(self, option: Option, batch_size: int) -> Iterator[tuple[Load, int, Point]]:
        function = option.function
        if function is None:
            return
        kind = _function_kind(function, option.profile.service_time_s(batch_size))
        limit, requests = function.concurrency_limit, self.settings.requests
        if batch_size == 1:
            unit_s = self.samples[0][:requests]
            low = measurement.measure_functions(
                kind, 1, self.slo, self.low_rps, unit_s=unit_s, seed=self.seed
            )
            yield "low", 1, low
            yield "cold", 1, measurement.measure_cold(kind, self.slo, _COLD_REQUESTS, self.seed)
        count = measurement.function_requests(limit, batch_size, requests)

        def measure(rate_rps: float) -> tuple[Point, ...]:
            return (
                measurement.measure_functions(
                    kind,
                    batch_size,
                    self.slo,
                    rate_rps,
                    unit_s=self.samples[0][:count],
                    seed=self.seed,
                    warm=limit,
                ),
            )

        rate = measurement.largest_rate(measure, self.slo, limit * batch_size / kind.service_time_s)
        yield "pool", limit, _judged(measure, rate)


def _curve(profile: Profile) -> tuple[object, ...]:
    return (
        profile.batch_sizes,
        profile.service_times_s,
        profile.servers,
        profile.service_time_cv,
    )


def _kind_key(option: Option) -> FunctionKind | None:
    function = option.function
    return None if function is None else _function_kind(function, function.service_time_s)


def _function_kind(function: FunctionOffer, service_time_s: float) -> FunctionKind:
    return FunctionKind(
        service_time_s=service_time_s,
        cold_start_s=function.cold_start_s,
        idle_timeout_s=function.idle_timeout_s,
        concurrency_limit=function.concurrency_limit,
        billing_step_s=function.billing_step_s,
        service_time_cv=function.service_time_cv,
    )


def _judged(measure: Callable[[float], tuple[Point, ...]], rate_rps: float) -> Point:
    """Return the worse of the samples at a rate, and nothing seen where there is no such rate."""
    if rate_rps == 0.0:
        return Point(0.0, 0.0, None, None, None, None, 0.0, 0)
    return min(measure(rate_rps), key=lambda point: point.attainment)


def low_rate_rps(options: Sequence[Option], utilization: float) -> float:
    """Return one low rate for all: a share of what the slowest instance serves unbatched."""
    rented = [option for option in options if option.function is None]
    return utilization * min(option.unbatched_rps for option in rented or options)


def batch_sizes_of(option: Option, settings: CharacterizeSettings) -> tuple[int, ...]:
    """Return the largest batches to try: those that were measured, unless others are asked for."""
    measured = option.profile.batch_sizes
    if settings.batch_sizes is None:
        return measured
    return tuple(b for b in settings.batch_sizes if measured[0] <= b <= measured[-1])


def characterize(
    service: Service,
    options: Sequence[Option],
    settings: CharacterizeSettings,
    seed: int,
) -> Characterization:
    """Measure every option of a service.

    Options that share a profile share its measurements; only their prices differ.
    """
    cases = [(o, b) for o in options for b in batch_sizes_of(o, settings)]
    low_rps = low_rate_rps(options, settings.low_utilization)
    needed = [_LONGEST * settings.requests]
    for option, batch_size in cases:
        if option.function is not None:
            limit = option.function.concurrency_limit
            needed.append(measurement.function_requests(limit, batch_size, settings.requests))
    rng = generator(seed, "characterization")
    samples = tuple(measurement.unit_arrivals_s(rng, max(needed)) for _ in range(_SAMPLES))
    bench = _Bench(service.slo, settings, seed, low_rps, samples)
    rows: list[Row] = []
    with late_bar(f"Characterizing {service.name}", len(cases)) as bar:
        for option, batch_size in cases:
            for load, instances, point in bench.points(option, batch_size):
                row = _row(option, batch_size, load, instances, point=point, slo=service.slo)
                rows.append(row)
            bar.step()
    return Characterization(service, settings, seed, low_rps, tuple(rows))


def _row(
    option: Option, batch_size: int, load: Load, instances: int, *, point: Point, slo: Slo
) -> Row:
    known: Confidence = worst_confidence(option.profile.confidence)
    saturation = option.baseline_share * saturation_rps(option.profile, batch_size)
    return Row(
        catalog=option.catalog,
        platform=option.platform,
        family=option.family,
        model=option.model,
        processor=option.processor,
        vcpus=option.vcpus,
        memory_gb=option.memory_gb,
        purchase=option.purchase,
        batch_size=batch_size,
        load=load,
        instances=instances,
        rate_rps=point.rate_rps,
        throughput_rps=point.throughput_rps,
        saturation_rps=saturation,
        mean_s=point.mean_s,
        p50_s=point.p50_s,
        p98_s=point.p98_s,
        p99_s=point.p99_s,
        attainment=point.attainment,
        meets_slo=point.attainment >= slo.sl_min,
        usd_per_million=_usd_per_million(option, instances, point),
        ready_s=option.ready_s,
        profile_confidence=known,
        price_confidence=option.price_confidence,
        confidence=worst_confidence(known, option.price_confidence),
        ready_confidence=option.ready_confidence,
        requests=point.requests,
    )


def _usd_per_million(option: Option, instances: int, point: Point) -> float | None:
    """Return the price of a million requests: the rent at that rate, or the bill of functions."""
    if point.rate_rps == 0.0:
        return None
    function = option.function
    if function is None or option.usd_per_s is not None:
        return _MILLION * instances * (option.usd_per_s or 0.0) / point.rate_rps
    gb_s = point.billed_s_per_request * function.memory_gb
    per_request_usd = (
        gb_s * function.price_usd_per_gb_s
        + point.invocations_per_request * function.price_usd_per_invocation
    )
    return _MILLION * per_request_usd
