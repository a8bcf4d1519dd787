"""Recorded prices against maximum prices: refused, interrupted and billed as the record says."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.cloud.simulated import SimulatedCloud, SimulationSettings
from markopt.cloud.simulated.markets import (
    PriceMarket,
    PricePath,
    RecordedPricesSettings,
    read_prices,
)
from markopt.core import Actions, InstanceState, Offer
from markopt.errors import ConfigError, DataError
from tests.cloud.worlds import CONSTANT, cloud, offer
from tests.fuzzing import examples

HEADER = "instance_type,availability_zone,timestamp_utc,usd_per_hour\n"
DAY = "2015-03-11T"
# One price unit, 0.36 USD an hour, is 0.0001 USD a second.
RECORD = HEADER + "".join(
    f"{kind},us-east-1{zone},{DAY}{time}Z,{price}\n"
    for kind, zone, time, price in [
        ("c5.large", "a", "00:00:00", 0.36),
        ("c5.large", "a", "02:00:00", 0.72),
        ("c5.large", "a", "03:00:00", 7.2),
        ("c5.large", "a", "04:00:00", 0.36),
        ("c5.large", "b", "00:00:00", 0.18),
        ("m3.medium", "a", "00:30:00", 0.05),
        ("m3.medium", "a", "10:00:00", 0.07),
    ]
)
CHEAP, DEAR = "c5.large/spot@0.40", "c5.large/spot@3.00"


def spot(name: str, zone: str = "us-east-1") -> Offer:
    """Return a spot offer whose maximum is the share in its name of 3.6 USD an hour."""
    one = offer(f"c5.large/spot/{name}", zone=zone)
    share = float(name.partition("@")[2])
    return replace(one, name=name, on_demand_usd_per_s=1e-3, max_price_usd_per_s=share * 1e-3)


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = tmp_path / "prices.csv"
    path.write_text(RECORD)
    return str(path)


def replayed(record: str, **changes: Any) -> SimulationSettings:
    keys = {"offset_s": 3600.0, **changes}
    return SimulationSettings(market=RecordedPricesSettings(record, **keys), launch=CONSTANT)


def world(record: str, fleet: dict[str, int] | None = None, **changes: Any) -> SimulatedCloud:
    """Return a cloud from 01:00 to 06:00 of the record, whose trace starts at a day's end."""
    offers = [spot(CHEAP), spot(DEAR), offer()]
    return cloud(
        offers,
        fleet=fleet,
        settings=replayed(record, **changes),
        start_s=86_400.0,
        end_s=86_400.0 + 5 * 3600.0,
    )


def at(hours: float) -> float:
    """Return the simulated time at which so many hours of the record have passed."""
    return 86_400.0 + (hours - 1.0) * 3600.0


def test_a_launch_is_refused_while_the_price_is_above_the_maximum(record: str) -> None:
    backend = world(record)
    backend.advance(at(2.9))
    first = backend.apply(Actions("low", launch={CHEAP: 2, DEAR: 1}))
    assert [len(ids) for ids in first.launched.values()] == [2, 1]
    backend.advance(at(3.0))
    refused = backend.apply(Actions("high", launch={CHEAP: 1, DEAR: 1, "c5.large/on_demand": 1}))
    assert (refused.launched[CHEAP], len(refused.launched[DEAR])) == ((), 1)
    assert len(refused.launched["c5.large/on_demand"]) == 1
    assert refused.refused[0] == (
        f"launch {CHEAP}: the market price of 7.2 USD/h in pool c5.large/us-east-1 exceeds the "
        f"maximum of 1.44"
    )
    backend.advance(at(4.0))
    assert len(backend.apply(Actions("again", launch={CHEAP: 1})).launched[CHEAP]) == 1


def test_instances_get_their_notice_as_the_price_exceeds_their_own_maximum(record: str) -> None:
    offers = [spot("c5.large/spot@0.15"), spot(CHEAP), spot("c5.large/spot@9.00")]
    names = [one.name for one in offers]
    backend = cloud(
        offers, fleet=dict.fromkeys(names, 2), settings=replayed(record), end_s=5 * 3600.0
    )
    seen = {}
    for hours in (0.99, 1.01, 1.99, 2.01, 2.05):
        backend.advance(hours * 3600.0)
        instances = backend.observe().instances
        seen[hours] = [sum(i.notice for i in instances if i.offer == n) for n in names]
    assert seen[0.99] == [0, 0, 0]
    assert seen[1.01] == [2, 0, 0]
    assert seen[1.99] == [0, 0, 0]
    assert seen[2.01] == [0, 2, 0]
    assert {i.offer for i in backend.observe().instances} == {names[2]}
    assert backend.close().interruptions == 4


