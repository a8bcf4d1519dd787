"""The measurement study: its points, its rows, and what decides a finding."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.capacity import OfferSelection
from markopt.catalog import load_catalog, load_profiles, with_scaled
from markopt.core import FunctionOffer, Profile, Service, Slo
from markopt.engine import FunctionKind
from markopt.errors import CatalogError, ConfigError, DataError
from markopt.evaluation.characterization import (
    Characterization,
    CharacterizeSettings,
    Option,
    Row,
    characterize,
    judge,
    options_of,
    read_characterization,
    require_some,
    write_characterization,
)
from markopt.evaluation.characterization.measurement import (
    Point,
    largest_rate,
    measure_cold,
    measure_functions,
    measure_servers,
    server_of,
    unit_arrivals_s,
)
from markopt.evaluation.characterization.options import family_of
from markopt.evaluation.characterization.tables import because, lines, options_markdown

SLO = Slo(0.2, 0.98)
QUICK = CharacterizeSettings(("small",), requests=4000, pool_instances=4)


def profile(platform="c5.large", sizes=(1, 2, 4), times_s=(0.03, 0.04, 0.06), **more):
    more = {"confidence": "measured", **more}
    return Profile("tiny", platform, sizes, times_s, **more)


def option(**more):
    base = Option(
        catalog="small",
        platform="c5.large",
        family="c5",
        model="IaaS",
        processor="CPU",
        purchase="on_demand",
        vcpus=2.0,
        memory_gb=4.0,
        usd_per_s=0.36 / 3600.0,
        ready_s=100.0,
        profile=profile(),
        price_confidence="list",
        ready_confidence="measured",
    )
    return replace(base, **more)


def function_option(**more):
    offer = FunctionOffer(
        "lambda/1024", 1.0, 0.13, price_usd_per_gb_s=1e-5, price_usd_per_invocation=2e-7
    )
    offer = replace(offer, concurrency_limit=20, **more)
    return option(
        platform="lambda/1024",
        family="lambda",
        model="FaaS",
        purchase="function",
        vcpus=None,
        usd_per_s=None,
        ready_s=offer.cold_start_s,
        profile=profile("lambda/1024", (1, 4), (0.13, 0.16)),
        function=offer,
    )


@pytest.fixture(scope="module")
def study() -> Characterization:
    spot = option(purchase="spot", usd_per_s=0.12 / 3600.0, price_confidence="assumed")
    return characterize(Service("tiny", SLO), [option(), spot, function_option()], QUICK, 0)


def rows_of(study, **wanted):
    return [r for r in study.rows if all(getattr(r, k) == v for k, v in wanted.items())]


def test_a_lone_request_takes_the_single_service_time():
    unit_s = unit_arrivals_s(np.random.default_rng(0), 2000)
    for batch_size in (1, 4):
        kind = server_of(profile(), batch_size)
        point = measure_servers(kind, 1, SLO, 0.01, unit_s=unit_s, seed=1)
        assert point.mean_s == pytest.approx(0.03, rel=1e-2)
        assert point.p50_s == pytest.approx(0.03)
        assert point.attainment == 1.0


def test_waits_of_single_requests_follow_pollaczek_and_khinchine():
    unit_s = unit_arrivals_s(np.random.default_rng(1), 400_000)
    point = measure_servers(server_of(profile(), 1), 1, SLO, 20.0, unit_s=unit_s, seed=1)
    load = 20.0 * 0.03
    assert point.mean_s == pytest.approx(0.03 + 0.03 * load / (2.0 * (1.0 - load)), rel=0.03)
    assert point.throughput_rps == pytest.approx(20.0, rel=0.02)


@given(st.floats(0.004, 0.96), st.floats(1.0, 1e4))
def test_the_largest_rate_is_found_to_one_per_cent(share, limit_rps):
    def measure(rate_rps):
        met = rate_rps <= share * limit_rps
        return (Point(rate_rps, 0.0, None, None, None, None, 1.0 if met else 0.0, 1),)

    found = largest_rate(measure, SLO, limit_rps)
    assert found <= share * limit_rps
    assert found >= 0.98 * share * limit_rps


def test_there_is_no_rate_where_the_slo_is_out_of_reach():
    def measure(rate_rps):
        return (Point(rate_rps, 0.0, None, None, None, None, 0.5, 1),)

    assert largest_rate(measure, SLO, 100.0) == 0.0


def test_a_rate_counts_only_if_every_sample_meets_the_slo():
    def measure(rate_rps):
        first = Point(rate_rps, 0.0, None, None, None, None, 1.0, 1)
        return first, replace(first, attainment=1.0 if rate_rps < 40.0 else 0.9)

    assert largest_rate(measure, SLO, 100.0) == pytest.approx(40.0, rel=0.02)


def test_a_cold_request_waits_for_its_environment_and_is_billed_without_it():
    kind = FunctionKind(0.13, 2.0, idle_timeout_s=60.0, billing_step_s=0.1)
    point = measure_cold(kind, SLO, 50, 0)
    assert (point.p50_s, point.p99_s) == pytest.approx((2.13, 2.13))
    assert point.billed_s_per_request == pytest.approx(0.2)
    assert point.attainment == 0.0


def test_a_request_in_a_batch_waits_until_the_batch_is_full():
    kind = FunctionKind(0.1, 1.0, billing_step_s=0.001)
    unit_s = np.arange(1, 4001, dtype=np.float64)
    point = measure_functions(kind, 4, SLO, 100.0, unit_s=unit_s, seed=0, warm=10)
    # Requests come 10 ms apart: they wait 30, 20, 10 and 0 ms for the last one.
    assert point.mean_s == pytest.approx(0.115)
    assert point.p99_s == pytest.approx(0.13)
    assert point.billed_s_per_request == pytest.approx(0.1 / 4)
    assert point.invocations_per_request == 0.25


def test_every_option_has_a_row_for_each_batch_and_load(study):
    seen = [(r.batch_size, r.load) for r in rows_of(study, purchase="on_demand")]
    assert seen == [(b, load) for b in (1, 2, 4) for load in ("low", "one", "pool")]
    seen = [(r.batch_size, r.load) for r in rows_of(study, purchase="function")]
    assert seen == [(1, "low"), (1, "cold"), (1, "pool"), (4, "pool")]


def test_the_low_load_is_one_rate_for_all_and_is_paid_by_one_instance(study):
    assert study.low_rps == pytest.approx(0.05 / 0.03)
    for row in rows_of(study, purchase="on_demand", load="low"):
        assert row.rate_rps == study.low_rps
        assert row.usd_per_million == pytest.approx(1e6 * 0.0001 / study.low_rps)


def test_at_high_load_the_slo_is_met_below_saturation_and_pools_carry_more_each(study):
    for row in rows_of(study, model="IaaS"):
        assert row.meets_slo
        assert row.rate_rps < row.instances * row.saturation_rps
    for batch_size in (1, 2, 4):
        one, pool = (
            rows_of(study, purchase="on_demand", batch_size=batch_size, load=load)[0]
            for load in ("one", "pool")
        )
        assert pool.instances == 4
        assert pool.rate_rps / 4 > 0.98 * one.rate_rps
        assert pool.usd_per_million == pytest.approx(1e6 * 4 * 0.0001 / pool.rate_rps)


def test_purchase_options_differ_in_price_and_confidence_alone(study):
    same = {f.name for f in fields(Row)} - {
        "purchase",
        "usd_per_million",
        "price_confidence",
        "confidence",
    }
    demand, spot = rows_of(study, purchase="on_demand"), rows_of(study, purchase="spot")
    for one, other in zip(demand, spot, strict=True):
        assert all(getattr(one, name) == getattr(other, name) for name in same)
        assert other.usd_per_million == pytest.approx(one.usd_per_million / 3.0)
        assert (one.confidence, other.confidence) == ("list", "assumed")


def test_a_function_costs_its_rounded_bill_at_any_load(study):
    offer = function_option().function
    for load in ("low", "cold", "pool"):
        row = rows_of(study, purchase="function", batch_size=1, load=load)[0]
        assert row.usd_per_million == pytest.approx(1e6 * offer.price_usd_per_request, rel=1e-3)
    batched = rows_of(study, purchase="function", batch_size=4)[0]
    assert batched.usd_per_million == pytest.approx(1e6 * offer.price_usd(0.16) / 4, rel=1e-3)


def test_finer_billing_steps_cost_less():
    def cost(step_s):
        some = characterize(
            Service("tiny", SLO), [function_option(billing_step_s=step_s)], QUICK, 0
        )
        return some.rows[0].usd_per_million

    assert cost(0.001) < cost(0.1)


def test_what_never_meets_the_slo_has_no_rate_and_no_cost_at_high_load():
    slow = option(profile=profile(sizes=(1,), times_s=(0.5,)))
    found = characterize(Service("tiny", SLO), [slow], QUICK, 0)
    low, one, pool = found.rows
    assert low.p50_s == pytest.approx(0.5)
    assert not low.meets_slo
    for row in (one, pool):
        assert (row.rate_rps, row.usd_per_million, row.p98_s) == (0.0, None, None)
        assert not row.meets_slo
    assert "\N{EN DASH}" in options_markdown(found.rows)


def test_a_burstable_instance_is_judged_by_what_it_sustains():
    burst = option(purchase="burstable", baseline_share=0.2, credit_limit_s=1000.0)
    found = characterize(
        Service("tiny", SLO), [option(), burst], replace(QUICK, batch_sizes=(1,)), 0
    )
    rates = {r.purchase: r.rate_rps for r in found.rows if r.load == "pool"}
    assert rates["burstable"] < 0.25 * rates["on_demand"]


def test_the_same_seed_gives_the_same_rows_and_another_one_others(study):
    options = [option(), function_option()]
    again = characterize(Service("tiny", SLO), options, QUICK, 0)
    assert set(again.rows) <= set(study.rows)
    other = characterize(Service("tiny", SLO), options, QUICK, 1)
    assert set(other.rows) != set(again.rows)


def test_asked_batches_that_were_not_measured_between_are_interpolated():
    found = characterize(Service("tiny", SLO), [option()], replace(QUICK, batch_sizes=(3, 64)), 0)
    assert {row.batch_size for row in found.rows} == {3}


@pytest.mark.parametrize(
    ("platform", "family"),
    [
        ("c5.large", "c5"),
        ("n1-standard-4", "n1-standard"),
        ("n1-standard-8+v100", "n1-standard+v100"),
        ("fargate/2vcpu-4gb", "fargate"),
        ("lambda/3008", "lambda"),
    ],
)
def test_families_hold_what_differs_in_size_alone(platform, family):
    assert family_of(platform) == family


def test_all_purchase_options_of_a_catalog_are_listed_whatever_is_selected_for_planning():
    catalog = load_catalog("catalog/aws-us-east-1-2019.yaml")
    profiles = with_scaled(load_profiles("profiles").of("inception_bn"), catalog)
    found = options_of("aws", catalog, profiles, OfferSelection(purchase=["spot"]))
    assert {o.purchase for o in found} == {
        "on_demand",
        "spot",
        "burstable",
        "container",
        "function",
    }
    fargate = next(o for o in found if o.platform == "fargate/2vcpu-4gb")
    assert (fargate.model, fargate.ready_s, fargate.profile.confidence) == ("CaaS", 45.0, "assumed")
    chosen = OfferSelection(instance_types=["c5.large"], function_memory_mb=None)
    assert {o.platform for o in options_of("aws", catalog, profiles, chosen)} == {"c5.large"}
    with pytest.raises(CatalogError, match=r"c5\.huge"):
        options_of("aws", catalog, profiles, OfferSelection(instance_types=["c5.huge"]))
    with pytest.raises(CatalogError, match="tiny"):
        require_some((), "tiny", ("aws",))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"catalogs": ()}, "catalogs"),
        ({"catalogs": ("a", "a")}, "each once"),
        ({"batch_sizes": (0,)}, "batch_sizes"),
        ({"low_utilization": 1.0}, "low_utilization"),
        ({"pool_instances": 1}, "pool_instances"),
        ({"requests": 10}, "requests"),
    ],
)
def test_a_setting_out_of_range_is_named(wrong, words):
    with pytest.raises(ConfigError, match=words):
        replace(QUICK, **wrong)


# Findings, on rows made by hand.

ROW = Row(
    catalog="small",
    platform="c5.large",
    family="c5",
    model="IaaS",
    processor="CPU",
    vcpus=2.0,
    memory_gb=4.0,
    purchase="on_demand",
    batch_size=1,
    load="pool",
    instances=4,
    rate_rps=100.0,
    throughput_rps=100.0,
    saturation_rps=30.0,
    mean_s=0.1,
    p50_s=0.1,
    p98_s=0.15,
    p99_s=0.16,
    attainment=0.99,
    meets_slo=True,
    usd_per_million=1.0,
    ready_s=100.0,
    profile_confidence="measured",
    price_confidence="list",
    confidence="list",
    ready_confidence="measured",
    requests=1000,
)


def made(platform, low, pool, *, batch_size=1, **more):
    """Return a platform's rows at low and at high load, with these costs per million."""
    base = replace(ROW, platform=platform, batch_size=batch_size, **more)
    return [
        replace(base, load="low", usd_per_million=low),
        replace(base, load="pool", usd_per_million=pool),
    ]


