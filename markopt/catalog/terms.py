"""What a cloud sells, as data: instance types, spot terms, function sizes, with their evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final, get_args

from markopt.catalog.lookup import unknown_name
from markopt.errors import CatalogError

Confidence = Literal["measured", "list", "code", "paper", "quoted", "assumed"]
"""How a figure is known.

``measured``: a published measurement; ``list``: a public price list; ``code``: read in released
code; ``paper``: printed in a paper; ``quoted``: widely quoted, not checked again; ``assumed``: a
default of ours. In this order, from the surest on.
"""

CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)


def worst_confidence(*confidences: str) -> Confidence:
    """Return the least sure of some confidences; what is none of them counts as assumed."""
    order: list[str] = list(CONFIDENCES)
    ranks = [order.index(c) if c in order else len(order) - 1 for c in confidences]
    return CONFIDENCES[max(ranks, default=len(order) - 1)]


@final
@dataclass(frozen=True)
class Evidence:
    """Where a figure comes from, and how it is known."""

    source: str
    confidence: Confidence


@final
@dataclass(frozen=True)
class SpotTerms:
    """Spot purchase of an instance type.

    ``usd_per_h`` is the typical price over all zones; ``zone_usd_per_h`` maps each zone whose
    price is known to its own (empty: no zone is known). ``interruption_per_h`` is the hazard of an
    interruption per instance-hour.
    """

    usd_per_h: float
    interruption_per_h: float
    evidence: Evidence
    zone_usd_per_h: dict[str, float] = field(default_factory=dict)

    @property
    def zones(self) -> tuple[str, ...]:
        """Zones with a known price, sorted."""
        return tuple(sorted(self.zone_usd_per_h))


@final
@dataclass(frozen=True)
class ScalingRule:
    """How a platform without profiles of its own gets them: another one's, times a factor.

    A batch takes ``time_factor`` times what it takes on the platform ``scaled_from``.
    """

    scaled_from: str
    time_factor: float
    evidence: Evidence


@final
@dataclass(frozen=True)
class InstanceType:
    """An instance type, or a container size (``container``), as the price list has it.

    ``gpu`` names the accelerator, None without one. ``baseline_vcpus`` is how many vCPUs' worth
    of work a burstable type may do for ever (its CPU credits per minute), None where the type is
    not burstable; it starts with ``launch_credit_s`` seconds of full speed as credit and keeps at
    most what it earns in ``credit_accrual_s``.
    ``launch_delay_s`` runs from the launch until the model server is ready;
    ``stopped_start_delay_s`` from the start of a stopped burstable standby. ``evidence`` has the
    keys ``price`` and ``launch``, and ``sagemaker``, ``burst`` and ``stopped_start`` where the
    type has such figures. ``scaling`` gives rules for services that were not profiled on the type;
    the first one whose base was is taken.
    """

    name: str
    vcpus: float
    memory_gb: float
    on_demand_usd_per_h: float
    launch_delay_s: float
    evidence: dict[str, Evidence]
    gpu: str | None = None
    spot: SpotTerms | None = None
    sagemaker_usd_per_h: float | None = None
    baseline_vcpus: float | None = None
    launch_credit_s: float = 0.0
    credit_accrual_s: float = 0.0
    stopped_start_delay_s: float | None = None
    container: bool = False
    scaling: tuple[ScalingRule, ...] = ()

    @property
    def burstable(self) -> bool:
        """True where the type runs on CPU credits."""
        return self.baseline_vcpus is not None

    @property
    def baseline_share(self) -> float | None:
        """Share of all vCPUs that a burstable type may use for ever; None where it is not one."""
        return None if self.baseline_vcpus is None else self.baseline_vcpus / self.vcpus

    @property
    def on_demand_usd_per_s(self) -> float:
        """On-demand price per second."""
        return self.on_demand_usd_per_h / 3600.0


@final
@dataclass(frozen=True)
class FunctionSize:
    """A function's memory size; ``cold_start_s`` is what a request waits for a new environment.

    ``usd_per_gb_s`` is the size's own price, None where the catalogue has one price for all.
    """

    memory_mb: int
    cold_start_s: float
    evidence: Evidence
    platform: str = "lambda"
    usd_per_gb_s: float | None = None
    scaling: tuple[ScalingRule, ...] = ()

    @property
    def name(self) -> str:
        """The platform's name in profiles: ``lambda/<MB>``."""
        return f"{self.platform}/{self.memory_mb}"

    @property
    def memory_gb(self) -> float:
        """Memory in the GB that are billed (1 GB = 1024 MB)."""
        return self.memory_mb / 1024.0


@final
@dataclass(frozen=True)
class FunctionTerms:
    """How functions (Lambda) are sold: price, billing step, limits and memory sizes.

    ``price_usd_per_gb_s`` applies to ordinary invocations of sizes without a price of their own;
    None: all have one. An environment that is kept warm costs ``warm_price_usd_per_gb_s`` all the
    time, and ``warm_use_price_usd_per_gb_s`` (in place of the ordinary price) while it serves;
    None where provisioned concurrency is not sold. At most ``burst`` new environments start at
    once, and ``burst_per_s`` after that; None: no such limit is known. ``evidence`` has the keys
    ``price``, ``concurrency``, ``memory`` and ``idle``, and ``warm`` and ``burst`` where these are
    known.
    """

    price_usd_per_gb_s: float | None
    price_usd_per_invocation: float
    billing_step_s: float
    warm_price_usd_per_gb_s: float | None
    warm_use_price_usd_per_gb_s: float | None
    concurrency_limit: int
    max_memory_mb: int
    idle_timeout_s: float
    sizes: tuple[FunctionSize, ...]
    evidence: dict[str, Evidence]
    burst: float | None = None
    burst_per_s: float = 0.0

    def size(self, platform: str) -> FunctionSize:
        """Return the size of the platform ``lambda/<MB>``.

        Raises:
            CatalogError: there is none of that name; the text lists those that exist.
        """
        for size in self.sizes:
            if size.name == platform:
                return size
        raise CatalogError(unknown_name("Function size", platform, [s.name for s in self.sizes]))

    def usd_per_gb_s(self, size: FunctionSize) -> float:
        """Return the price of an ordinary invocation of this size, per GB-second.

        Raises:
            CatalogError: neither the size nor the catalogue has a price.
        """
        price = self.price_usd_per_gb_s if size.usd_per_gb_s is None else size.usd_per_gb_s
        if price is None:
            raise CatalogError(f"Function size '{size.name}': usd_per_gb_s is required, got none")
        return price

    def warm_price_usd_per_s(self, size: FunctionSize) -> float | None:
        """Return the price of one environment of this size kept warm for a second, if sold."""
        price = self.warm_price_usd_per_gb_s
        return None if price is None else price * size.memory_gb


@final
@dataclass(frozen=True)
class Catalog:
    """Everything that one region sold at one time.

    Instance types are in the file's order. ``functions`` is None where none are on sale.
    """

    name: str
    region: str
    as_of: str
    minimum_billed_s: float
    spot_notice_s: float
    instance_types: tuple[InstanceType, ...]
    functions: FunctionTerms | None
    evidence: dict[str, Evidence]

    def names(self) -> list[str]:
        """Return the names of all instance types, in the file's order."""
        return [entry.name for entry in self.instance_types]

    def instance_type(self, name: str) -> InstanceType:
        """Return the instance type of that name.

        Raises:
            CatalogError: there is none; the text lists those that exist.
        """
        for entry in self.instance_types:
            if entry.name == name:
                return entry
        raise CatalogError(unknown_name(f"{self.name}: instance type", name, self.names()))
