from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.catalog import Catalog, InstanceType, load_catalog
from markopt.errors import CatalogError
from tests.catalog.conftest import Write

CATALOG_2019 = "catalog/aws-us-east-1-2019.yaml"
CATALOG_2026 = "catalog/aws-us-east-1-2026.yaml"
BUCKET_MIDDLE = [0.025, 0.075, 0.125, 0.175, 0.25]


@pytest.fixture(scope="module", params=[CATALOG_2019, CATALOG_2026])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    return load_catalog(request.param)


def monthly_hazard(share: float) -> float:
    return -math.log(1.0 - share) / 730.0


def rented(catalog: Catalog) -> list[InstanceType]:
    return [entry for entry in catalog.instance_types if not entry.container]


def test_on_demand_prices_are_those_of_the_price_list() -> None:
    prices = {
        **{"c5.large": 0.085, "c5.xlarge": 0.17, "c5.2xlarge": 0.34, "c5.4xlarge": 0.68},
        **{"c5.9xlarge": 1.53, "c5.18xlarge": 3.06, "m5.large": 0.096, "m5.xlarge": 0.192},
        **{"m5.2xlarge": 0.384, "m5.4xlarge": 0.768, "t2.micro": 0.0116, "t2.small": 0.023},
        **{"t2.medium": 0.0464, "t2.large": 0.0928, "t2.xlarge": 0.1856, "p2.xlarge": 0.90},
        **{"p3.2xlarge": 3.06, "g3s.xlarge": 0.75, "g3.4xlarge": 1.14, "g4dn.xlarge": 0.526},
    }
    catalog = load_catalog(CATALOG_2019)
    assert {entry.name: entry.on_demand_usd_per_h for entry in rented(catalog)} == prices
    assert load_catalog(CATALOG_2026).instance_type("g5.xlarge").on_demand_usd_per_h == 1.006


def test_sagemaker_and_spot_prices_of_2019() -> None:
    catalog = load_catalog(CATALOG_2019)
    sagemaker = {
        entry.name: entry.sagemaker_usd_per_h
        for entry in catalog.instance_types
        if entry.sagemaker_usd_per_h is not None
    }
    assert sagemaker == {
        **{"c5.large": 0.119, "c5.xlarge": 0.238, "c5.2xlarge": 0.476, "m5.large": 0.134},
        **{"p2.xlarge": 1.26, "p3.2xlarge": 4.284},
    }
    for name, price in sagemaker.items():
        ratio = price / catalog.instance_type(name).on_demand_usd_per_h
        assert ratio == pytest.approx(1.40, abs=0.005)
    for name, usd_per_h in {"p2.xlarge": 0.27, "p3.2xlarge": 0.92}.items():
        spot = catalog.instance_type(name).spot
        assert spot is not None
        assert spot.usd_per_h == usd_per_h
        assert spot.evidence.confidence == "list"


def test_function_terms_of_both_eras() -> None:
    old = load_catalog(CATALOG_2019).functions
    new = load_catalog(CATALOG_2026).functions
    assert old is not None
    assert new is not None
    for terms in (old, new):
        assert terms.price_usd_per_gb_s == 0.0000166667
        assert terms.price_usd_per_invocation == pytest.approx(0.20 / 1e6)
        assert terms.warm_price_usd_per_gb_s == 0.0000041667
        assert terms.warm_use_price_usd_per_gb_s == 0.0000097222
        assert terms.concurrency_limit == 1000
        assert terms.sizes[-1].memory_mb == terms.max_memory_mb
        assert terms.idle_timeout_s == 600.0
        for size in terms.sizes:
            load_s = 2.0 * max(1792 / size.memory_mb, 1.0)
            assert size.cold_start_s == pytest.approx(0.5 + load_s, abs=0.005)
        assert {size.evidence.confidence for size in terms.sizes} == {"assumed"}
    assert (old.billing_step_s, old.max_memory_mb) == (0.1, 3008)
    assert (new.billing_step_s, new.max_memory_mb) == (0.001, 10240)


def test_function_size_is_found_by_the_name_that_profiles_use() -> None:
    terms = load_catalog(CATALOG_2019).functions
    assert terms is not None
    size = terms.size("lambda/3008")
    assert size.memory_gb == 3008 / 1024
    assert terms.warm_price_usd_per_s(size) == pytest.approx(0.0000041667 * 2.9375)
    with pytest.raises(
        CatalogError, match=r"'lambda/3009' .*did you mean 'lambda/3008'.*there are"
    ):
        terms.size("lambda/3009")


def test_unknown_instance_type_is_an_error_that_lists_what_exists(catalog: Catalog) -> None:
    with pytest.raises(CatalogError) as error:
        catalog.instance_type("c5.lagre")
    assert "\n" not in str(error.value)
    assert "did you mean 'c5.large'?" in str(error.value)
    for name in catalog.names():
        assert name in str(error.value)


