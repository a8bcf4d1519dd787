"""The service and its promise: what is served, how fast, how often."""

from __future__ import annotations

from dataclasses import dataclass

from markopt.errors import ConfigError


@dataclass(frozen=True)
class Slo:
    """A latency objective: at least ``sl_min`` of requests answered within ``rt_max_s``.

    ``window_s`` is the span over which the share is counted while the service runs.
    MArk (ATC 2019), section 4.1.

    Raises:
        ConfigError: a value is out of range.
    """

    rt_max_s: float
    sl_min: float
    window_s: float = 3600.0

    def __post_init__(self) -> None:
        if not self.rt_max_s > 0.0:
            raise ConfigError(f"service.slo.rt_max_s: must be positive, got {self.rt_max_s}")
        if not 0.0 < self.sl_min < 1.0:
            raise ConfigError(
                f"service.slo.sl_min: must lie strictly between 0 and 1, got {self.sl_min}"
            )
        if not self.window_s > 0.0:
            raise ConfigError(f"service.slo.window_s: must be positive, got {self.window_s}")

    @property
    def miss_share(self) -> float:
        """Share of requests that may be late or refused."""
        return 1.0 - self.sl_min


@dataclass(frozen=True)
class Service:
    """The model being served, named as in ``data/profiles``, with its SLO."""

    name: str
    slo: Slo
