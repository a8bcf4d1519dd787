"""Settings of a deployment on AWS: the option ``cloud=aws``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

import numpy as np

from markopt.cloud.aws.calls import RetrySettings
from markopt.cloud.aws.load import LoadSettings
from markopt.cloud.aws.user_data import ServerSettings
from markopt.cloud.live import Deployment
from markopt.core import Offer
from markopt.errors import ConfigError

if TYPE_CHECKING:
    from markopt.cloud.aws.backend import AwsBackend

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@final
@dataclass(frozen=True)
class WarmUpSettings:
    """How Lambda environments are kept warm.

    Args:
        way: ``invocations`` (MArk's: concurrent calls) or ``provisioned`` concurrency.
        function: the function's name; None: the deployment's.
        alias: the alias that the load balancer calls; None: the function itself, which provisioned
            concurrency cannot have.
        period_s: invocations are made again so often; below the idle time-out.
        hold_s: so long each holds its environment, so that the next call takes another one.

    Raises:
        ConfigError: a value is out of range.
    """

    way: str = "invocations"
    function: str | None = None
    alias: str | None = "live"
    period_s: float = 300.0
    hold_s: float = 1.0

    def __post_init__(self) -> None:
        if self.way not in ("invocations", "provisioned"):
            raise ConfigError(
                f"cloud.warm_up.way: expected 'invocations' or 'provisioned', got '{self.way}'"
            )
        if self.way == "provisioned" and self.alias is None:
            raise ConfigError("cloud.warm_up.alias: provisioned concurrency needs one, got null")
        for key in ("period_s", "hold_s"):
            if not getattr(self, key) > 0.0:
                raise ConfigError(
                    f"cloud.warm_up.{key}: must be positive, got {getattr(self, key)}"
                )


@final
@dataclass(frozen=True)
class AwsCloud:
    """EC2, Lambda and an application load balancer of one region, through boto3.

    Load balancer, target groups, listener, queue, launch template and function are found by the
    deployment's name (``data/aws/stack.yaml`` makes them; see docs/deploy.md). Credentials come
    from boto3's own chain and from nowhere else.

    Args:
        region: AWS's name of it.
        endpoint_url: where the APIs are, for a stand-in such as moto's server; None: AWS.
        rehearsal: play the deployment's workload into CloudWatch, and make the stack if it is
            missing; None: where ``endpoint_url`` is this machine. Never against AWS itself.
        subnets: where instances start, one per zone; None: where the load balancer is.
        image_id: of the instances; None: the launch template's.
        data_plane: ``weighted``: functions get the share that the controller sets; ``bouncer``: the
            overflow is somebody else's (HAProxy on an instance), weights are left alone.
        server: how an instance starts its model server.
        warm_up: how environments are kept warm.
        load: where the load is read.
        retry: how often calls are made again.
        mode: ``act``; in ``advise`` and ``shadow`` instances are looked at and not seen to.
        whole_launches: a launch that cannot be had whole is refused, in place of giving what there
            is; None: in a rehearsal, since moto's server launches the least that it is told.
        market_prices: spot prices of the moment, from the price history; None: but in a rehearsal,
            since moto's server gives every pool away.
        list_prices: on-demand prices come from the Pricing API, not from the catalogue.
        price_period_s: how often spot prices are asked for.
        look_period_s: how often, while time passes, instances are looked at and seen to.
        drain_deadline_s: an instance that still answers after so long is ended anyway.
        boot_deadline_s: one that is unhealthy for so long, from its first look on, is ended.
        stale_s: without any answer from EC2 for so long the back end fails; until then what was
            last seen stands.

    Raises:
        ConfigError: a value is out of range.
    """

    region: str = "us-east-1"
    endpoint_url: str | None = None
    rehearsal: bool | None = None
    subnets: Sequence[str] | None = None
    image_id: str | None = None
    data_plane: str = "weighted"
    server: ServerSettings = field(default_factory=ServerSettings)
    warm_up: WarmUpSettings = field(default_factory=WarmUpSettings)
    load: LoadSettings = field(default_factory=LoadSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    mode: str = "act"
    whole_launches: bool | None = None
    market_prices: bool | None = None
    list_prices: bool = False
    price_period_s: float = 300.0
    look_period_s: float = 10.0
    drain_deadline_s: float = 120.0
    boot_deadline_s: float = 900.0
    stale_s: float = 60.0

    def __post_init__(self) -> None:
        if self.data_plane not in ("bouncer", "weighted"):
            raise ConfigError(
                f"cloud.data_plane: expected 'bouncer' or 'weighted', got '{self.data_plane}'"
            )
        if self.mode not in ("advise", "shadow", "act"):
            raise ConfigError(
                f"cloud.mode: expected 'advise', 'shadow' or 'act', got '{self.mode}'"
            )
        for key in ("price_period_s", "look_period_s", "boot_deadline_s"):
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) > 0.0):
                raise ConfigError(f"cloud.{key}: must be positive, got {getattr(self, key)}")
        for key in ("drain_deadline_s", "stale_s"):
            if not getattr(self, key) >= 0.0:
                raise ConfigError(f"cloud.{key}: must not be negative, got {getattr(self, key)}")
        if self.endpoint_url is not None:
            parts = urlsplit(self.endpoint_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ConfigError(
                    f"cloud.endpoint_url: expected http(s)://HOST:PORT, got '{self.endpoint_url}'"
                )
            if parts.username or parts.password:
                raise ConfigError("cloud.endpoint_url: must not hold credentials, got some")
        elif self.rehearsal:
            raise ConfigError("cloud.rehearsal: needs cloud.endpoint_url, AWS itself plays no part")

    @property
    def rehearses(self) -> bool:
        """True where the workload is played into CloudWatch."""
        if self.rehearsal is None:
            return self.endpoint_url is not None and (
                urlsplit(self.endpoint_url).hostname in _LOOPBACK
            )
        return self.rehearsal

    @property
    def REPLAYS_WORKLOAD(self) -> bool:  # noqa: N802 - of other clouds it is a constant
        """True in a rehearsal: time is the trace's, and ends with it."""
        return self.rehearses

    @property
    def follows_market(self) -> bool:
        """True where spot offers have the price of the moment."""
        return not self.rehearses if self.market_prices is None else self.market_prices

    @property
    def launches_whole(self) -> bool:
        """True where launches are all or nothing."""
        return self.rehearses if self.whole_launches is None else self.whole_launches

    def expected_offers(self, offers: tuple[Offer, ...], *, start_s: float) -> tuple[Offer, ...]:
        """Return the offers at the prices that AWS publishes today, where ``list_prices`` says so.

        Raises:
            BackendError: the Pricing API refuses or does not answer.
        """
        if not self.list_prices:
            return offers
        from markopt.cloud.aws.opening import new_calls
        from markopt.cloud.aws.prices import at_list_prices

        return at_list_prices(new_calls(self, np.random.default_rng(0)), offers, self.region)

    def open(self, deployment: Deployment) -> AwsBackend:
        """Return the back end, with what runs under the deployment's name taken over.

        Raises:
            BackendError: AWS cannot be reached or refuses the credentials.
            ConfigError: what is configured does not fit what is there.
        """
        from markopt.cloud.aws.opening import open_backend

        return open_backend(self, deployment)
