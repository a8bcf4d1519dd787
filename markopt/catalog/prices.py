"""Catalogue files: their schema, and the way from a file to a ``Catalog``."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from markopt.catalog.document import (
    Count,
    NotNegative,
    Positive,
    Section,
    Share,
    Sourced,
    Text,
    read_document,
)
from markopt.catalog.terms import (
    Catalog,
    FunctionSize,
    FunctionTerms,
    InstanceType,
    ScalingRule,
    SpotTerms,
)
from markopt.errors import CatalogError
from markopt.resources import resolve_data_path

HOURS_PER_MONTH = 730.0


class _Delay(Sourced):
    delay_s: NotNegative


class _Billing(Sourced):
    minimum_billed_s: NotNegative
    spot_notice_s: NotNegative


class _Spot(Sourced):
    usd_per_h: Positive
    interruption_per_h: NotNegative | None = None
    interruption_share_per_month: Share | None = None
    zone_usd_per_h: dict[Text, Positive] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_hazard(self) -> Self:
        if (self.interruption_per_h is None) == (self.interruption_share_per_month is None):
            raise ValueError(
                "interruption_per_h: either this or interruption_share_per_month must be given, "
                f"got {self.interruption_per_h} and {self.interruption_share_per_month}"
            )
        return self

    @property
    def hazard_per_h(self) -> float:
        """The constant hazard under which that share is interrupted within a month."""
        if self.interruption_share_per_month is None:
            return float(self.interruption_per_h or 0.0)
        return -math.log1p(-self.interruption_share_per_month) / HOURS_PER_MONTH


class _SageMaker(Sourced):
    usd_per_h: Positive


class _Burst(Sourced):
    baseline_vcpus: Positive
    # One credit is a vCPU-minute: 30 of them per vCPU at launch, and at most a day's earnings.
    launch_credit_s: NotNegative = 1800.0
    accrual_s: NotNegative = 86_400.0


class _Scaling(Sourced):
    scaled_from: Text
    time_factor: Positive


class _Instance(Sourced):
    vcpus: Positive
    memory_gb: Positive
    on_demand_usd_per_h: Positive
    gpu: Text | None = None
    container: bool = False
    launch: _Delay | None = None
    spot: _Spot | None = None
    sagemaker: _SageMaker | None = None
    burst: _Burst | None = None
    scaling: tuple[_Scaling, ...] = ()

    @model_validator(mode="after")
    def _baseline_fits(self) -> Self:
        if self.burst is not None and self.burst.baseline_vcpus > self.vcpus:
            raise ValueError(
                f"burst.baseline_vcpus: must be at most vcpus, {self.vcpus}, "
                f"got {self.burst.baseline_vcpus}"
            )
        return self


class _FunctionPrice(Sourced):
    usd_per_gb_s: Positive | None = None
    usd_per_invocation: NotNegative
    billing_step_s: Positive


class _WarmPrice(Sourced):
    usd_per_gb_s: NotNegative
    use_usd_per_gb_s: NotNegative


class _Concurrency(Sourced):
    limit: Count


class _FunctionBurst(Sourced):
    environments: Count
    per_s: NotNegative


class _Memory(Sourced):
    max_mb: Count


class _Idle(Sourced):
    timeout_s: Positive


class _FunctionSize(Sourced):
    memory_mb: Count
    cold_start_s: NotNegative
    # The price of one billing step, where the list gives one for each size (memory and processor).
    usd_per_step: Positive | None = None
    scaling: tuple[_Scaling, ...] = ()


class _Functions(Section):
    platform: Text = "lambda"
    price: _FunctionPrice
    warm: _WarmPrice | None = None
    concurrency: _Concurrency
    memory: _Memory
    idle: _Idle
    burst: _FunctionBurst | None = None
    sizes: Annotated[tuple[_FunctionSize, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sizes_rise(self) -> Self:
        sizes = [size.memory_mb for size in self.sizes]
        if any(small >= large for small, large in pairwise(sizes)):
            raise ValueError(f"sizes: memory_mb must rise, got {sizes}")
        if sizes[-1] > self.memory.max_mb:
            raise ValueError(
                f"sizes: memory_mb must be at most memory.max_mb, {self.memory.max_mb}, "
                f"got {sizes[-1]}"
            )
        return self

    @model_validator(mode="after")
    def _every_size_has_one_price(self) -> Self:
        for size in self.sizes:
            if (size.usd_per_step is None) == (self.price.usd_per_gb_s is None):
                raise ValueError(
                    f"sizes: {size.memory_mb} MB needs either its own usd_per_step or "
                    f"price.usd_per_gb_s, got {size.usd_per_step} and {self.price.usd_per_gb_s}"
                )
        return self


class _CatalogFile(Section):
    name: Text
    region: Text
    as_of: Text
    sources: dict[Text, Text] | None = None
    billing: _Billing
    launch: _Delay
    stopped_start: _Delay
    instance_types: Annotated[dict[Text, _Instance], Field(min_length=1)]
    functions: _Functions | None = None


def load_catalog(path: str | Path) -> Catalog:
    """Return the catalogue in a YAML file.

    ``path`` is a file, or the name of one that ships with markopt, such as
    ``catalog/aws-us-east-1-2019.yaml``. A monthly share p of interrupted spot instances becomes
    the hazard ``-ln(1 - p) / 730`` per hour.

    Raises:
        CatalogError: there is no such file, a key is unknown, missing or given twice, or a value
            is out of range; the text names file, key and value.
    """
    document = read_document(resolve_data_path(path), _CatalogFile, CatalogError)
    sources = document.sources
    return Catalog(
        name=document.name,
        region=document.region,
        as_of=document.as_of,
        minimum_billed_s=document.billing.minimum_billed_s,
        spot_notice_s=document.billing.spot_notice_s,
        instance_types=tuple(
            _instance_type(name, entry, document) for name, entry in document.instance_types.items()
        ),
        functions=_function_terms(document.functions, sources) if document.functions else None,
        evidence={
            "billing": document.billing.evidence(sources),
            "launch": document.launch.evidence(sources),
            "stopped_start": document.stopped_start.evidence(sources),
        },
    )


def _instance_type(name: str, entry: _Instance, document: _CatalogFile) -> InstanceType:
    sources = document.sources
    launch = entry.launch or document.launch
    evidence = {"price": entry.evidence(sources), "launch": launch.evidence(sources)}
    if entry.sagemaker is not None:
        evidence["sagemaker"] = entry.sagemaker.evidence(sources)
    if entry.burst is not None:
        evidence["burst"] = entry.burst.evidence(sources)
        evidence["stopped_start"] = document.stopped_start.evidence(sources)
    return InstanceType(
        name=name,
        vcpus=entry.vcpus,
        memory_gb=entry.memory_gb,
        on_demand_usd_per_h=entry.on_demand_usd_per_h,
        launch_delay_s=launch.delay_s,
        evidence=evidence,
        gpu=entry.gpu,
        spot=_spot_terms(entry.spot, sources) if entry.spot else None,
        sagemaker_usd_per_h=entry.sagemaker.usd_per_h if entry.sagemaker else None,
        baseline_vcpus=entry.burst.baseline_vcpus if entry.burst else None,
        launch_credit_s=entry.burst.launch_credit_s if entry.burst else 0.0,
        credit_accrual_s=entry.burst.accrual_s if entry.burst else 0.0,
        stopped_start_delay_s=document.stopped_start.delay_s if entry.burst else None,
        container=entry.container,
        scaling=_scaling_rules(entry.scaling, sources),
    )


def _scaling_rules(
    rules: tuple[_Scaling, ...], sources: dict[str, str] | None
) -> tuple[ScalingRule, ...]:
    return tuple(
        ScalingRule(rule.scaled_from, rule.time_factor, rule.evidence(sources)) for rule in rules
    )


def _spot_terms(spot: _Spot, sources: dict[str, str] | None) -> SpotTerms:
    return SpotTerms(
        usd_per_h=spot.usd_per_h,
        interruption_per_h=spot.hazard_per_h,
        evidence=spot.evidence(sources),
        zone_usd_per_h=dict(spot.zone_usd_per_h),
    )


def _function_terms(functions: _Functions, sources: dict[str, str] | None) -> FunctionTerms:
    warm, burst = functions.warm, functions.burst
    evidence = {
        "price": functions.price.evidence(sources),
        "concurrency": functions.concurrency.evidence(sources),
        "memory": functions.memory.evidence(sources),
        "idle": functions.idle.evidence(sources),
    }
    if warm is not None:
        evidence["warm"] = warm.evidence(sources)
    if burst is not None:
        evidence["burst"] = burst.evidence(sources)
    return FunctionTerms(
        price_usd_per_gb_s=functions.price.usd_per_gb_s,
        price_usd_per_invocation=functions.price.usd_per_invocation,
        billing_step_s=functions.price.billing_step_s,
        warm_price_usd_per_gb_s=warm.usd_per_gb_s if warm else None,
        warm_use_price_usd_per_gb_s=warm.use_usd_per_gb_s if warm else None,
        concurrency_limit=functions.concurrency.limit,
        max_memory_mb=functions.memory.max_mb,
        idle_timeout_s=functions.idle.timeout_s,
        sizes=tuple(_function_size(size, functions, sources) for size in functions.sizes),
        evidence=evidence,
        burst=None if burst is None else float(burst.environments),
        burst_per_s=0.0 if burst is None else burst.per_s,
    )


def _function_size(
    size: _FunctionSize, functions: _Functions, sources: dict[str, str] | None
) -> FunctionSize:
    """Return a size; a price per billing step is spread over its seconds and gigabytes."""
    memory_gb = size.memory_mb / 1024.0
    step_gb_s = functions.price.billing_step_s * memory_gb
    return FunctionSize(
        memory_mb=size.memory_mb,
        cold_start_s=size.cold_start_s,
        evidence=size.evidence(sources),
        platform=functions.platform,
        usd_per_gb_s=None if size.usd_per_step is None else size.usd_per_step / step_gb_s,
        scaling=_scaling_rules(size.scaling, sources),
    )
