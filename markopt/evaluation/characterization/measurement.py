"""Single points of a characterisation, simulated request by request with the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from markopt.core import Profile, Slo
from markopt.engine import Bouncer, EngineSettings, FunctionKind, RequestEngine, ServerKind

WARM_UP_SHARE = 0.1
"""The first part of every measurement, which fills the system and is not counted."""

_TOLERANCE_S = 1e-9
_LARGEST_SHARE = 0.97
_PROBED_SHARES = (0.85, 0.7, 0.5, 0.3, 0.1)
_PRECISION = 0.01
_NEGLIGIBLE_SHARE = 0.002
_ENVIRONMENTS_SEEN = 12
"""Invocations per environment in a measurement of functions at high load."""


@dataclass(frozen=True)
class Point:
    """What was seen at one load; response times are None where nothing was answered.

    ``billed_s_per_request`` and ``invocations_per_request`` are zero for instances.
    """

    rate_rps: float
    throughput_rps: float
    mean_s: float | None
    p50_s: float | None
    p98_s: float | None
    p99_s: float | None
    attainment: float
    requests: int
    billed_s_per_request: float = 0.0
    invocations_per_request: float = 0.0


def unit_arrivals_s(rng: np.random.Generator, requests: int) -> NDArray[np.float64]:
    """Return Poisson arrivals of rate one, which every measurement shares."""
    return np.asarray(np.cumsum(rng.standard_exponential(requests)), dtype=np.float64)


def server_of(
    profile: Profile,
    batch_size: int,
    *,
    baseline_share: float = 1.0,
    credit_limit_s: float = 0.0,
) -> ServerKind:
    """Return a server that starts a batch as soon as it is free, with what has gathered.

    A burstable one has no launch credits: it is judged by what it sustains.
    """
    return ServerKind(
        tuple(profile.service_time_s(b) for b in range(1, batch_size + 1)),
        service_time_cv=profile.service_time_cv,
        baseline_share=baseline_share,
        credit_limit_s=credit_limit_s,
    )


def measure_servers(
    kind: ServerKind,
    servers: int,
    slo: Slo,
    rate_rps: float,
    *,
    unit_s: NDArray[np.float64],
    seed: int,
) -> Point:
    """Serve Poisson requests at a rate with servers of one kind, bouncer off."""
    arrivals_s = unit_s / rate_rps
    engine = _engine(slo, arrivals_s, kind=kind, seed=seed)
    for _ in range(servers):
        engine.add_server(0, 0.0)
    engine.serve(arrivals_s)
    engine.finish()
    response_s, _ = engine.request_results()
    return _point(arrivals_s, response_s, rate_rps, slo)


def measure_functions(
    kind: FunctionKind,
    batch_size: int,
    slo: Slo,
    rate_rps: float,
    *,
    unit_s: NDArray[np.float64],
    seed: int,
    warm: int = 0,
) -> Point:
    """Hand requests over in full batches, one invocation each; ``warm`` environments are up before.

    ``kind.service_time_s`` is that of a batch. A request also waits until its batch is full.
    """
    whole = len(unit_s) // batch_size * batch_size
    arrivals_s = unit_s[:whole] / rate_rps + kind.cold_start_s + 1.0
    batches = arrivals_s.reshape(-1, batch_size)
    sent_s = batches[:, -1].copy()
    engine = _engine(slo, sent_s, function=kind, seed=seed)
    if warm:
        engine.set_provisioned_functions(warm, 0.0)
    engine.serve(sent_s)
    engine.finish()
    answer_s, _ = engine.request_results()
    response_s = (sent_s + answer_s)[:, None] - batches
    answered = max(engine.function_invocations, 1) * batch_size
    return replace(
        _point(arrivals_s, response_s.ravel(), rate_rps, slo),
        billed_s_per_request=engine.function_billed_s / answered,
        invocations_per_request=1.0 / batch_size,
    )


def measure_cold(kind: FunctionKind, slo: Slo, requests: int, seed: int) -> Point:
    """Send single requests so far apart that each one meets a cold start."""
    apart_s = 2.0 * (kind.idle_timeout_s + kind.cold_start_s + kind.service_time_s)
    unit_s = np.arange(1, requests + 1, dtype=np.float64)
    return measure_functions(kind, 1, slo, 1.0 / apart_s, unit_s=unit_s, seed=seed)


def largest_rate(measure: Callable[[float], Sequence[Point]], slo: Slo, limit_rps: float) -> float:
    """Return the largest rate at which every measured sample meets the SLO, 0 where none does.

    ``measure`` gives one point per sample of arrivals. ``limit_rps`` is the saturation throughput;
    up to 97 % of it are tried, since more is overload in every second minute. Found by trying
    falling loads until one holds, then by bisection to 1 %.
    """

    def holds(share: float) -> bool:
        return all(point.attainment >= slo.sl_min for point in measure(share * limit_rps))

    # From above: a batch that waits until it is full is late at low rates too.
    low, high = 0.0, _LARGEST_SHARE
    for share in (_LARGEST_SHARE, *_PROBED_SHARES):
        if holds(share):
            low = share
            break
        high = share
    while high - low > _PRECISION * high and high > _NEGLIGIBLE_SHARE:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low * limit_rps


def function_requests(concurrency_limit: int, batch_size: int, requests: int) -> int:
    """Return how many requests show what a full account of environments does."""
    return max(_ENVIRONMENTS_SEEN * concurrency_limit * batch_size, requests)


def _engine(
    slo: Slo,
    arrivals_s: NDArray[np.float64],
    *,
    kind: ServerKind | None = None,
    function: FunctionKind | None = None,
    seed: int,
) -> RequestEngine:
    end_s = float(arrivals_s[-1])
    settings = EngineSettings(
        rt_max_s=slo.rt_max_s,
        bouncer=Bouncer.NONE,
        queue_limit_s=1e9,
        bin_s=end_s / 100.0,
        record_requests=True,
    )
    kinds = () if kind is None else (kind,)
    return RequestEngine(settings, kinds, function, start_s=0.0, end_s=end_s, seed=seed)


def _point(
    arrivals_s: NDArray[np.float64], response_s: NDArray[np.float64], rate_rps: float, slo: Slo
) -> Point:
    first = int(WARM_UP_SHARE * len(arrivals_s))
    counted_s, response_s = arrivals_s[first:], response_s[first:]
    answered_s = response_s[np.isfinite(response_s)]
    in_time = int((answered_s <= slo.rt_max_s + _TOLERANCE_S).sum())
    span_s = float(counted_s[-1] - arrivals_s[max(first - 1, 0)])
    quantiles: list[float | None] = [None, None, None]
    mean_s = None
    if len(answered_s):
        quantiles = [float(q) for q in np.quantile(answered_s, (0.5, 0.98, 0.99))]
        mean_s = float(answered_s.mean())
    return Point(
        rate_rps=rate_rps,
        throughput_rps=len(answered_s) / span_s,
        mean_s=mean_s,
        p50_s=quantiles[0],
        p98_s=quantiles[1],
        p99_s=quantiles[2],
        attainment=in_time / len(counted_s),
        requests=len(arrivals_s),
    )