def test_an_instance_pays_the_price_of_the_moment_and_its_maximum_during_the_notice(
    record: str,
) -> None:
    backend = world(record, {CHEAP: 1})
    backend.advance(at(2.5))
    usd = backend.observe().bill_usd
    assert usd == pytest.approx(0.36 + 0.5 * 0.72)
    backend.advance(at(6.0))
    ledger = backend.close()
    assert ledger.interruptions == 1
    # An hour at 0.36, one at 0.72, two minutes of notice at the maximum of 1.44.
    assert ledger.cost_usd["spot"] == pytest.approx(0.36 + 0.72 + 1.44 / 30.0, rel=1e-12)
    assert ledger.billed_s[CHEAP] == pytest.approx(2 * 3600.0 + 120.0)


def test_hourly_bills_charge_begun_hours_at_their_first_price_and_not_the_interrupted_one(
    record: str,
) -> None:
    backend = world(record, billing="hourly_2015")
    backend.advance(at(1.5))
    backend.apply(Actions("buy", launch={CHEAP: 1, DEAR: 1}))
    assert backend.observe().bill_usd == pytest.approx(2 * 0.36)
    backend.advance(at(2.9))
    assert backend.observe().bill_usd == pytest.approx(2 * (0.36 + 0.72))
    ids = backend.observe().instances
    backend.apply(Actions("end", terminate=(ids[1].instance_id,)))
    backend.advance(at(3.5))
    # From 01:30: hours at 0.36 and at 0.72 (02:30); that of the interrupted one is free.
    ledger = backend.close()
    assert ledger.cost_usd["spot"] == pytest.approx(0.36 + (0.36 + 0.72))
    assert ledger.billed_s == {CHEAP: 3600.0, DEAR: 7200.0, "c5.large/on_demand": 0.0}


def test_a_policy_sees_prices_of_now_and_before_and_none_to_come(record: str) -> None:
    backend = world(record)
    assert backend.observe().spot_price_usd_per_s == {
        CHEAP: pytest.approx(1e-4),
        DEAR: pytest.approx(1e-4),
    }
    backend.advance(at(2.0) - 1.0)
    past = backend.price_history(CHEAP)
    assert past is not None
    np.testing.assert_allclose(past.usd_per_s, [1e-4])
    assert (past.starts_s[0], past.end_s) == (at(0.0), at(2.0) - 1.0)
    with pytest.raises(ValueError, match="read-only"):
        past.usd_per_s[0] = 0.0
    backend.advance(at(2.0))
    later = backend.price_history(CHEAP)
    assert later is not None
    np.testing.assert_allclose(later.usd_per_s, [1e-4, 2e-4])
    assert backend.price_history("c5.large/on_demand") is None


def test_expected_prices_and_hazards_come_from_the_record_before_the_start(record: str) -> None:
    offers = (spot("c5.large/spot@0.15"), spot(CHEAP), offer())
    market = RecordedPricesSettings(record, offset_s=4 * 3600.0)
    low, high, on_demand = market.expected(offers, start_s=0.0)
    assert on_demand == offer()
    # Two hours at 0.36, then above 0.54 for good: one rise in two hours.
    assert low.price_usd_per_s == pytest.approx(1e-4)
    assert low.interruption_per_h == pytest.approx(0.5)
    # And one hour at 0.72 for the maximum of 1.44.
    assert high.price_usd_per_s == pytest.approx((2e-4 + 2e-4) / 3.0)
    assert high.interruption_per_h == pytest.approx(1.0 / 3.0)
    # What comes later changes nothing.
    text = Path(record).read_text().replace("04:00:00Z,0.36", "04:00:00Z,0.99")
    Path(record).write_text(text)
    os.utime(record, ns=(1, 1))
    assert market.expected(offers, start_s=0.0) == (low, high, on_demand)


def test_without_a_past_the_price_of_the_moment_and_the_catalogues_hazard_are_expected(
    record: str,
) -> None:
    offers = [
        replace(spot(name), interruption_per_h=0.02) for name in ("c5.large/spot@0.05", CHEAP)
    ]
    low, high = RecordedPricesSettings(record, offset_s=0.0).expected(offers, start_s=0.0)
    assert (low.price_usd_per_s, high.price_usd_per_s) == (pytest.approx(5e-5), pytest.approx(1e-4))
    assert low.interruption_per_h == high.interruption_per_h == 0.02