def market(*, large=1.5, gpu_low=50.0, gpu_single=3.0, gpu_batched=0.4, caas=1.2, faas=5.0):
    """Return rows on which, by default, all that MArk found holds."""
    container = {"family": "fargate", "model": "CaaS", "purchase": "container", "ready_s": 45.0}
    function = {"family": "lambda", "model": "FaaS", "purchase": "function", "ready_s": 2.5}
    gpu = {"family": "p3", "processor": "V100", "vcpus": 8.0}
    return [
        *made("c5.large", 10.0, 1.0),
        *made("c5.4xlarge", 80.0, large, family="c5", vcpus=16.0),
        *made("p3.2xlarge", gpu_low, gpu_single, **gpu),
        *made("p3.2xlarge", gpu_low, gpu_batched, batch_size=64, **gpu),
        *made("fargate/2vcpu-4gb", 12.0, caas, **container),
        *made("lambda/1024", faas, faas, **function),
    ]


KEYS = ("small_cpu", "gpu", "cost_order", "fastest_to_scale", "iaas_ratio")


def verdicts(rows):
    return {finding.key: finding.verdict for finding in judge(rows)}


def assumed(rows):
    return [
        replace(row, profile_confidence="assumed", confidence="assumed", ready_confidence="assumed")
        for row in rows
    ]


