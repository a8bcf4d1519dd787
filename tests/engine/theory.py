"""Queueing formulas and replications, for the tests that hold the engine against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from markopt.engine import EngineSettings, FunctionKind, RequestEngine, ServerKind


def erlang_b(servers: int, load: float) -> float:
    """Return the share of requests that M/G/c/c loses."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Return the share of requests that wait in M/M/c."""
    blocked = erlang_b(servers, load)
    share = load / servers
    return blocked / (1.0 - share * (1.0 - blocked))


def m_m_c_k_loss(servers: int, load: float, places: int) -> float:
    """Return the share of requests that M/M/c/K loses; K ``places`` include those in service."""
    weight, weights = 1.0, [1.0]
    for count in range(1, places + 1):
        weight *= load / min(count, servers)
        weights.append(weight)
    return weights[-1] / sum(weights)


def pollaczek_khinchine_s(rate_rps: float, mean_s: float, second_moment_s2: float) -> float:
    """Return the mean wait in M/G/1."""
    return rate_rps * second_moment_s2 / (2.0 * (1.0 - rate_rps * mean_s))


def erlang_arrivals_wait_s(rate_rps: float, stages: int, mean_s: float) -> float:
    """Return the mean wait in E_k/M/1, whose arrivals are every k-th of a Poisson process."""

    def excess(root: float) -> float:
        return (rate_rps / (rate_rps + (1.0 - root) / mean_s)) ** stages - root

    root = optimize.brentq(excess, 1e-12, 1.0 - 1e-6)
    return root * mean_s / (1.0 - root)


def poisson_s(rate_rps: float, requests: int, seed: int) -> NDArray[np.float64]:
    """Return arrival times of a Poisson process."""
    generator = np.random.default_rng(seed)
    return np.cumsum(generator.standard_exponential(requests)) / rate_rps


def simulated(
    arrivals_s: NDArray[np.float64],
    kinds: Sequence[ServerKind],
    counts: Sequence[int],
    settings: EngineSettings,
    *,
    function: FunctionKind | None = None,
    seed: int = 0,
) -> RequestEngine:
    """Return an engine that has answered all arrivals with a constant fleet."""
    end_s = float(arrivals_s[-1]) + 1.0
    engine = RequestEngine(settings, kinds, function, start_s=0.0, end_s=end_s, seed=seed)
    for kind, count in enumerate(counts):
        for _ in range(count):
            engine.add_server(kind, 0.0)
    engine.serve(arrivals_s)
    engine.finish()
    return engine


def assert_mean_is(
    expected: float,
    replicate: Callable[[int], float],
    *,
    replications: int,
    slack: float = 0.0,
    width: float = 0.05,
) -> None:
    """Demand that ``expected`` lies in the 99.9 % interval of the replications' mean.

    The interval must be tight as well (``width``, relative), or the test would say nothing.
    ``slack`` is a relative bias that the model is known to have.
    """
    values = np.array([replicate(seed) for seed in range(replications)])
    half = stats.t.ppf(0.9995, replications - 1) * values.std(ddof=1) / np.sqrt(replications)
    assert half < width * abs(expected), f"the interval is too wide: {half} around {expected}"
    assert abs(values.mean() - expected) <= half + slack * abs(expected), (
        f"expected {expected}, got {values.mean()} +- {half}"
    )