def test_the_span_to_tune_on_lies_earlier_in_the_record(record: str) -> None:
    market = RecordedPricesSettings(record, offset_s=7200.0)
    assert market.earlier(3600.0).offset_s == 3600.0
    with pytest.raises(ConfigError, match=r"must be at least compare\.tune_s \(9000 s\)"):
        market.earlier(9000.0)


def test_the_least_price_bounds_every_bill_and_is_unknown_where_hours_may_be_free(
    record: str,
) -> None:
    for billing, known in (("per_second", True), ("hourly_2015", False)):
        market = RecordedPricesSettings(record, offset_s=3600.0, billing=billing).build(  # type: ignore[arg-type]
            [spot(CHEAP)], start_s=0.0, end_s=3 * 3600.0, seed=np.random.SeedSequence(0)
        )
        least = market.least_price_usd_per_s(spot(CHEAP))
        assert least == (pytest.approx(1e-4) if known else None)


def test_another_types_history_is_taken_by_the_ratio_of_on_demand_prices(record: str) -> None:
    chosen = {"map": {"c5.large": "m3.medium"}, "on_demand_usd_per_h": {"m3.medium": 0.06}}
    backend = cloud([spot(DEAR)], settings=replayed(record, **chosen))
    price = backend.observe().spot_price_usd_per_s[DEAR]
    assert 3600.0 * price == pytest.approx(0.05 * 3.6 / 0.06)
    zoned = spot(DEAR, zone="us-east-1b")
    other = cloud([zoned], settings=replayed(record))
    assert 3600.0 * other.observe().spot_price_usd_per_s[DEAR] == pytest.approx(0.18)
    mapped = replayed(record, map={"c5.large/us-east-1b": "c5.large/us-east-1a"})
    assert 3600.0 * cloud([zoned], settings=mapped).observe().spot_price_usd_per_s[
        DEAR
    ] == pytest.approx(0.36)


