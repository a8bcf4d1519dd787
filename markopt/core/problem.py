"""One provisioning decision as plain data: saved, replayed, compared, sent to another solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict

from markopt.core.availability import Availability
from markopt.core.fleet import FleetState
from markopt.core.forecast import Forecast
from markopt.core.offer import FunctionOffer, Offer
from markopt.core.service import Service
from markopt.core.throughput import RequiredThroughput
from markopt.core.warm_start import WarmStart
from markopt.errors import ConfigError

PROBLEM_SCHEMA = "markopt.problem/1"


@dataclass(frozen=True)
class SloWindow:
    """Requests and violations so far in the SLO's current window, and what is left of it."""

    requests: int = 0
    violations: int = 0
    remaining_s: float = 3600.0


@dataclass(frozen=True)
class Limits:
    """Account limits; None means without a limit.

    ``max_instances_by_pool`` bounds the billed instances of all offers of a pool together.

    Raises:
        ConfigError: a limit is negative.
    """

    max_vcpus: float | None = None
    max_launches_per_interval: int | None = None
    max_terminations_per_interval: int | None = None
    max_instances_by_pool: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("max_vcpus", "max_launches_per_interval", "max_terminations_per_interval"):
            value = getattr(self, key)
            if value is not None and not value >= 0:
                raise ConfigError(f"limits.{key}: must not be negative, got {value}")
        for pool, count in self.max_instances_by_pool.items():
            if count < 0:
                raise ConfigError(
                    f"limits.max_instances_by_pool: must not be negative, got {count} for '{pool}'"
                )


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a planner may know at one decision.

    ``forecast`` covers intervals t = 0 .. H-1 from ``time_s`` on. ``required_throughput`` holds a
    curve for every instance type among ``offers``. ``availability``: joint paths of the spot pools;
    None: what the offers' hazards say. ``history_peak_rps`` is the largest interval
    rate of the history that policies may learn from. ``recent_rps`` are the observed rates, oldest
    first, of the last 60 intervals, ``recent_bin_rps`` the rates in the 5 s bins of the last one.
    ``recent_targets_rps`` is the saturation throughput that each of the last plans, oldest first,
    wanted at once, ``recent_final_targets_rps`` what it wanted at its horizon's end (a rule that
    holds on to capacity says there what it would want without); ``since_scale_out_s`` and
    ``since_scale_in_s`` tell how long ago the fleet was changed (None: never).
    ``warm_start`` is what the search for the last plan found, for the next one to be faster. Same
    problem, same plan.

    Raises:
        ConfigError: no offers, names that are not unique, or a missing curve.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    time_s: float
    interval_s: float
    service: Service
    offers: tuple[Offer, ...]
    function: FunctionOffer | None
    fleet: FleetState
    forecast: Forecast
    required_throughput: RequiredThroughput
    window: SloWindow = field(default_factory=SloWindow)
    limits: Limits = field(default_factory=Limits)
    availability: Availability | None = None
    history_peak_rps: float = 0.0
    recent_rps: tuple[float, ...] = ()
    recent_bin_rps: tuple[float, ...] = ()
    recent_targets_rps: tuple[float, ...] = ()
    recent_final_targets_rps: tuple[float, ...] = ()
    since_scale_out_s: float | None = None
    since_scale_in_s: float | None = None
    warm_start: WarmStart | None = None
    schema: str = PROBLEM_SCHEMA

    def __post_init__(self) -> None:
        if self.schema != PROBLEM_SCHEMA:
            raise ConfigError(
                f"problem.schema: this version reads '{PROBLEM_SCHEMA}', got '{self.schema}'"
            )
        names = [offer.name for offer in self.offers]
        if len(set(names)) != len(names):
            raise ConfigError(f"problem.offers: names must be unique, got {names}")
        for offer in self.offers:
            if offer.instance_type not in self.required_throughput.curves:
                raise ConfigError(
                    f"problem.required_throughput: no curve for instance type "
                    f"'{offer.instance_type}' of offer '{offer.name}'"
                )
        if self.interval_s <= 0.0 or abs(self.forecast.interval_s - self.interval_s) > 1e-9:
            raise ConfigError(
                f"problem.interval_s: must be positive and the forecast's, got {self.interval_s} "
                f"and {self.forecast.interval_s}"
            )
        known = self.horizon if self.availability is None else self.availability.paths.shape[2]
        if known < self.horizon:
            raise ConfigError(
                f"problem.availability: must cover the forecast's {self.horizon} intervals, got "
                f"{known}"
            )

    @property
    def horizon(self) -> int:
        """Number of intervals that the forecast covers."""
        return self.forecast.horizon

    def offer(self, name: str) -> Offer:
        """Return the offer of that name.

        Raises:
            ConfigError: there is none.
        """
        for offer in self.offers:
            if offer.name == name:
                return offer
        raise ConfigError(
            f"Offer '{name}' is not in the problem; offers: {[o.name for o in self.offers]}"
        )
