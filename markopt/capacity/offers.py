"""From catalogue and profiles to offers: what of a region's price list serves this service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from markopt.capacity.batching import (
    BatchingRule,
    best_batching,
    guard_factor,
    mark_batching,
    saturation_bound_rps,
    saturation_rps,
)
from markopt.capacity.cache import cached
from markopt.capacity.fleet_factor import (
    CALIBRATION_VERSION,
    CalibrationSettings,
    slo_capacity_rps,
)
from markopt.catalog import Catalog, InstanceType
from markopt.core import Batching, FunctionOffer, Offer, Profile, PurchaseOption, Service, Slo
from markopt.errors import CatalogError, ConfigError, Infeasible

_SEARCH_INSTANCES = 16
"""Fleet size at which batchings are compared: in much smaller fleets a long wait carries more, in
larger and in mixed ones it only delays."""


@dataclass(frozen=True)
class OfferSelection:
    """Which part of a catalogue is on offer, and how its instances batch.

    Args:
        catalog: catalogue file, as given or below the shipped ``data/``.
        profiles: profile file or folder, likewise.
        instance_types: names to offer; None means all that have a profile of the service.
        purchase: purchase options on offer.
        batching: ``best`` (by search), ``mark`` (MArk's rule) or ``none``.
        spot_per_zone: one spot offer per zone with a known price, instead of one per type.
        spot_max_price: most that is paid for spot, as a share of the on-demand price: one spot
            offer per pool and value, named like ``c5.large/spot@0.60``; None: one, at most on
            demand. It matters where the market's price moves.
        function_memory_mb: function size; ``auto`` takes the cheapest that meets ``RT_max`` (the
            fastest where none does), None offers no functions.
        warm_up: how functions are kept warm: by ``invocations`` (MArk's way: one short call per
            environment and idle time-out) or as ``provisioned`` concurrency at its list price.
        launch_delay_s: overrides the catalogue's launch delay, None keeps it.
        interruption_per_h: overrides the catalogue's spot hazard, None keeps it.
        function_price_ratio: what a request costs on functions as a multiple of the cheapest
            offer's price per request at saturation, to ask "what if"; None keeps the list price.

    Raises:
        ConfigError: a value is not one of those allowed.
    """

    catalog: str = "catalog/aws-us-east-1-2019.yaml"
    profiles: str = "profiles"
    instance_types: Sequence[str] | None = None
    purchase: Sequence[str] = ("on_demand", "spot")
    batching: BatchingRule = "best"
    spot_per_zone: bool = False
    spot_max_price: float | Sequence[float] | None = None
    function_memory_mb: int | Literal["auto"] | None = "auto"
    warm_up: Literal["invocations", "provisioned"] = "invocations"
    launch_delay_s: float | None = None
    interruption_per_h: float | None = None
    function_price_ratio: float | None = None

    def __post_init__(self) -> None:
        options = [option.value for option in PurchaseOption]
        for key in ("instance_types", "purchase"):
            names = getattr(self, key)
            if names is not None and not len(names):
                raise ConfigError(f"catalog.{key}: must name at least one, got an empty list")
        for option in self.purchase:
            if option not in options:
                raise ConfigError(f"catalog.purchase: expected any of {options}, got '{option}'")
        if self.batching not in ("mark", "best", "none"):
            raise ConfigError(
                f"catalog.batching: expected 'best', 'mark' or 'none', got '{self.batching}'"
            )
        if self.warm_up not in ("invocations", "provisioned"):
            raise ConfigError(
                f"catalog.warm_up: expected 'invocations' or 'provisioned', got '{self.warm_up}'"
            )
        self._check_maximum_prices()
        for key in ("launch_delay_s", "interruption_per_h"):
            value = getattr(self, key)
            if value is not None and not value >= 0.0:
                raise ConfigError(f"catalog.{key}: must not be negative, got {value}")
        ratio = self.function_price_ratio
        if ratio is not None and not ratio > 0.0:
            raise ConfigError(f"catalog.function_price_ratio: must be positive, got {ratio}")

    def _check_maximum_prices(self) -> None:
        shares = self.maximum_prices
        if not shares or not all(share is None or share > 0.0 for share in shares):
            raise ConfigError(
                f"catalog.spot_max_price: expected positive shares of the on-demand price, got "
                f"{self.spot_max_price}"
            )
        if len({_at(share) for share in shares}) < len(shares):
            raise ConfigError(
                f"catalog.spot_max_price: values must differ by 0.01, got {self.spot_max_price}"
            )

    @property
    def maximum_prices(self) -> tuple[float | None, ...]:
        """Maximum prices of spot offers as shares of on demand, None: of on demand itself."""
        given = self.spot_max_price
        return tuple(given) if isinstance(given, Sequence) else (given,)


def _at(share: float | None) -> str:
    """Return the end of a spot offer's name that tells its maximum price."""
    return "" if share is None else f"@{share:.2f}"


def build_offers(
    service: Service,
    catalog: Catalog,
    profiles: Mapping[str, Profile],
    selection: OfferSelection,
) -> tuple[Offer, ...]:
    """Return the offers of a catalogue that can meet the service's SLO, in the catalogue's order.

    Raises:
        CatalogError: a selected instance type does not exist or has no profile.
        Infeasible: no instance type and no function can answer within ``RT_max``.
    """
    if selection.instance_types is None:
        types = [entry for entry in catalog.instance_types if entry.name in profiles]
        types = [entry for entry in types if _purchases(entry, selection)]
    else:
        types = [catalog.instance_type(name) for name in selection.instance_types]
    offers: list[Offer] = []
    for entry in types:
        if entry.name not in profiles:
            raise CatalogError(
                f"catalog.instance_types: '{entry.name}' has no profile of service "
                f"'{service.name}'; profiled: {sorted(profiles)}"
            )
        if not _purchases(entry, selection):
            continue
        profile = profiles[entry.name]
        batching = _batching(profile, service.slo, selection.batching)
        if batching is not None:
            offers += _offers_of(entry, profile, batching, catalog, selection)
    if types and not any(_purchases(entry, selection) for entry in types):
        raise CatalogError(
            f"catalog.purchase: {[entry.name for entry in types]} are not sold as any of "
            f"{list(selection.purchase)}"
        )
    if not offers:
        raise _nothing_in_time(service, profiles)
    return tuple(offers)


def _purchases(entry: InstanceType, selection: OfferSelection) -> list[PurchaseOption]:
    """Return in what selected ways a type is sold: burstable and container types in one alone."""
    if entry.burstable:
        sold = [PurchaseOption.BURSTABLE]
    elif entry.container:
        sold = [PurchaseOption.CONTAINER]
    else:
        sold = [PurchaseOption.ON_DEMAND]
        if entry.spot is not None:
            sold.append(PurchaseOption.SPOT)
    wanted = set(selection.purchase)
    return [option for option in sold if option.value in wanted]


def _nothing_in_time(service: Service, profiles: Mapping[str, Profile]) -> Infeasible:
    fastest = min(profiles.values(), key=lambda profile: profile.service_time_s(1))
    return Infeasible(
        f"service.slo.rt_max_s: no offer of '{service.name}' answers within "
        f"{service.slo.rt_max_s} s for {service.slo.sl_min:.0%} of requests; the fastest profiled "
        f"platform, {fastest.platform}, takes {fastest.service_time_s(1):.4g} s on average"
    )


def _batching(profile: Profile, slo: Slo, rule: BatchingRule) -> Batching | None:
    if rule == "mark":
        return mark_batching(profile, slo.rt_max_s)
    if rule == "none":
        fits = profile.service_time_s(1) * guard_factor(profile.service_time_cv) <= slo.rt_max_s
        return Batching() if fits else None
    settings = CalibrationSettings(min_requests=40_000, max_requests=200_000, precision=0.008)
    inputs = {
        "version": CALIBRATION_VERSION,
        "batch_sizes": profile.batch_sizes,
        "service_times_s": profile.service_times_s,
        "servers": profile.servers,
        "service_time_cv": profile.service_time_cv,
        "slo": [slo.rt_max_s, slo.sl_min],
        "settings": asdict(settings),
        "instances": _SEARCH_INSTANCES,
    }

    def search() -> list[float] | None:
        found = best_batching(
            profile,
            slo,
            lambda batching: slo_capacity_rps(
                profile, batching, slo, instances=_SEARCH_INSTANCES, settings=settings
            ),
        )
        return None if found is None else [found.batch_size, found.wait_s]

    found = cached("batching", inputs, search)
    return None if found is None else Batching(int(found[0]), float(found[1]))


def _offers_of(
    entry: InstanceType,
    profile: Profile,
    batching: Batching,
    catalog: Catalog,
    selection: OfferSelection,
) -> list[Offer]:
    """Return one offer per purchase option (and zone) of an instance type."""

    def offer(
        purchase: PurchaseOption,
        usd_per_h: float,
        *,
        zone: str | None = None,
        share: float | None = None,
    ) -> Offer:
        spot = purchase is PurchaseOption.SPOT
        hazard = entry.spot.interruption_per_h if spot and entry.spot else 0.0
        if spot and selection.interruption_per_h is not None:
            hazard = selection.interruption_per_h
        delay_s = entry.launch_delay_s
        if purchase is PurchaseOption.BURSTABLE and entry.stopped_start_delay_s is not None:
            delay_s = entry.stopped_start_delay_s
        elif selection.launch_delay_s is not None:
            delay_s = selection.launch_delay_s
        return Offer(
            name="/".join(filter(None, (entry.name, purchase.value + _at(share), zone))),
            instance_type=entry.name,
            purchase=purchase,
            pool=f"{entry.name}/{zone or catalog.region}",
            vcpus=entry.vcpus,
            price_usd_per_s=usd_per_h / 3600.0,
            saturation_rps=saturation_rps(profile, batching.batch_size),
            batching=batching,
            service_times_s=tuple(
                profile.service_time_s(b) for b in range(1, batching.batch_size + 1)
            ),
            servers=profile.servers,
            service_time_cv=profile.service_time_cv,
            launch_delay_s=delay_s,
            interruption_per_h=hazard,
            minimum_billed_s=catalog.minimum_billed_s,
            baseline_share=baseline_share,
            credit_limit_s=baseline_share * entry.credit_accrual_s,
            credit_launch_s=entry.launch_credit_s,
            on_demand_usd_per_s=entry.on_demand_usd_per_s,
            max_price_usd_per_s=None if share is None else share * entry.on_demand_usd_per_s,
        )

    baseline_share = 1.0 if entry.baseline_share is None else entry.baseline_share
    offers: list[Offer] = []
    for purchase in _purchases(entry, selection):
        if purchase is not PurchaseOption.SPOT or entry.spot is None:
            offers.append(offer(purchase, entry.on_demand_usd_per_h))
            continue
        zones: list[tuple[str | None, float]] = [(None, entry.spot.usd_per_h)]
        if selection.spot_per_zone and entry.spot.zone_usd_per_h:
            zones = list(entry.spot.zone_usd_per_h.items())
        offers += [
            offer(PurchaseOption.SPOT, price, zone=zone, share=share)
            for zone, price in zones
            for share in selection.maximum_prices
        ]
    return offers


def build_function(
    service: Service,
    catalog: Catalog,
    profiles: Mapping[str, Profile],
    selection: OfferSelection,
) -> FunctionOffer | None:
    """Return the function size that takes spilled requests, None where there is none.

    Raises:
        CatalogError: the selected size has no profile of the service or is not on sale.
    """
    wanted = selection.function_memory_mb
    if wanted is None or catalog.functions is None:
        return None
    kind = catalog.functions.sizes[0].platform
    platforms = [name for name in profiles if name.startswith(f"{kind}/")]
    if wanted != "auto":
        if f"{kind}/{wanted}" not in platforms:
            raise CatalogError(
                f"catalog.function_memory_mb: no profile of '{service.name}' at {wanted} MB; "
                f"profiled: {sorted(platforms) or 'none'}"
            )
        platforms = [f"{kind}/{wanted}"]
    on_sale = {size.name for size in catalog.functions.sizes}
    functions = [
        function_offer(name, catalog, profiles[name], selection)
        for name in platforms
        if name in on_sale
    ]
    if not functions:
        return None
    in_time = [
        function
        for function in functions
        if function.service_time_s * guard_factor(function.service_time_cv) <= service.slo.rt_max_s
    ]
    if in_time:
        return min(in_time, key=lambda f: (f.price_usd_per_request, f.name))
    return min(functions, key=lambda f: (f.service_time_s, f.name))


def function_offer(
    name: str, catalog: Catalog, profile: Profile, selection: OfferSelection
) -> FunctionOffer:
    """Return one function size as the catalogue sells it, by its platform's name.

    Raises:
        CatalogError: it is not on sale, or is to be kept warm in a way that is not sold.
    """
    terms = catalog.functions
    if terms is None:
        raise CatalogError(f"Catalogue '{catalog.name}' sells no functions")
    size = terms.size(name)
    warm_usd_per_s = terms.warm_price_usd_per_s(size)
    if warm_usd_per_s is None and selection.warm_up == "provisioned":
        raise CatalogError(
            f"catalog.warm_up: '{catalog.name}' sells no provisioned concurrency, expected "
            f"'invocations', got 'provisioned'"
        )
    function = FunctionOffer(
        name=name,
        memory_gb=size.memory_gb,
        service_time_s=profile.service_time_s(1),
        price_usd_per_gb_s=terms.usd_per_gb_s(size),
        price_usd_per_invocation=terms.price_usd_per_invocation,
        billing_step_s=terms.billing_step_s,
        service_time_cv=profile.service_time_cv,
        cold_start_s=size.cold_start_s,
        idle_timeout_s=terms.idle_timeout_s,
        concurrency_limit=terms.concurrency_limit,
        warm_price_usd_per_s=warm_usd_per_s or 0.0,
        burst=terms.burst,
        burst_per_s=terms.burst_per_s,
        warm_use_price_usd_per_gb_s=terms.warm_use_price_usd_per_gb_s,
    )
    if selection.warm_up == "provisioned":
        return function
    call_usd = function.price_usd(function.billing_step_s)
    return replace(
        function,
        warm_price_usd_per_s=call_usd / function.idle_timeout_s,
        warm_use_price_usd_per_gb_s=None,
    )


def at_price_ratio(function: FunctionOffer, offers: Sequence[Offer], ratio: float) -> FunctionOffer:
    """Return the function at ``ratio`` times the cheapest offer's price per request at saturation.

    All its prices change by one factor: of use, of invocations and of warm environments.
    """
    instance_usd = min(offer.price_usd_per_s / offer.saturation_rps for offer in offers)
    factor = ratio * instance_usd / function.price_usd_per_request
    warm_use_usd = function.warm_use_price_usd_per_gb_s
    return replace(
        function,
        price_usd_per_gb_s=factor * function.price_usd_per_gb_s,
        price_usd_per_invocation=factor * function.price_usd_per_invocation,
        warm_price_usd_per_s=factor * function.warm_price_usd_per_s,
        warm_use_price_usd_per_gb_s=None if warm_use_usd is None else factor * warm_use_usd,
    )


def best_saturation_rps(
    offers: Sequence[Offer], profiles: Mapping[str, Profile], slo: Slo
) -> dict[str, float]:
    """Return, by offer, the largest saturation throughput of any batching: no policy exceeds it."""
    return {
        offer.name: max(
            saturation_bound_rps(profiles[offer.instance_type], slo.rt_max_s), offer.saturation_rps
        )
        for offer in offers
    }