def test_names_are_unique_and_every_figure_has_a_source(catalog: Catalog) -> None:
    assert len(set(catalog.names())) == len(catalog.names())
    for entry in catalog.instance_types:
        assert {"price", "launch"} <= set(entry.evidence)
        assert ("burst" in entry.evidence) == entry.burstable
        assert ("sagemaker" in entry.evidence) == (entry.sagemaker_usd_per_h is not None)
        evidences = [*entry.evidence.values(), *([entry.spot.evidence] if entry.spot else [])]
        assert all(len(evidence.source) > 20 for evidence in evidences)


def test_spot_is_cheaper_than_on_demand_in_every_zone(catalog: Catalog) -> None:
    bought = [entry for entry in catalog.instance_types if entry.spot is not None]
    assert len(bought) > 10
    for entry in bought:
        assert entry.spot is not None
        prices = [entry.spot.usd_per_h, *entry.spot.zone_usd_per_h.values()]
        assert max(prices) < entry.on_demand_usd_per_h


def test_delays_and_billing_are_the_documented_defaults(catalog: Catalog) -> None:
    assert {e.launch_delay_s for e in rented(catalog)} == {100.0}
    assert {e.stopped_start_delay_s for e in catalog.instance_types if e.burstable} == {40.0}
    assert (catalog.minimum_billed_s, catalog.spot_notice_s) == (60.0, 120.0)


def test_burstable_types_have_a_baseline_and_a_short_start(catalog: Catalog) -> None:
    baselines = {e.name: e.baseline_share for e in catalog.instance_types if e.burstable}
    assert baselines == pytest.approx(
        {"t2.micro": 0.1, "t2.small": 0.2, "t2.medium": 0.2, "t2.large": 0.3, "t2.xlarge": 0.225}
    )
    for name in baselines:
        entry = catalog.instance_type(name)
        assert entry.stopped_start_delay_s is not None
        assert entry.stopped_start_delay_s < entry.launch_delay_s
        assert entry.evidence["stopped_start"].confidence == "assumed"
        assert entry.spot is None
    assert catalog.instance_type("c5.large").stopped_start_delay_s is None


def test_containers_cost_what_their_vcpus_and_memory_cost(catalog: Catalog) -> None:
    containers = [entry for entry in catalog.instance_types if entry.container]
    assert len(containers) == 3
    for entry in containers:
        price = 0.04048 * entry.vcpus + 0.004445 * entry.memory_gb
        assert entry.on_demand_usd_per_h == pytest.approx(price, abs=1e-9)
        assert entry.launch_delay_s == (30.0 + 60.0) / 2.0
        assert entry.evidence["price"].confidence == "quoted"


def test_catalog_survives_pickling(catalog: Catalog) -> None:
    assert pickle.loads(pickle.dumps(catalog)) == catalog


def test_small_catalog_is_read_as_written(catalog_document: dict[str, Any], write: Write) -> None:
    catalog = load_catalog(write(catalog_document))
    large = catalog.instance_type("c5.large")
    assert (large.vcpus, large.memory_gb, large.on_demand_usd_per_h) == (2.0, 4.0, 0.085)
    assert large.on_demand_usd_per_s == 0.085 / 3600.0
    assert large.spot is not None
    assert large.spot.interruption_per_h == pytest.approx(math.log(2.0) / 730.0)
    assert large.spot.zones == ()
    assert (catalog.minimum_billed_s, catalog.spot_notice_s) == (60.0, 120.0)
    assert catalog.evidence["billing"].source == "made up"


def test_instance_type_may_have_its_own_launch_delay(
    catalog_document: dict[str, Any], write: Write
) -> None:
    own = {"delay_s": 183, "source": "measured here", "confidence": "measured"}
    catalog_document["instance_types"]["c5.large"]["launch"] = own
    catalog = load_catalog(write(catalog_document))
    large, medium = catalog.instance_type("c5.large"), catalog.instance_type("t2.medium")
    assert (large.launch_delay_s, medium.launch_delay_s) == (183.0, 100.0)
    assert large.evidence["launch"].source == "measured here"


def test_catalog_without_functions_and_with_a_direct_hazard_loads(
    catalog_document: dict[str, Any], write: Write
) -> None:
    del catalog_document["functions"]
    spot = catalog_document["instance_types"]["c5.large"]["spot"]
    del spot["interruption_share_per_month"]
    spot["interruption_per_h"] = 0.0
    spot["zone_usd_per_h"] = {"b": 0.05, "a": 0.04}
    catalog = load_catalog(write(catalog_document))
    assert catalog.functions is None
    terms = catalog.instance_type("c5.large").spot
    assert terms is not None
    assert terms.interruption_per_h == 0.0
    assert terms.zones == ("a", "b")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0.001, 0.99), price=st.floats(1e-4, 1e3))