@pytest.mark.parametrize(
    ("changes", "zone", "message"),
    [
        ({"map": {"c5.large": "p9.big"}}, "us-east-1", "has no prices of 'p9.big' for pool"),
        (
            {},
            "us-east-1f",
            "no prices of 'c5.large' in 'us-east-1f'.*zones: us-east-1a, us-east-1b",
        ),
        ({"zone": "us-east-1q"}, "us-east-1", "no prices of 'c5.large' in 'us-east-1q'"),
        (
            {"map": {"c5.large": "m3.medium"}, "on_demand_usd_per_h": {}},
            "us-east-1",
            "needs the on-demand price of 'm3.medium'",
        ),
        ({"offset_s": 9 * 3600.0}, "us-east-1", "the simulated span is 32400 to 36900 s"),
        ({"offset_s": -1.0}, "us-east-1", "must not be negative"),
        ({"billing": "monthly"}, "us-east-1", "expected one of .'per_second', 'hourly_2015'."),
        ({"on_demand_usd_per_h": {"a": 0.0}}, "us-east-1", "must be a positive number"),
    ],
)
def test_what_does_not_fit_the_record_is_named_with_what_there_is(
    record: str, changes: dict[str, Any], zone: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.market\..*{message}") as caught:
        cloud([spot(CHEAP, zone=zone)], settings=replayed(record, **changes), end_s=4500.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "row 1: expected the header 'instance_type,"),
        (HEADER, "expected at least one price, got none"),
        (HEADER + "c5.large,z,yesterday,1\n", "row 2: expected a time such as .* got 'yesterday'"),
        (HEADER + f"c5.large,z,{DAY}00:00:00Z,1\nc5.large,z,{DAY}00:00:01Z,-1\n", "row 3: usd_per"),
        (HEADER + f"c5.large,z,{DAY}00:00:00Z,free\n", "row 2: usd_per_hour must be a positive"),
        (
            HEADER
            + f"c5.large,z,{DAY}00:00:01Z,1\nx,z,{DAY}00:00:00Z,1\nc5.large,z,{DAY}00:00:01Z,1\n",
            "row 4: times of a type and zone must rise",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"prices\.csv.*{message}") as caught:
        read_prices(path, ["c5.large"])
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        read_prices("nowhere.csv", ["c5.large"])


moves = st.lists(
    st.tuples(st.floats(1.0, 900.0), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
    min_size=1,
    max_size=8,
)
steps = st.lists(st.sampled_from([1e-4, 3e-4, 6e-4, 2e-3]), min_size=1, max_size=7)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, moves, st.sampled_from(["per_second", "hourly_2015"]), st.floats(0.0, 200.0))
def test_the_ledger_is_what_the_lives_seen_add_up_to(
    prices: list[float], sequence: list[tuple[float, int, int, int]], billing: str, notice_s: float
) -> None:
    end_s = 8000.0
    path = PricePath(1000.0 * np.arange(len(prices)), np.array(prices), end_s)

    class Given:
        def build(self, offers, *, start_s, end_s, seed):  # type: ignore[no-untyped-def]
            paths = {one.pool: path for one in offers}
            return PriceMarket(offers, paths, start_s=start_s, end_s=end_s, billing=billing)

        def expected(self, offers, *, start_s):  # type: ignore[no-untyped-def]
            return tuple(offers)

        def earlier(self, by_s):  # type: ignore[no-untyped-def]
            return self

    offers = {CHEAP: spot(CHEAP), DEAR: spot(DEAR)}
    backend = cloud(
        list(offers.values()),
        settings=SimulationSettings(market=Given(), launch=CONSTANT, spot_notice_s=notice_s),
        end_s=end_s,
    )
    began: dict[str, tuple[str, float]] = {}
    ended: dict[str, float] = {}
    time_s = 0.0

    def interruption_s(one: Offer, from_s: float) -> float:
        """Return when a life from then on is taken, by going through the path."""
        for start_s, price in zip(path.starts_s, prices, strict=True):
            if start_s > from_s and price > one.maximum_usd_per_s:
                return float(start_s) + notice_s
        return np.inf

    for step, (wait_s, cheap, dear, ends) in enumerate(sequence):
        time_s += wait_s
        backend.advance(time_s)
        seen = {i.instance_id: i for i in backend.observe().instances}
        mine = [i for i in seen if i not in ended and seen[i].state is not InstanceState.DRAINING]
        report = backend.apply(Actions(f"d{step}", {CHEAP: cheap, DEAR: dear}, tuple(mine[:ends])))
        for name, ids in report.launched.items():
            wanted = {CHEAP: cheap, DEAR: dear}[name]
            allowed = path.price(time_s) <= offers[name].maximum_usd_per_s
            assert len(ids) == (wanted if allowed else 0)
            began |= dict.fromkeys(ids, (name, time_s))
        ended |= dict.fromkeys(report.terminated, time_s)
    backend.advance(end_s)
    ledger = backend.close()
    usd, seconds, interruptions = 0.0, dict.fromkeys(offers, 0.0), 0
    for one, (name, from_s) in began.items():
        maximum = offers[name].maximum_usd_per_s
        taken_s = interruption_s(offers[name], from_s)
        until_s = ended.get(one, end_s)
        interruptions += taken_s - notice_s < until_s or (one not in ended and taken_s < np.inf)
        taken = taken_s <= until_s
        until_s = min(until_s, taken_s)
        if until_s <= from_s:
            continue
        if billing == "hourly_2015":
            begins = np.arange(from_s, until_s, 3600.0)
            if taken and begins[-1] + 3600.0 > until_s:
                begins = begins[:-1]
            usd += sum(3600.0 * min(path.price(s), maximum) for s in begins)
            seconds[name] += 3600.0 * len(begins)
        else:
            until_s = max(until_s, from_s + 60.0)
            edges = np.unique(np.clip([from_s, *path.starts_s, until_s], from_s, until_s))
            usd += sum(min(path.price(a), maximum) * (b - a) for a, b in pairwise(edges))
            seconds[name] += until_s - from_s
    assert ledger.total_usd == pytest.approx(usd, rel=1e-9, abs=1e-9)
    assert ledger.billed_s == pytest.approx(seconds, rel=1e-9, abs=1e-6)
    assert ledger.interruptions == interruptions


def test_the_real_histories_are_read_and_replayed() -> None:
    folder = Path(os.environ.get("MARKOPT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "spot").is_dir():
        pytest.skip(f"real spot price histories are not at {folder}")
    of_2015 = read_prices(folder / "spot/spot_price_us-east-1_2015.csv.gz", ["c3.xlarge"])
    assert sorted(of_2015.zones) == [
        "c3.xlarge",
        "d2.8xlarge",
        "g2.2xlarge",
        "m3.medium",
        "r3.large",
    ]
    assert sum(len(path.starts_s) for path in of_2015.paths.values()) == 48994 + 30879 + 35933
    path = str(folder / "spot/spot_price_us-east-1_2021.csv.gz")
    assert len(read_prices(path, ["c5.large"]).zones) == 254
    backend = cloud([spot(CHEAP)], settings=replayed(path, offset_s=864_000.0), fleet={CHEAP: 1})
    backend.advance(3600.0)
    assert 0.03 < backend.close().total_usd < 0.06
