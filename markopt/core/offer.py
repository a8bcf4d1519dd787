"""Ways to buy capacity: instances by purchase option, and functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from markopt.errors import CatalogError


class PurchaseOption(StrEnum):
    """How an instance is paid for."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    BURSTABLE = "burstable"
    CONTAINER = "container"

    @property
    def lasting(self) -> bool:
        """True for capacity that stays as long as it is paid for, at full speed."""
        return self in (PurchaseOption.ON_DEMAND, PurchaseOption.CONTAINER)


@dataclass(frozen=True)
class Batching:
    """A batch is sent when it holds ``batch_size`` requests or its first has waited ``wait_s``."""

    batch_size: int = 1
    wait_s: float = 0.0


@dataclass(frozen=True)
class Offer:
    """One way to buy instance capacity, with all that planning and simulation need of it.

    ``name`` is unique in a problem (``c5.large/spot``). ``pool`` is instance type x zone: what
    spot interruptions have in common. ``service_times_s[b-1]`` is the mean service time of a batch
    of b on one of the ``servers`` model servers, for b = 1 .. ``batching.batch_size``.
    ``saturation_rps`` is what the instance serves per second when never idle.
    ``interruption_per_h`` is the hazard of a spot interruption per instance-hour.
    ``on_demand_usd_per_s`` is the instance type's on-demand price; ``max_price_usd_per_s`` is the
    most that a spot buyer pays, None: the on-demand price (no limit where that is unknown).
    ``stock`` is the largest count that can be had, None without a limit.
    A burstable offer runs at ``baseline_share`` of full speed for ever. It earns that many seconds
    of full speed per second as credit, up to ``credit_limit_s``, and starts with
    ``credit_launch_s``; while it has credit it runs at full speed.

    Raises:
        CatalogError: a value is out of range.
    """

    name: str
    instance_type: str
    purchase: PurchaseOption
    pool: str
    vcpus: float
    price_usd_per_s: float
    saturation_rps: float
    batching: Batching
    service_times_s: tuple[float, ...]
    servers: int = 1
    service_time_cv: float = 0.0
    launch_delay_s: float = 100.0
    interruption_per_h: float = 0.0
    minimum_billed_s: float = 60.0
    stock: int | None = None
    baseline_share: float = 1.0
    credit_limit_s: float = 0.0
    credit_launch_s: float = 0.0
    on_demand_usd_per_s: float | None = None
    max_price_usd_per_s: float | None = None

    def __post_init__(self) -> None:
        for key in ("price_usd_per_s", "saturation_rps"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0.0):
                raise CatalogError(f"Offer '{self.name}': {key} must be positive, got {value}")
        for key in ("launch_delay_s", "interruption_per_h", "minimum_billed_s", "service_time_cv"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0.0):
                raise CatalogError(f"Offer '{self.name}': {key} must not be negative, got {value}")
        for key in ("on_demand_usd_per_s", "max_price_usd_per_s"):
            value = getattr(self, key)
            if value is not None and not value > 0.0:
                raise CatalogError(f"Offer '{self.name}': {key} must be positive, got {value}")
        if self.stock is not None and self.stock < 0:
            raise CatalogError(f"Offer '{self.name}': stock must not be negative, got {self.stock}")
        if not 0.0 < self.baseline_share <= 1.0:
            raise CatalogError(
                f"Offer '{self.name}': baseline_share must lie in (0, 1], got {self.baseline_share}"
            )
        if len(self.service_times_s) != self.batching.batch_size:
            raise CatalogError(
                f"Offer '{self.name}': needs a service time for every batch up to "
                f"{self.batching.batch_size}, got {len(self.service_times_s)}"
            )

    @property
    def maximum_usd_per_s(self) -> float:
        """The price above which a spot buyer does without; infinity where there is no limit."""
        if self.max_price_usd_per_s is not None:
            return self.max_price_usd_per_s
        return math.inf if self.on_demand_usd_per_s is None else self.on_demand_usd_per_s

    def sustained_rps(self, duration_s: float) -> float:
        """Return the mean throughput over a duration from its launch, never idle.

        A burstable offer runs at full speed until its launch credit is used up, then at its
        baseline share; any other one serves ``saturation_rps``.
        """
        if self.baseline_share >= 1.0 or duration_s <= 0.0:
            return self.saturation_rps
        full_speed_s = min(self.credit_launch_s / (1.0 - self.baseline_share), duration_s)
        work_s = full_speed_s + (duration_s - full_speed_s) * self.baseline_share
        return self.saturation_rps * work_s / duration_s


@dataclass(frozen=True)
class FunctionOffer:
    """A function size (Lambda) that takes the requests that instances cannot serve in time.

    ``service_time_s`` is the time of one request on a warm environment, ``cold_start_s`` is added
    on a cold one. Billed time is rounded up to ``billing_step_s``. Warm environments beyond those
    in use cost ``warm_price_usd_per_s`` each; unused ones are lost after ``idle_timeout_s``. New
    environments take tokens from a bucket of ``burst`` tokens that gains ``burst_per_s``; None: as
    many as wanted. While a warm environment serves, ``warm_use_price_usd_per_gb_s`` is billed in
    place of the ordinary price; None: the ordinary one.
    """

    name: str
    memory_gb: float
    service_time_s: float
    price_usd_per_gb_s: float
    price_usd_per_invocation: float
    billing_step_s: float = 0.1
    service_time_cv: float = 0.0
    cold_start_s: float = 1.0
    idle_timeout_s: float = 600.0
    concurrency_limit: int = 1000
    warm_price_usd_per_s: float = 0.0
    burst: float | None = None
    burst_per_s: float = 0.0
    warm_use_price_usd_per_gb_s: float | None = None

    def __post_init__(self) -> None:
        for key in ("memory_gb", "service_time_s", "billing_step_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0.0):
                raise CatalogError(f"Function '{self.name}': {key} must be positive, got {value}")

    def price_usd(self, duration_s: float) -> float:
        """Return the bill of one invocation that ran ``duration_s`` seconds."""
        steps = math.ceil(duration_s / self.billing_step_s - 1e-9)
        billed_s = steps * self.billing_step_s
        return self.price_usd_per_invocation + billed_s * self.memory_gb * self.price_usd_per_gb_s

    @property
    def price_usd_per_request(self) -> float:
        """Bill of one request at the ordinary price."""
        return self.price_usd(self.service_time_s)

    @property
    def provisioned_price_usd_per_gb_s(self) -> float:
        """Price of use of an environment that is kept warm."""
        warm_usd = self.warm_use_price_usd_per_gb_s
        return self.price_usd_per_gb_s if warm_usd is None else warm_usd

    @property
    def warm_rps(self) -> float:
        """Requests per second that one warm environment serves (mu_lambda)."""
        return 1.0 / self.service_time_s
