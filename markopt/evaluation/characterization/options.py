"""All ways in which a catalogue sells capacity for a service, with what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from markopt.capacity import OfferSelection, function_offer
from markopt.catalog import Catalog, Confidence, FunctionTerms, InstanceType
from markopt.core import FunctionOffer, Profile, PurchaseOption
from markopt.errors import CatalogError

Model = Literal["IaaS", "CaaS", "FaaS"]
CPU = "CPU"
FUNCTION = "function"


@dataclass(frozen=True)
class Option:
    """One platform in one purchase option.

    ``usd_per_s`` is what an instance costs while it runs, None for functions, which are billed by
    ``function``'s prices. ``ready_s`` is how long new capacity takes to serve: the launch delay, or
    the cold start. Burstable options have a ``baseline_share`` below one.
    """

    catalog: str
    platform: str
    family: str
    model: Model
    processor: str
    purchase: str
    vcpus: float | None
    memory_gb: float
    usd_per_s: float | None
    ready_s: float
    profile: Profile
    price_confidence: Confidence
    ready_confidence: Confidence
    baseline_share: float = 1.0
    credit_limit_s: float = 0.0
    function: FunctionOffer | None = None

    @property
    def unbatched_rps(self) -> float:
        """Requests per second that one instance (or environment) serves for ever, one at a time."""
        single_s = self.profile.service_time_s(1)
        return self.baseline_share * self.profile.servers / single_s


def options_of(
    name: str, catalog: Catalog, profiles: Mapping[str, Profile], selection: OfferSelection
) -> tuple[Option, ...]:
    """Return every option of a catalogue on which the service has a profile, instances first.

    ``name`` is what the catalogue is called in the configuration. Of the selection only the
    instance types and the overridden launch delay count.

    Raises:
        CatalogError: a selected instance type does not exist.
    """
    wanted = selection.instance_types
    for chosen in wanted or ():
        catalog.instance_type(chosen)
    options: list[Option] = []
    for entry in catalog.instance_types:
        if entry.name in profiles and (wanted is None or entry.name in wanted):
            options += _instance_options(name, entry, profiles[entry.name], selection)
    if catalog.functions is not None and selection.function_memory_mb is not None:
        options += _function_options(name, catalog, catalog.functions, profiles, selection)
    return tuple(options)


def _instance_options(
    catalog: str, entry: InstanceType, profile: Profile, selection: OfferSelection
) -> Iterator[Option]:
    def option(
        purchase: PurchaseOption, usd_per_h: float, price: Confidence, model: Model = "IaaS"
    ) -> Option:
        ready_s, ready = entry.launch_delay_s, entry.evidence["launch"].confidence
        if purchase is PurchaseOption.BURSTABLE and entry.stopped_start_delay_s is not None:
            ready_s = entry.stopped_start_delay_s
            ready = entry.evidence["stopped_start"].confidence
        elif selection.launch_delay_s is not None:
            ready_s, ready = selection.launch_delay_s, "assumed"
        share = 1.0 if entry.baseline_share is None else entry.baseline_share
        return Option(
            catalog=catalog,
            platform=entry.name,
            family=family_of(entry.name),
            model=model,
            processor=entry.gpu or CPU,
            purchase=purchase.value,
            vcpus=entry.vcpus,
            memory_gb=entry.memory_gb,
            usd_per_s=usd_per_h / 3600.0,
            ready_s=ready_s,
            profile=profile,
            price_confidence=price,
            ready_confidence=ready,
            baseline_share=share,
            credit_limit_s=share * entry.credit_accrual_s,
        )

    listed = entry.evidence["price"].confidence
    if entry.container:
        yield option(PurchaseOption.CONTAINER, entry.on_demand_usd_per_h, listed, "CaaS")
    elif entry.burstable:
        yield option(PurchaseOption.BURSTABLE, entry.on_demand_usd_per_h, listed)
    else:
        yield option(PurchaseOption.ON_DEMAND, entry.on_demand_usd_per_h, listed)
        if entry.spot is not None:
            evidence = entry.spot.evidence.confidence
            yield option(PurchaseOption.SPOT, entry.spot.usd_per_h, evidence)


def _function_options(
    name: str,
    catalog: Catalog,
    terms: FunctionTerms,
    profiles: Mapping[str, Profile],
    selection: OfferSelection,
) -> Iterator[Option]:
    for size in terms.sizes:
        if size.name not in profiles:
            continue
        yield Option(
            catalog=name,
            platform=size.name,
            family=size.platform,
            model="FaaS",
            processor=CPU,
            purchase=FUNCTION,
            vcpus=None,
            memory_gb=size.memory_gb,
            usd_per_s=None,
            ready_s=size.cold_start_s,
            profile=profiles[size.name],
            price_confidence=terms.evidence["price"].confidence,
            ready_confidence=size.evidence.confidence,
            function=function_offer(size.name, catalog, profiles[size.name], selection),
        )


def family_of(platform: str) -> str:
    """Return what sizes of one kind have in common: ``c5``, ``n1-standard``, ``fargate``."""
    for separator in ("/", "."):
        if separator in platform:
            return platform.split(separator, 1)[0]
    return re.sub(r"-\d+(?=$|\+)", "", platform)


def require_some(options: tuple[Option, ...], service: str, catalogs: tuple[str, ...]) -> None:
    """Refuse a study that has nothing to measure.

    Raises:
        CatalogError: there is no option at all.
    """
    if not options:
        raise CatalogError(
            f"characterize.catalogs: none of {list(catalogs)} sells a selected platform that has a "
            f"profile of service '{service}'"
        )