def test_all_findings_hold_where_the_rows_say_so():
    assert verdicts(market()) == dict.fromkeys(KEYS, "holds")


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"large": 0.9}, {"small_cpu"}),
        ({"gpu_low": 5.0}, {"gpu"}),
        ({"gpu_single": 0.9, "gpu_batched": 0.9}, {"gpu"}),
        ({"gpu_batched": 1.1}, {"gpu"}),
        ({"caas": 0.3}, {"cost_order", "iaas_ratio"}),
        ({"faas": 0.3}, {"cost_order", "iaas_ratio"}),
        ({"faas": 1.1}, {"cost_order"}),
    ],
)
def test_a_finding_fails_where_the_rows_contradict_it(change, failing):
    found = verdicts(market(**change))
    assert {key for key, verdict in found.items() if verdict == "fails"} == failing


def test_functions_that_start_slowly_are_not_the_fastest_to_scale():
    slow = [replace(r, ready_s=60.0) if r.model == "FaaS" else r for r in market()]
    assert verdicts(slow)["fastest_to_scale"] == "fails"
    assert verdicts(slow)["iaas_ratio"] == "holds"


def test_what_rests_on_assumed_figures_alone_is_not_decided():
    for change in ({}, {"large": 0.9, "gpu_low": 5.0, "faas": 0.1}):
        findings = judge(assumed(market(**change)))
        assert {f.verdict for f in findings} == {"not decided"}
        assert {f.reason for f in findings} == {"rests on assumed figures alone"}


