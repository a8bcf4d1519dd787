"""From a catalogue and profiles to offers and functions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from markopt.capacity import (
    OfferSelection,
    at_price_ratio,
    best_saturation_rps,
    build_function,
    build_offers,
    mark_batching,
)
from markopt.catalog import (
    Catalog,
    Evidence,
    FunctionSize,
    FunctionTerms,
    InstanceType,
    SpotTerms,
    load_catalog,
    load_profiles,
)
from markopt.core import Batching, Profile, PurchaseOption, Service, Slo
from markopt.errors import CatalogError, ConfigError, Infeasible
from tests.capacity.services import profile

KNOWN = Evidence("made up", "assumed")
SERVICE = Service("made up", Slo(0.5, 0.98))


def instance_type(name: str, **changes: object) -> InstanceType:
    plain = InstanceType(
        name=name,
        vcpus=2.0,
        memory_gb=4.0,
        on_demand_usd_per_h=0.36,
        launch_delay_s=100.0,
        evidence={},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        name="small",
        region="nowhere-1",
        as_of="2019",
        minimum_billed_s=60.0,
        spot_notice_s=120.0,
        instance_types=(
            instance_type(
                "c5.large",
                spot=SpotTerms(0.144, 0.05, KNOWN, {"nowhere-1b": 0.18, "nowhere-1a": 0.108}),
            ),
            instance_type("p2.xlarge", spot=SpotTerms(0.27, 0.2, KNOWN)),
            instance_type("t2.medium", baseline_vcpus=0.4, stopped_start_delay_s=40.0),
            instance_type("fargate", container=True, launch_delay_s=45.0),
            instance_type("m5.large"),
        ),
        functions=FunctionTerms(
            price_usd_per_gb_s=1e-5,
            price_usd_per_invocation=2e-7,
            billing_step_s=0.1,
            warm_price_usd_per_gb_s=4e-6,
            warm_use_price_usd_per_gb_s=8e-6,
            burst=300.0,
            burst_per_s=5.0,
            concurrency_limit=500,
            max_memory_mb=3008,
            idle_timeout_s=600.0,
            sizes=tuple(FunctionSize(mb, 2.0, KNOWN) for mb in (1024, 2048, 3008)),
            evidence={},
        ),
        evidence={},
    )


@pytest.fixture
def profiles() -> dict[str, Profile]:
    known = [
        profile([0.2, 0.3, 0.5], sizes=[1, 2, 4]),
        profile([0.05, 0.06, 0.1], sizes=[1, 4, 16], platform="p2.xlarge", servers=2),
        profile([0.3], platform="t2.medium"),
        profile([0.25], platform="fargate"),
        profile([0.9], platform="lambda/1024"),
        profile([0.45], platform="lambda/2048"),
        profile([0.41], platform="lambda/3008"),
    ]
    return {entry.platform: entry for entry in known}


def names(
    catalog: Catalog, profiles: dict[str, Profile], service: Service = SERVICE, **selection: object
) -> list[str]:
    chosen = OfferSelection(batching="none", **selection)  # type: ignore[arg-type]
    return [entry.name for entry in build_offers(service, catalog, profiles, chosen)]


def test_every_profiled_type_is_offered_under_the_purchase_options_that_it_has(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    assert names(catalog, profiles) == [
        "c5.large/on_demand",
        "c5.large/spot",
        "p2.xlarge/on_demand",
        "p2.xlarge/spot",
    ]
    assert names(catalog, profiles, purchase=("on_demand",)) == [
        "c5.large/on_demand",
        "p2.xlarge/on_demand",
    ]
    every = [option.value for option in PurchaseOption]
    assert names(catalog, profiles, purchase=every)[-2:] == [
        "t2.medium/burstable",
        "fargate/container",
    ]


def test_a_spot_offer_per_zone_carries_the_zones_price_and_pool(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    chosen = OfferSelection(batching="none", purchase=("spot",), spot_per_zone=True)
    offers = {o.name: o for o in build_offers(SERVICE, catalog, profiles, chosen)}
    # p2.xlarge has no zone with a known price: one offer for the region.
    assert sorted(offers) == [
        "c5.large/spot/nowhere-1a",
        "c5.large/spot/nowhere-1b",
        "p2.xlarge/spot",
    ]
    assert offers["c5.large/spot/nowhere-1a"].price_usd_per_s == pytest.approx(0.108 / 3600)
    assert offers["c5.large/spot/nowhere-1a"].pool == "c5.large/nowhere-1a"
    assert offers["c5.large/spot/nowhere-1b"].pool == "c5.large/nowhere-1b"
    assert offers["p2.xlarge/spot"].pool == "p2.xlarge/nowhere-1"


def test_an_offer_repeats_what_catalogue_and_profile_say(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    chosen = OfferSelection(batching="mark")
    offers = {o.name: o for o in build_offers(SERVICE, catalog, profiles, chosen)}
    gpu = offers["p2.xlarge/spot"]
    batching = mark_batching(profiles["p2.xlarge"], 0.5)
    assert gpu.batching == batching
    assert batching is not None
    assert batching.batch_size == 16
    assert len(gpu.service_times_s) == 16
    assert gpu.service_times_s[3] == 0.06
    assert gpu.saturation_rps == pytest.approx(2 * 16 / 0.1)
    assert gpu.servers == 2
    assert gpu.price_usd_per_s == pytest.approx(0.27 / 3600)
    assert gpu.interruption_per_h == 0.2
    assert offers["p2.xlarge/on_demand"].interruption_per_h == 0.0
    assert gpu.launch_delay_s == 100.0
    assert gpu.minimum_billed_s == 60.0


def test_overrides_of_delay_and_hazard_apply_where_they_make_sense(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    chosen = OfferSelection(
        batching="none",
        purchase=("on_demand", "spot", "burstable", "container"),
        launch_delay_s=7.0,
        interruption_per_h=3.0,
    )
    offers = {o.name: o for o in build_offers(SERVICE, catalog, profiles, chosen)}
    assert offers["c5.large/on_demand"].launch_delay_s == 7.0
    assert offers["fargate/container"].launch_delay_s == 7.0
    # A stopped standby starts as fast as it does.
    assert offers["t2.medium/burstable"].launch_delay_s == 40.0
    assert offers["c5.large/spot"].interruption_per_h == 3.0
    assert offers["c5.large/on_demand"].interruption_per_h == 0.0


def test_types_that_are_too_slow_for_the_slo_are_left_out(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    tight = Service("made up", Slo(0.1, 0.98))
    assert names(catalog, profiles, tight) == ["p2.xlarge/on_demand", "p2.xlarge/spot"]


@pytest.mark.parametrize("batching", ["none", "mark", "best"])
def test_an_slo_that_nothing_meets_is_infeasible_and_names_the_fastest_platform(
    catalog: Catalog, profiles: dict[str, Profile], batching: str
) -> None:
    hopeless = Service("made up", Slo(0.01, 0.98))
    chosen = OfferSelection(batching=batching)  # type: ignore[arg-type]
    with pytest.raises(Infeasible, match=r"0\.01 s.*98%.*p2\.xlarge, takes 0\.05 s") as caught:
        build_offers(hopeless, catalog, profiles, chosen)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_selected_type_without_a_profile_is_an_error_that_lists_the_profiled(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    with pytest.raises(CatalogError, match=r"'m5\.large' has no profile of service 'made up'"):
        names(catalog, profiles, instance_types=["c5.large", "m5.large"])
    with pytest.raises(CatalogError, match=r"'c5\.larg' does not exist"):
        names(catalog, profiles, instance_types=["c5.larg"])


def test_the_best_batching_is_found_once_and_then_read_from_the_cache(
    catalog: Catalog, profiles: dict[str, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = OfferSelection(batching="best", instance_types=["p2.xlarge"])
    first = build_offers(SERVICE, catalog, profiles, chosen)
    assert first[0].batching.batch_size > 1

    def never(*given: object) -> Batching:
        raise AssertionError(f"searched again: {given}")

    monkeypatch.setattr("markopt.capacity.offers.best_batching", never)
    assert build_offers(SERVICE, catalog, profiles, chosen) == first


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("purchase", ("reserved",), "expected any of"),
        ("batching", "worst", "expected 'best', 'mark' or 'none'"),
        ("launch_delay_s", -1.0, "must not be negative"),
        ("interruption_per_h", float("nan"), "must not be negative"),
        ("function_price_ratio", 0.0, "must be positive"),
    ],
)
def test_a_selection_out_of_range_is_an_error_that_names_the_key(
    key: str, value: object, expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"catalog\.{key}: {expected}"):
        OfferSelection(**{key: value})  # type: ignore[arg-type]


def test_the_cheapest_function_that_is_in_time_is_chosen(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    function = build_function(SERVICE, catalog, profiles, OfferSelection(warm_up="provisioned"))
    assert function is not None
    # 2 GB for 0.5 s billed are cheaper than 3 GB for 0.5 s; 1 GB takes 0.9 s.
    assert function.name == "lambda/2048"
    assert function.memory_gb == 2.0
    assert function.warm_price_usd_per_s == pytest.approx(2.0 * 4e-6)
    assert function.concurrency_limit == 500
    assert (function.burst, function.burst_per_s) == (300.0, 5.0)
    assert function.cold_start_s == 2.0
    assert function.provisioned_price_usd_per_gb_s == 8e-6
    assert function.price_usd_per_request == pytest.approx(2e-7 + 0.5 * 2.0 * 1e-5)


def test_warm_up_by_invocations_costs_one_billing_step_per_idle_time_out(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    called = build_function(SERVICE, catalog, profiles, OfferSelection(warm_up="invocations"))
    kept = build_function(SERVICE, catalog, profiles, OfferSelection(warm_up="provisioned"))
    assert called is not None
    assert kept is not None
    step_usd = called.billing_step_s * called.memory_gb * called.price_usd_per_gb_s
    call_usd = called.price_usd_per_invocation + step_usd
    assert called.warm_price_usd_per_s == pytest.approx(call_usd / called.idle_timeout_s)
    # Called ones run at the ordinary price, provisioned ones at theirs; all else is equal.
    assert called.provisioned_price_usd_per_gb_s == called.price_usd_per_gb_s
    warm = {"warm_price_usd_per_s": kept.warm_price_usd_per_s, "warm_use_price_usd_per_gb_s": 8e-6}
    assert replace(called, **warm) == kept
    with pytest.raises(ConfigError, match=r"catalog\.warm_up"):
        OfferSelection(warm_up="never")  # type: ignore[arg-type]


@pytest.mark.parametrize("warm_up", ["invocations", "provisioned"])
def test_a_price_ratio_scales_every_price_of_the_function(
    catalog: Catalog, profiles: dict[str, Profile], warm_up: str
) -> None:
    selection = OfferSelection(warm_up=warm_up)  # type: ignore[arg-type]
    function = build_function(SERVICE, catalog, profiles, selection)
    offers = build_offers(SERVICE, catalog, profiles, selection)
    assert function is not None
    changed = at_price_ratio(function, offers, 4.0)
    cheapest_usd = min(offer.price_usd_per_s / offer.saturation_rps for offer in offers)
    assert changed.price_usd_per_request == pytest.approx(4.0 * cheapest_usd)
    factor = changed.price_usd_per_request / function.price_usd_per_request
    assert changed.warm_price_usd_per_s == pytest.approx(factor * function.warm_price_usd_per_s)
    assert changed.provisioned_price_usd_per_gb_s == pytest.approx(
        factor * function.provisioned_price_usd_per_gb_s
    )
    assert changed.service_time_s == function.service_time_s


def test_the_fastest_function_is_chosen_where_none_is_in_time(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    tight = Service("made up", Slo(0.1, 0.98))
    function = build_function(tight, catalog, profiles, OfferSelection())
    assert function is not None
    assert function.name == "lambda/3008"


def test_a_function_size_can_be_chosen_and_functions_can_be_left_out(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    chosen = build_function(SERVICE, catalog, profiles, OfferSelection(function_memory_mb=1024))
    assert chosen is not None
    assert chosen.name == "lambda/1024"
    assert (
        build_function(SERVICE, catalog, profiles, OfferSelection(function_memory_mb=None)) is None
    )
    without = replace(catalog, functions=None)
    assert build_function(SERVICE, without, profiles, OfferSelection()) is None
    bare = {name: p for name, p in profiles.items() if not name.startswith("lambda/")}
    assert build_function(SERVICE, catalog, bare, OfferSelection()) is None


def test_an_unprofiled_function_size_is_an_error_that_lists_the_profiled(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    with pytest.raises(CatalogError, match=r"512 MB; profiled: \['lambda/1024'"):
        build_function(SERVICE, catalog, profiles, OfferSelection(function_memory_mb=512))


def test_no_offer_exceeds_the_best_saturation_of_its_profile(
    catalog: Catalog, profiles: dict[str, Profile]
) -> None:
    for rule in ("none", "mark"):
        chosen = OfferSelection(batching=rule)  # type: ignore[arg-type]
        offers = build_offers(SERVICE, catalog, profiles, chosen)
        bound = best_saturation_rps(offers, profiles, SERVICE.slo)
        assert set(bound) == {o.name for o in offers}
        assert all(o.saturation_rps <= bound[o.name] for o in offers)
    assert bound["p2.xlarge/spot"] == pytest.approx(2 * 16 / 0.1)


def test_every_shipped_service_has_offers_and_only_in_time_ones() -> None:
    catalog = load_catalog("catalog/aws-us-east-1-2019.yaml")
    book = load_profiles("profiles")
    for name, rt_max_s in {
        "inception_bn": 0.2,
        "inception_v3": 0.5,
        "nasnet": 2.0,
        "opennmt": 2.0,
        "lstm_ptb": 0.1,
        "resnet200": 1.0,
        "vgg16": 1.0,
    }.items():
        service = Service(name, Slo(rt_max_s, 0.98))
        offers = build_offers(service, catalog, book.of(name), OfferSelection(batching="mark"))
        assert offers
        for entry in offers:
            assert entry.service_times_s[0] + 0.0 <= rt_max_s
            assert entry.batching.wait_s + entry.service_times_s[-1] <= rt_max_s
