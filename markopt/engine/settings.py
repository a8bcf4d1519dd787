"""What an engine is told: kinds of servers and functions, rules of the request path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from markopt.engine.state import Bouncer, Dispatcher
from markopt.errors import ConfigError

ServiceTimeDistribution = Literal["lognormal", "exponential"]


@dataclass(frozen=True)
class ServerKind:
    """Servers that behave alike: batching, and mean service time by batch size.

    ``service_times_s[b-1]`` belongs to a batch of b = 1 .. ``batch_size``. ``guard`` multiplies the
    service time that the bouncer counts with. ``weight`` is its share in weighted round robin.
    A burstable server has a ``baseline_share`` below one: it earns so many seconds of full speed
    per second, up to ``credit_limit_s``, starts with ``credit_launch_s``, and runs at that share of
    full speed where it has none left.

    Raises:
        ConfigError: a value is out of range.
    """

    service_times_s: tuple[float, ...]
    wait_s: float = 0.0
    service_time_cv: float = 0.0
    distribution: ServiceTimeDistribution = "lognormal"
    guard: float = 1.0
    weight: float = 1.0
    baseline_share: float = 1.0
    credit_limit_s: float = 0.0
    credit_launch_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.service_times_s:
            raise ConfigError("ServerKind: service_times_s needs an entry per batch size, got none")
        for time_s in self.service_times_s:
            _check("ServerKind", "service_times_s", time_s, positive=True)
        _check("ServerKind", "wait_s", self.wait_s)
        _check("ServerKind", "service_time_cv", self.service_time_cv)
        _check("ServerKind", "guard", self.guard, positive=True)
        _check("ServerKind", "weight", self.weight, positive=True)
        _check("ServerKind", "baseline_share", self.baseline_share, positive=True)
        _check("ServerKind", "credit_limit_s", self.credit_limit_s)
        _check("ServerKind", "credit_launch_s", self.credit_launch_s)
        if self.baseline_share > 1.0:
            raise ConfigError(
                f"ServerKind: baseline_share must be at most 1, got {self.baseline_share}"
            )

    @property
    def batch_size(self) -> int:
        """Largest batch."""
        return len(self.service_times_s)


@dataclass(frozen=True)
class FunctionKind:
    """Function environments: service time of one request, cold start, idle time-out, limits.

    At most ``concurrency_limit`` requests run at a time. New environments take tokens from a bucket
    of ``burst`` tokens that fills with ``burst_per_s``; where it is empty, requests are throttled.

    Raises:
        ConfigError: a value is out of range.
    """

    service_time_s: float
    cold_start_s: float
    idle_timeout_s: float = 600.0
    concurrency_limit: int = 1000
    billing_step_s: float = 0.1
    service_time_cv: float = 0.0
    burst: float = math.inf
    burst_per_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.burst >= 1.0:
            raise ConfigError(f"FunctionKind: burst must be at least 1, got {self.burst}")
        _check("FunctionKind", "burst_per_s", self.burst_per_s)
        _check("FunctionKind", "service_time_s", self.service_time_s, positive=True)
        _check("FunctionKind", "cold_start_s", self.cold_start_s)
        _check("FunctionKind", "idle_timeout_s", self.idle_timeout_s)
        _check("FunctionKind", "concurrency_limit", self.concurrency_limit, positive=True)
        _check("FunctionKind", "billing_step_s", self.billing_step_s, positive=True)
        _check("FunctionKind", "service_time_cv", self.service_time_cv)


@dataclass(frozen=True)
class EngineSettings:
    """Rules of the request path.

    With a ``bouncer`` a request that its server refuses is spilled at arrival (see ``Bouncer``);
    without one it queues, and is refused only where it would wait longer than ``queue_limit_s``.
    ``bouncer_queue_length`` is how many unanswered requests the queue-length bouncer allows per
    server; None: what the kind can answer within RT_max. Response times are counted in windows of
    ``latency_window_s`` by arrival; None: in one. ``record_requests`` keeps the response time and
    path of every request. ``overflows``: what servers refuse goes to functions; off, it is refused,
    and functions get their fixed share alone (``set_function_share``). ``revocable``: a server that
    is taken loses also what it had closed in a batch before that was decided, and nothing is
    counted as answered ahead of the clock.

    Raises:
        ConfigError: a value is out of range.
    """

    rt_max_s: float
    dispatcher: Dispatcher = Dispatcher.LEAST_EXPECTED_DELAY
    bouncer: Bouncer = Bouncer.PREDICTED_DEADLINE
    bouncer_queue_length: int | None = None
    queue_limit_s: float = 60.0
    bin_s: float = 5.0
    latency_window_s: float | None = None
    record_requests: bool = False
    overflows: bool = True
    revocable: bool = False

    def __post_init__(self) -> None:
        _check("EngineSettings", "rt_max_s", self.rt_max_s, positive=True)
        _check("EngineSettings", "queue_limit_s", self.queue_limit_s)
        _check("EngineSettings", "bin_s", self.bin_s, positive=True)
        if self.latency_window_s is not None:
            _check("EngineSettings", "latency_window_s", self.latency_window_s, positive=True)
        if self.bouncer_queue_length is not None and self.bouncer_queue_length < 1:
            raise ConfigError(
                f"EngineSettings: bouncer_queue_length must be at least 1, got "
                f"{self.bouncer_queue_length}"
            )


def queue_limit(kind: ServerKind, settings: EngineSettings) -> int:
    """Return how many unanswered requests the queue-length bouncer allows on a server.

    By default as many full batches as take RT_max one after the other, at least one.
    """
    if settings.bouncer_queue_length is not None:
        return settings.bouncer_queue_length
    batches = math.floor(settings.rt_max_s / (kind.service_times_s[-1] * kind.guard) + 1e-9)
    return min(max(batches, 1) * kind.batch_size, 2**31 - 1)


def _check(item: str, key: str, value: float, *, positive: bool = False) -> None:
    if not (math.isfinite(value) and (value > 0.0 if positive else value >= 0.0)):
        wanted = "positive" if positive else "at least 0"
        raise ConfigError(f"{item}: {key} must be finite and {wanted}, got {value}")
