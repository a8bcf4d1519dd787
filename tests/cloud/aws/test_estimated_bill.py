"""The estimated bill: lives times prices, minimum durations, spot prices that move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.cloud.aws.bill import EstimatedBill
from tests.cloud.aws.worlds import ON_DEMAND, SPOT
from tests.cloud.worlds import function

START_S = 1000.0


def bill(**changes: float) -> EstimatedBill:
    offers = [replace(one, minimum_billed_s=60.0, **changes) for one in (ON_DEMAND, SPOT)]
    return EstimatedBill(offers, function(), start_s=START_S)


def account(
    one: EstimatedBill,
    now_s: float,
    running: dict[str, tuple[str, float]],
    *,
    spot: float | None = None,
    warm: int = 0,
) -> None:
    prices = {} if spot is None else {SPOT.name: spot}
    one.account(now_s, running, spot_usd_per_s=prices, warm_functions=warm)


def test_a_life_costs_its_seconds() -> None:
    one = bill()
    account(one, 1010.0, {"a": (ON_DEMAND.name, 1000.0)})
    account(one, 1100.0, {"a": (ON_DEMAND.name, 1000.0), "b": (ON_DEMAND.name, 1090.0)})
    account(one, 1200.0, {"b": (ON_DEMAND.name, 1090.0)})
    assert one.billed_s()[ON_DEMAND.name] == pytest.approx(200.0 + 110.0)
    assert one.cost_usd()["on_demand"] == pytest.approx(310.0 * ON_DEMAND.price_usd_per_s)


def test_a_short_life_costs_the_minimum_and_none_nothing() -> None:
    one = bill()
    account(one, 1000.0, {"short": (ON_DEMAND.name, 995.0), "none": (ON_DEMAND.name, 1000.0)})
    account(one, 1000.0, {})
    assert one.billed_s()[ON_DEMAND.name] == pytest.approx(60.0)


def test_what_ran_before_is_billed_from_its_launch() -> None:
    one = bill()
    account(one, 1000.0, {"old": (ON_DEMAND.name, 400.0)})
    assert one.billed_s()[ON_DEMAND.name] == pytest.approx(600.0)


def test_spot_costs_what_the_market_asks_from_look_to_look() -> None:
    one = bill()
    running = {"s": (SPOT.name, 1000.0)}
    account(one, 1100.0, running, spot=0.0002)
    account(one, 1200.0, running, spot=0.0003)
    account(one, 1300.0, running)
    usd = 100.0 * (0.0002 + 0.0003 + SPOT.price_usd_per_s)
    assert one.cost_usd()["spot"] == pytest.approx(usd)


def test_an_instance_that_is_listed_late_again_goes_on_where_it_was() -> None:
    one = bill()
    running = {"a": (ON_DEMAND.name, 1000.0)}
    account(one, 1100.0, running)
    account(one, 1110.0, {})
    account(one, 1120.0, running)
    account(one, 1200.0, running)
    assert one.billed_s()[ON_DEMAND.name] == pytest.approx(200.0)


def test_functions_cost_by_request_and_warm_second() -> None:
    one = bill()
    one.spilled(100)
    account(one, 1060.0, {}, warm=3)
    cost = one.cost_usd()
    assert cost["lambda"] == pytest.approx(100 * function().price_usd_per_request)
    assert cost["warm"] == pytest.approx(60.0 * 3 * function().warm_price_usd_per_s)
    assert one.total_usd() == pytest.approx(sum(cost.values()))


lives = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 50), st.sampled_from([ON_DEMAND, SPOT])),
    max_size=8,
)


@given(lives, st.sets(st.integers(1, 120), max_size=12))
def test_the_bill_never_falls_and_does_not_depend_on_the_looks(
    found: list[tuple[int, int, object]], looks: set[int]
) -> None:
    """Looks at every begin and end tell all; further looks add nothing."""
    spans = {
        f"i{n}": (START_S + begin, START_S + begin + length, getattr(offer, "name", ""))
        for n, (begin, length, offer) in enumerate(found)
    }
    edges = {moment for begin, end, _ in spans.values() for moment in (begin, end)}
    ends = {START_S + 200.0}

    def run(moments: set[float]) -> EstimatedBill:
        one = bill()
        before = 0.0
        for now_s in sorted(moments):
            running = {
                name: (offer, begin)
                for name, (begin, end, offer) in spans.items()
                if begin <= now_s < end
            }
            account(one, now_s, running)
            assert one.total_usd() >= before - 1e-12
            before = one.total_usd()
        return one

    few, many = run(edges | ends), run(edges | ends | {START_S + look for look in looks})
    assert many.total_usd() == pytest.approx(few.total_usd())
    assert many.billed_s() == pytest.approx(few.billed_s())
    expected = sum(max(end - begin, 60.0) for begin, end, _ in spans.values())
    assert sum(few.billed_s().values()) == pytest.approx(expected)
