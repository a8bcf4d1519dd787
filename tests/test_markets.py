"""Spot markets end to end: chosen on the command line, planned for, billed, the same every time."""

import json
from pathlib import Path

import pytest

from markopt.assembly import ConfigParts
from markopt.cli import main

SPOT = "c5.large/spot"
WORLD = (
    "service=inception_bn",
    "forecaster=last_value",
    "planner=greedy",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.history_s=1800",
    "workload.evaluate_s=1800",
    "controller.horizon=3",
    "controller.samples=5",
)
PRICES = "instance_type,availability_zone,timestamp_utc,usd_per_hour\n" + "".join(
    f"c3.xlarge,us-east-1a,2015-03-11T{hour:02d}:{minute:02d}:00Z,{price}\n"
    for hour in range(10)
    for minute, price in ((0, 0.042), (30, 0.063), (50, 0.42))
)
RECORDED = (
    "cloud/market=recorded_prices",
    "cloud.market.path=prices.csv",
    "cloud.market.map={c5.large: c3.xlarge}",
    "cloud.market.offset_s=18000",
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("prices.csv").write_text(PRICES)
    Path("capacity.csv").write_text("trace_id,start_s,end_s,value\na,0,900,3\na,900,9000,0\n")
    return tmp_path


def summary(name, *overrides):
    assert main(["run", *WORLD, *overrides, f"output={name}"]) == 0
    return json.loads(Path(name, "summary.json").read_text())


def test_recorded_prices_are_planned_for_paid_and_the_same_every_time(here):
    maxima = "catalog.spot_max_price=[0.25,1.0]"
    first = summary("first", *RECORDED, maxima)
    again = summary("again", *RECORDED, maxima)
    assert first == again
    assert first["cost_usd"]["spot"] > 0.0
    offers = {o.name: o for o in ConfigParts([*WORLD, *RECORDED, maxima]).scene(0).offers}
    scale = 0.085 / 0.21 / 3600.0
    low, high = offers[f"{SPOT}@0.25"], offers[f"{SPOT}@1.00"]
    # In each hour 30 min at 0.042, 20 at 0.063 (more than a quarter of 0.21), 10 at 0.42.
    assert low.price_usd_per_s == pytest.approx(0.042 * scale)
    assert low.interruption_per_h == pytest.approx(2.0)
    assert high.price_usd_per_s == pytest.approx((30 * 0.042 + 20 * 0.063) / 50.0 * scale)
    assert high.interruption_per_h == pytest.approx(60.0 / 50.0)
    assert offers["c5.large/on_demand"].interruption_per_h == 0.0


def test_an_hourly_bill_is_dearer_for_short_lives_and_states_no_bound_where_hours_are_free(here):
    by_second = summary("second", *RECORDED)
    by_hour = summary("hour", *RECORDED, "cloud.market.billing=hourly_2015")
    assert by_second["launches"] == by_hour["launches"]
    assert by_second["clairvoyant_bound_usd"] > 0.0
    assert by_second["cost_usd"]["total"] >= by_second["clairvoyant_bound_usd"]
    # 30 minutes from a full hour on: the price exceeds on demand later only.
    assert by_hour["cost_usd"]["spot"] > by_second["cost_usd"]["spot"]
    spiked = summary(
        "spiked", *RECORDED[:-1], "cloud.market.offset_s=20700", "cloud.market.billing=hourly_2015"
    )
    assert spiked["clairvoyant_bound_usd"] is None


@pytest.mark.parametrize(
    "market",
    [
        ("drawn_fitted",),
        ("generated_prices",),
        ("recorded_capacity", "cloud.market.path=capacity.csv"),
        ("scripted", "cloud.market.interruptions=[{at_s: 900, share: 1.0, outage_s: 900}]"),
    ],
)
def test_every_market_runs_from_the_command_line(here, market):
    name, *settings = market
    result = summary(name, f"cloud/market={name}", *settings)
    assert result["requests"]["total"] > 0
    if name == "scripted":
        assert result["interruptions"] > 0


def test_knobs_are_tuned_on_an_earlier_part_of_the_record(here):
    parts = ConfigParts([*WORLD, *RECORDED, "compare.tune_s=600"])
    assert parts.scene(0).cloud.settings.market.offset_s == 18000.0
    assert parts.scene(0, "history").cloud.settings.market.offset_s == 17400.0
    parts = ConfigParts([*WORLD, *RECORDED, "compare.tune_s=600", "compare.tune_earlier_s=1200"])
    assert parts.scene(0, "history").cloud.settings.market.offset_s == 16800.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (RECORDED[:2], "no prices of 'c5.large' for pool 'c5.large/us-east-1'; map it to one"),
        (
            (*RECORDED, "cloud.market.offset_s=99999"),
            "cloud.market.offset_s: prices.csv has prices",
        ),
        ((*RECORDED, "cloud.market.billing=weekly"), "cloud.market.billing: expected one of"),
        ((*RECORDED, "catalog.spot_max_price=0"), "catalog.spot_max_price: expected positive"),
        ((*RECORDED, "catalog.spot_max_price=[1,1.001]"), "values must differ by 0.01"),
        (
            (*RECORDED[:2], "cloud.market.map=[c5.large]"),
            "cloud.market.map: must be keys and values",
        ),
        (("cloud/market=recorded_prices", "cloud.market.path=no.csv"), "no.csv: cannot be read"),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_2(here, capsys, overrides, message):
    assert main(["run", *WORLD, *overrides, "output=out"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) == 1
    assert not Path("out").exists()
