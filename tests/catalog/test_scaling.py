"""Profiles that a catalogue's scaling rules make, and prices per billing step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.capacity import OfferSelection, build_function, function_offer
from markopt.catalog import (
    CONFIDENCES,
    load_catalog,
    load_profiles,
    with_scaled,
    worst_confidence,
)
from markopt.core import Profile, Service, Slo
from markopt.errors import CatalogError
from tests.catalog.conftest import Write

GOOGLE = "catalog/google-us-central1-2019.yaml"
CATALOGS = (GOOGLE, "catalog/aws-us-east-1-2019.yaml", "catalog/aws-us-east-1-2026.yaml")


def profile(platform: str, *times_s: float, confidence: str = "measured") -> Profile:
    sizes = tuple(range(1, len(times_s) + 1))
    return Profile("tiny", platform, sizes, times_s, source="bench", confidence=confidence)


def rule(base: str, factor: float) -> dict[str, Any]:
    return {
        "scaled_from": base,
        "time_factor": factor,
        "source": "a guess",
        "confidence": "assumed",
    }


def test_a_rule_gives_a_platform_the_base_times_its_factor(
    write: Write, catalog_document: dict[str, Any]
) -> None:
    catalog_document["instance_types"]["t2.medium"]["scaling"] = [rule("c5.large", 1.5)]
    catalog = load_catalog(write(catalog_document))
    found = with_scaled({"c5.large": profile("c5.large", 0.01, 0.02)}, catalog)
    assert list(found) == ["c5.large", "t2.medium"]
    assert found["t2.medium"].service_times_s == pytest.approx((0.015, 0.03))
    assert found["t2.medium"].confidence == "assumed"
    assert "c5.large x 1.5: a guess" in found["t2.medium"].source


def test_a_profile_of_its_own_goes_before_any_rule(
    write: Write, catalog_document: dict[str, Any]
) -> None:
    catalog_document["instance_types"]["t2.medium"]["scaling"] = [rule("c5.large", 1.5)]
    catalog = load_catalog(write(catalog_document))
    own = {"c5.large": profile("c5.large", 0.01), "t2.medium": profile("t2.medium", 0.03)}
    assert with_scaled(own, catalog) == own


def test_the_first_rule_whose_base_is_profiled_holds_and_rules_do_not_chain(
    write: Write, catalog_document: dict[str, Any]
) -> None:
    types = catalog_document["instance_types"]
    types["c5.large"]["scaling"] = [rule("m5.large", 2.0)]
    types["t2.medium"]["scaling"] = [rule("c5.large", 1.5), rule("m5.large", 4.0)]
    catalog = load_catalog(write(catalog_document))
    found = with_scaled({"m5.large": profile("m5.large", 0.01)}, catalog)
    assert found["c5.large"].service_times_s == pytest.approx((0.02,))
    assert found["t2.medium"].service_times_s == pytest.approx((0.04,))
    assert with_scaled({"p2.xlarge": profile("p2.xlarge", 0.1)}, catalog).keys() == {"p2.xlarge"}


@given(st.lists(st.sampled_from(CONFIDENCES), min_size=1))
def test_the_worst_confidence_is_no_better_than_any(confidences: list[str]) -> None:
    worst = CONFIDENCES.index(worst_confidence(*confidences))
    assert worst == max(CONFIDENCES.index(c) for c in confidences)  # type: ignore[arg-type]


def test_an_unknown_confidence_counts_as_assumed() -> None:
    assert worst_confidence("measured", "") == "assumed"
    assert worst_confidence() == "assumed"


@pytest.mark.parametrize("path", CATALOGS)
def test_every_scaled_profile_is_assumed_and_says_from_what(path: str) -> None:
    catalog, book = load_catalog(path), load_profiles("profiles")
    added = 0
    for service in book.services():
        own = book.of(service)
        for platform, found in with_scaled(own, catalog).items():
            if platform not in own:
                added += 1
                assert found.confidence == "assumed"
                assert " x " in found.source
    assert added > 10


@pytest.mark.parametrize("service", ["inception_v3", "inception_bn"])
def test_google_and_fargate_can_serve_the_inceptions(service: str) -> None:
    own = load_profiles("profiles").of(service)
    google = load_catalog(GOOGLE)
    assert {e.name for e in google.instance_types} <= with_scaled(own, google).keys()
    assert "cloud_functions/2048" in with_scaled(own, google)
    for path in CATALOGS[1:]:
        aws = load_catalog(path)
        containers = {e.name for e in aws.instance_types if e.container}
        assert containers
        assert containers <= with_scaled(own, aws).keys()


def test_a_cloud_function_costs_what_the_price_list_says_per_100_ms() -> None:
    google = load_catalog(GOOGLE)
    slow = profile("cloud_functions/2048", 0.26)
    offer = function_offer(slow.platform, google, slow, OfferSelection())
    assert offer.price_usd(0.1) == pytest.approx(0.0000029 + 0.0000004)
    assert offer.price_usd_per_request == pytest.approx(3 * 0.0000029 + 0.0000004)


def test_attached_gpus_cost_the_machine_and_the_accelerator() -> None:
    google = load_catalog(GOOGLE)
    for name, usd in (("k80", 0.45), ("p100", 1.46), ("tpu-v2-8", 4.50)):
        entry = google.instance_type(f"n1-standard-4+{name}")
        host = google.instance_type("n1-standard-4")
        assert entry.on_demand_usd_per_h == pytest.approx(host.on_demand_usd_per_h + usd)
    v100 = google.instance_type("n1-standard-8+v100").on_demand_usd_per_h
    assert v100 == pytest.approx(google.instance_type("n1-standard-8").on_demand_usd_per_h + 2.48)


def test_a_size_needs_exactly_one_price(write: Write, catalog_document: dict[str, Any]) -> None:
    functions = catalog_document["functions"]
    functions["sizes"][0]["usd_per_step"] = 0.0000029
    with pytest.raises(CatalogError, match=r"functions\.sizes: 1024 MB needs either"):
        load_catalog(write(catalog_document))
    del functions["price"]["usd_per_gb_s"]
    with pytest.raises(CatalogError, match=r"3008 MB needs either its own usd_per_step"):
        load_catalog(write(catalog_document))
    functions["sizes"][1]["usd_per_step"] = 0.000005
    terms = load_catalog(write(catalog_document)).functions
    assert terms is not None
    assert terms.usd_per_gb_s(terms.sizes[0]) == pytest.approx(0.0000029 / 0.1)


def test_provisioned_concurrency_that_is_not_sold_is_refused() -> None:
    google = load_catalog(GOOGLE)
    profiles = {"cloud_functions/2048": profile("cloud_functions/2048", 0.1)}
    service = Service("tiny", Slo(0.5, 0.98))
    kept = build_function(service, google, profiles, OfferSelection(warm_up="invocations"))
    assert kept is not None
    assert kept.warm_price_usd_per_s > 0.0
    with pytest.raises(CatalogError, match="sells no provisioned concurrency"):
        build_function(service, google, profiles, OfferSelection(warm_up="provisioned"))
