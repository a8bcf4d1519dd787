"""What an engine is told: kinds of servers and functions, rules of the request path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from markopt.engine.state import Dispatcher
from markopt.errors import ConfigError

ServiceTimeDistribution = Literal["lognormal", "exponential"]


@dataclass(frozen=True)
class ServerKind:
    """Servers that behave alike: batching, and mean service time by batch size.

    ``service_times_s[b-1]`` belongs to a batch of b = 1 .. ``batch_size``. ``guard`` multiplies the
    service time that the bouncer counts with. ``weight`` is its share in weighted round robin.

    Raises:
        ConfigError: a value is out of range.
    """

    service_times_s: tuple[float, ...]
    wait_s: float = 0.0
    service_time_cv: float = 0.0
    distribution: ServiceTimeDistribution = "lognormal"
    guard: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.service_times_s:
            raise ConfigError("ServerKind: service_times_s needs an entry per batch size, got none")
        for time_s in self.service_times_s:
            _check("ServerKind", "service_times_s", time_s, positive=True)
        _check("ServerKind", "wait_s", self.wait_s)
        _check("ServerKind", "service_time_cv", self.service_time_cv)
        _check("ServerKind", "guard", self.guard, positive=True)
        _check("ServerKind", "weight", self.weight, positive=True)

    @property
    def batch_size(self) -> int:
        """Largest batch."""
        return len(self.service_times_s)


@dataclass(frozen=True)
class FunctionKind:
    """Function environments: service time of one request, cold start, idle time-out, limit.

    Raises:
        ConfigError: a value is out of range.
    """

    service_time_s: float
    cold_start_s: float
    idle_timeout_s: float = 600.0
    concurrency_limit: int = 1000
    billing_step_s: float = 0.1
    service_time_cv: float = 0.0

    def __post_init__(self) -> None:
        _check("FunctionKind", "service_time_s", self.service_time_s, positive=True)
        _check("FunctionKind", "cold_start_s", self.cold_start_s)
        _check("FunctionKind", "idle_timeout_s", self.idle_timeout_s)
        _check("FunctionKind", "concurrency_limit", self.concurrency_limit, positive=True)
        _check("FunctionKind", "billing_step_s", self.billing_step_s, positive=True)
        _check("FunctionKind", "service_time_cv", self.service_time_cv)


@dataclass(frozen=True)
class EngineSettings:
    """Rules of the request path.

    With ``bouncer`` a request that no server can answer within ``rt_max_s`` is spilled at arrival;
    without it, it queues, and is refused only where it would wait longer than ``queue_limit_s``.
    ``record_requests`` keeps the response time and path of every request.

    Raises:
        ConfigError: a value is out of range.
    """

    rt_max_s: float
    dispatcher: Dispatcher = Dispatcher.LEAST_EXPECTED_DELAY
    bouncer: bool = True
    queue_limit_s: float = 60.0
    bin_s: float = 5.0
    record_requests: bool = False

    def __post_init__(self) -> None:
        _check("EngineSettings", "rt_max_s", self.rt_max_s, positive=True)
        _check("EngineSettings", "queue_limit_s", self.queue_limit_s)
        _check("EngineSettings", "bin_s", self.bin_s, positive=True)


def _check(item: str, key: str, value: float, *, positive: bool = False) -> None:
    if not (math.isfinite(value) and (value > 0.0 if positive else value >= 0.0)):
        wanted = "positive" if positive else "at least 0"
        raise ConfigError(f"{item}: {key} must be finite and {wanted}, got {value}")