def test_hazard_interrupts_the_stated_share_within_a_month(
    catalog_document: dict[str, Any], tmp_path: Path, share: float, price: float
) -> None:
    entry = catalog_document["instance_types"]["c5.large"]
    entry["on_demand_usd_per_h"] = price
    entry["spot"]["interruption_share_per_month"] = share
    path = tmp_path / "drawn.yaml"
    path.write_text(yaml.safe_dump(catalog_document), encoding="utf-8")
    large = load_catalog(path).instance_type("c5.large")
    assert large.spot is not None
    assert 1.0 - math.exp(-730.0 * large.spot.interruption_per_h) == pytest.approx(share)
    assert large.on_demand_usd_per_h == price


def test_2019_prices_and_sizes_agree_with_the_recorded_price_list(shared_data: Path) -> None:
    recorded = pd.read_csv(shared_data / "catalog/ec2_on_demand_2017-11-12.csv.gz")
    rows = recorded[recorded.region == "us-east-1"].set_index("instance_type")
    checked = 0
    for entry in rented(load_catalog(CATALOG_2019)):
        if entry.name not in rows.index:
            assert "after November 2017" in entry.evidence["price"].source
            continue
        row = rows.loc[entry.name]
        assert entry.on_demand_usd_per_h == row.linux_usd_per_hour
        assert (entry.vcpus, entry.memory_gb) == (row.vcpus, row.memory_gib)
        assert (entry.gpu is not None) == (row.gpu_count > 0)
        checked += 1
    assert checked >= 14


def test_2026_prices_agree_with_the_recorded_catalogue(shared_data: Path) -> None:
    rows = pd.read_csv(
        shared_data / "catalog/ec2_catalogue_us-east-1_2022-2026.csv.gz", index_col=0
    )
    advisor = spot_advisor(shared_data, "2025-06")
    for entry in rented(load_catalog(CATALOG_2026)):
        row = rows.loc[entry.name]
        assert entry.on_demand_usd_per_h == row["on_demand_usd_per_hour_2026-07-20"]
        sizes = row if row.vcpus > 0 else advisor.loc[entry.name]
        assert (entry.vcpus, entry.memory_gb) == (sizes.vcpus, sizes.memory_gb)
        if entry.spot is None:
            assert entry.burstable or entry.name not in advisor.index
            continue
        share = row["spot_usd_per_hour_2023-08-30"] / row["on_demand_usd_per_hour_2023-08-30"]
        if not share > 0.0:
            share = 1.0 - advisor.loc[entry.name].savings_over_on_demand_pct / 100.0
        assert entry.spot.usd_per_h == pytest.approx(share * entry.on_demand_usd_per_h, abs=1e-5)


def test_2019_spot_prices_are_the_medians_of_the_price_history(shared_data: Path) -> None:
    history = pd.read_csv(shared_data / "spot/spot_price_us-east-1_2021.csv.gz")
    medians = history.groupby("instance_type").usd_per_hour.median()
    by_zone = history.groupby(["instance_type", "availability_zone"]).usd_per_hour.median()
    for entry in rented(load_catalog(CATALOG_2019)):
        if entry.spot is None:
            continue
        if entry.name not in medians.index:
            assert entry.spot.evidence.confidence == "assumed"
            assert entry.spot.usd_per_h == pytest.approx(0.45 * entry.on_demand_usd_per_h)
            continue
        # p3.2xlarge: 0.92 on the price list, 0.918 in the history.
        assert entry.spot.usd_per_h == pytest.approx(medians[entry.name], rel=3e-3)
        assert entry.spot.zone_usd_per_h == pytest.approx(
            by_zone[entry.name].to_dict(), abs=1.01e-5
        )


@pytest.mark.parametrize(("path", "year"), [(CATALOG_2019, "2021-02"), (CATALOG_2026, "2025-06")])
def test_interruptions_are_the_buckets_of_the_spot_advisor(
    shared_data: Path, path: str, year: str
) -> None:
    advisor = spot_advisor(shared_data, year)
    checked = 0
    for entry in rented(load_catalog(path)):
        if entry.spot is not None:
            bucket = int(advisor.loc[entry.name].interruption_bucket)
            expected = monthly_hazard(BUCKET_MIDDLE[bucket])
            assert entry.spot.interruption_per_h == pytest.approx(expected)
            checked += 1
    assert checked >= 15


def spot_advisor(shared_data: Path, year: str) -> pd.DataFrame:
    rows = pd.read_csv(shared_data / f"spot/spot_advisor_{year}.csv.gz")
    return rows[rows.region == "us-east-1"].set_index("instance_type")