def test_one_assumed_side_leaves_a_claim_undecided_but_tells_what_it_indicates():
    rows = market()
    rows = [r for r in rows if r.model != "CaaS"] + assumed([r for r in rows if r.model == "CaaS"])
    finding = next(f for f in judge(rows) if f.key == "cost_order")
    assert finding.verdict == "not decided"
    found = {claim.text: (claim.verdict, claim.indicated) for claim in finding.claims}
    assert found == {
        "IaaS costs less than CaaS": ("not decided", True),
        "CaaS costs less than FaaS": ("not decided", True),
        "IaaS costs less than FaaS": ("holds", True),
    }


def test_one_known_contradiction_fails_a_finding_whatever_is_assumed():
    rows = [r for r in market(faas=0.1) if r.model != "CaaS"]
    rows += assumed([r for r in market() if r.model == "CaaS"])
    assert verdicts(rows)["cost_order"] == "fails"


def test_no_data_decides_nothing():
    rows = [row for row in market() if row.processor == "CPU" and row.model != "CaaS"]
    findings = {f.key: f for f in judge(rows)}
    assert findings["gpu"].verdict == "not decided"
    assert "no such platform" in findings["gpu"].reason
    assert findings["small_cpu"].verdict == "holds"


def test_rows_that_miss_the_slo_or_are_discounted_do_not_count():
    cheap = made("c5.4xlarge", 0.1, 0.1, vcpus=16.0)
    late = [replace(row, meets_slo=False) for row in cheap]
    spot = [replace(row, purchase="spot") for row in cheap]
    assert verdicts([*market(), *late, *spot]) == verdicts(market())
    assert verdicts([*market(), *cheap])["small_cpu"] == "fails"


