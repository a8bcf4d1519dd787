"""Settings of the simulated cloud, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from markopt.cloud.simulated.api import ApiSettings
from markopt.cloud.simulated.boot import LaunchSettings
from markopt.cloud.simulated.markets import DrawnSettings, MarketSettings
from markopt.cloud.simulated.shortage import ShortageSettings
from markopt.engine import Bouncer, Dispatcher
from markopt.errors import ConfigError

if TYPE_CHECKING:
    from markopt.cloud.live import Deployment
    from markopt.cloud.protocol import Backend
    from markopt.core import Offer


@dataclass(frozen=True)
class SimulationSettings:
    """Rules and random processes of the simulated cloud.

    Args:
        dispatcher: ``least_expected_delay``, ``weighted_round_robin`` (MArk's), ``power_of_two``,
            ``join_shortest_queue`` or ``least_connections`` (HAProxy's).
        bouncer: what servers refuse at arrival, so that it is spilled: ``predicted_deadline`` what
            they cannot answer within ``RT_max``, ``queue_length`` what finds too many unanswered
            requests, ``none`` nothing.
        bouncer_queue_length: how many unanswered requests ``queue_length`` allows per server; None:
            what it can answer within ``RT_max``.
        data_plane: ``bouncer``: what servers refuse is sent on to functions (MArk, HAProxy);
            ``weighted``: functions get a fixed share, and what a server refuses is refused (AWS's
            load balancer).
        queue_limit_s: without the bouncer, requests that would wait longer are refused.
        bin_s: width of the bins that an observer sees.
        latency_window_s: response times are also kept by windows of this length; None: not.
        arrival_block_s: arrivals are drawn in blocks of this length.
        drain_deadline_s: a draining instance ends after this time at the latest, and loses what it
            has not answered; None: it answers all.
        launch: launch delays, and launches that fail.
        shortage: insufficient capacity of pools for what is not spot.
        api: throttling, errors and eventual consistency of launches and ends.
        spot_notice_s: time between the notice of a spot interruption and the interruption.
        market: when spot instances are refused and interrupted, and what they cost.

    Raises:
        ConfigError: a value is out of range.
    """

    dispatcher: str = "least_expected_delay"
    bouncer: str = "predicted_deadline"
    bouncer_queue_length: int | None = None
    data_plane: str = "bouncer"
    queue_limit_s: float = 60.0
    bin_s: float = 5.0
    latency_window_s: float | None = 3600.0
    arrival_block_s: float = 60.0
    drain_deadline_s: float | None = None
    launch: LaunchSettings = field(default_factory=LaunchSettings)
    shortage: ShortageSettings = field(default_factory=ShortageSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    spot_notice_s: float = 120.0
    market: MarketSettings = field(default_factory=DrawnSettings)

    def __post_init__(self) -> None:
        rules = [rule.name.lower() for rule in Dispatcher]
        if self.dispatcher not in rules:
            raise ConfigError(f"cloud.dispatcher: expected one of {rules}, got '{self.dispatcher}'")
        bouncers = [rule.name.lower() for rule in Bouncer]
        if self.bouncer not in bouncers:
            raise ConfigError(f"cloud.bouncer: expected one of {bouncers}, got '{self.bouncer}'")
        if self.bouncer_queue_length is not None and self.bouncer_queue_length < 1:
            raise ConfigError(
                f"cloud.bouncer_queue_length: must be at least 1, got {self.bouncer_queue_length}"
            )
        if self.data_plane not in ("bouncer", "weighted"):
            raise ConfigError(
                f"cloud.data_plane: expected 'bouncer' or 'weighted', got '{self.data_plane}'"
            )
        for key in ("queue_limit_s", "bin_s", "arrival_block_s", "latency_window_s"):
            value = getattr(self, key)
            if value is not None and not value > 0.0:
                raise ConfigError(f"cloud.{key}: must be positive, got {getattr(self, key)}")
        for key in (
            "drain_deadline_s",
            "spot_notice_s",
        ):
            value = getattr(self, key)
            if value is not None and not value >= 0.0:
                raise ConfigError(f"cloud.{key}: must not be negative, got {value}")
        if not isinstance(self.market, MarketSettings):
            raise ConfigError(
                f"cloud.market: expected a market (cloud/market=NAME), got {self.market!r}"
            )

    REPLAYS_WORKLOAD: ClassVar[bool] = True
    LIVES_HERE: ClassVar[bool] = True

    def open(self, deployment: Deployment) -> Backend:
        """Return a simulated cloud for a rehearsal by ``markopt deploy``."""
        from markopt.cloud.simulated.cloud import SimulatedCloud

        workload = deployment.workload
        return SimulatedCloud(
            self,
            service=deployment.service,
            offers=deployment.offers,
            function=deployment.function,
            arrivals=workload.new_arrivals(),
            start_s=workload.start_s,
            end_s=workload.end_s,
            seed=deployment.seed,
            initial_fleet=deployment.initial_fleet,
        )

    def expected_offers(self, offers: tuple[Offer, ...], *, start_s: float) -> tuple[Offer, ...]:
        """Return the offers at the prices and hazards that policies may expect at the start."""
        return self.market.expected(offers, start_s=start_s)

    @property
    def dispatch_rule(self) -> Dispatcher:
        """The compiled rule that ``dispatcher`` names."""
        return Dispatcher[self.dispatcher.upper()]

    @property
    def bouncer_rule(self) -> Bouncer:
        """The compiled rule that ``bouncer`` names."""
        return Bouncer[self.bouncer.upper()]