costs = st.floats(0.01, 100.0)


@given(
    st.fixed_dictionaries(
        dict.fromkeys(("large", "gpu_low", "gpu_single", "gpu_batched", "caas", "faas"), costs)
    ),
    st.lists(st.tuples(st.sampled_from(market()), costs), max_size=6),
    st.sampled_from(["c5", "m5", "n1-standard"]),
)
def test_assumed_rows_never_change_what_known_rows_decide(change, more, family):
    known = market(**change)
    extra = assumed(
        [
            replace(row, usd_per_million=cost, platform=f"{family}.odd", family=family, vcpus=1.0)
            for row, cost in more
        ]
    )
    before = verdicts(known)
    after = verdicts([*known, *extra])
    assert "not decided" not in before.values()
    assert after == before


@given(st.floats(0.01, 100.0), st.permutations(market()))
def test_verdicts_depend_on_neither_currency_nor_order(rate, rows):
    paid = [replace(row, usd_per_million=rate * row.usd_per_million) for row in rows]
    assert verdicts(paid) == verdicts(market())


def test_each_catalog_is_judged_by_its_own_rows():
    other = [replace(row, catalog="other") for row in market(large=0.5)]
    found = {(f.catalog, f.key): f.verdict for f in judge([*market(), *other])}
    assert found["small", "small_cpu"] == "holds"
    assert found["other", "small_cpu"] == "fails"


def test_the_gpu_breaks_even_where_its_rent_equals_the_cpus_bill():
    finding = next(f for f in judge(market()) if f.key == "gpu")
    # 4 GPUs at 0.4 USD per million carry 100/s: one costs 1e-5 USD/s; the CPU 1e-6 per request.
    assert finding.figures["gpu_break_even_rps"] == pytest.approx(10.0)


def test_a_line_shows_the_cheapest_batch_of_each_option():
    found = lines(market())
    assert [line.pool.platform for line in found].count("p3.2xlarge") == 1
    line = next(line for line in found if line.pool.platform == "p3.2xlarge")
    assert (line.pool.batch_size, line.low.batch_size, line.one) == (64, 64, None)


def test_the_files_give_back_what_was_found_and_damage_is_named(study, tmp_path):
    findings = judge(study.rows)
    write_characterization(study, findings, tmp_path)
    files = read_characterization(tmp_path)
    assert files.rows == study.rows
    assert [f["verdict"] for f in files.document["findings"]] == [f.verdict for f in findings]
    assert all(because(f) for f in files.document["findings"])
    page = (tmp_path / "report.html").read_text()
    assert "lambda/1024" in page
    assert '<script src="http' not in page
    table = tmp_path / "characterization.csv"
    good = table.read_text()
    for bad in (
        good.replace(",True,", ",perhaps,", 1),
        good.replace("catalog", "katalog", 1),
        good.splitlines()[0] + "\n",
    ):
        table.write_text(bad)
        with pytest.raises(DataError, match=r"characterization\.csv"):
            read_characterization(tmp_path)
    Path(tmp_path / "findings.json").write_text('{"schema": "other/1"}')
    with pytest.raises(DataError, match="schema"):
        read_characterization(tmp_path)
