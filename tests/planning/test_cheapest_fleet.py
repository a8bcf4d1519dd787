"""The cheapest fleet for one rate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import RequiredThroughput, ThroughputCurve
from markopt.errors import Infeasible
from markopt.planning import cheapest_fleet
from tests.planning.problems import curve, offer


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0.02, 0.5), st.floats(10.0, 90.0)), min_size=1, max_size=3, unique=True
    ),
    st.floats(0.1, 150.0),
)
def test_equals_an_exhaustive_search(kinds: list[tuple[float, float]], rate_rps: float) -> None:
    offers = [
        offer(f"type{k}", price_usd_per_h=p, saturation_rps=m) for k, (p, m) in enumerate(kinds)
    ]
    # Without pooling a mixed fleet needs what each of its types would.
    proportional = ThroughputCurve(np.array([0.0, 100.0]), np.array([0.0, 125.0]))
    required = RequiredThroughput({o.instance_type: proportional for o in offers})
    fleet = cheapest_fleet(offers, required, rate_rps)
    q = 1.25 * rate_rps
    price = sum(o.price_usd_per_s * fleet.get(o.name, 0) for o in offers)
    assert sum(o.saturation_rps * fleet.get(o.name, 0) for o in offers) >= q * (1 - 1e-9)
    most = [range(int(np.ceil(q / o.saturation_rps)) + 1) for o in offers]
    best = min(
        sum(o.price_usd_per_s * n for o, n in zip(offers, counts, strict=True))
        for counts in itertools.product(*most)
        if sum(o.saturation_rps * n for o, n in zip(offers, counts, strict=True)) >= q * (1 - 1e-9)
    )
    assert price == pytest.approx(best, rel=1e-6)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0.02, 0.5), st.floats(10.0, 90.0)), min_size=1, max_size=3, unique=True
    ),
    st.floats(0.1, 150.0),
)
def test_carries_its_own_requirement_and_is_no_dearer_than_any_single_type(
    kinds: list[tuple[float, float]], rate_rps: float
) -> None:
    offers = [
        offer(f"type{k}", price_usd_per_h=p, saturation_rps=m) for k, (p, m) in enumerate(kinds)
    ]
    required = RequiredThroughput({o.instance_type: curve() for o in offers})
    fleet = cheapest_fleet(offers, required, rate_rps)
    rates = np.array([rate_rps])
    held = {o.instance_type: o.saturation_rps * fleet.get(o.name, 0) for o in offers}
    total = sum(held.values())
    mix = {name: rps / total for name, rps in held.items() if rps > 0.0}
    assert total >= required.at(rates, mix)[0] * (1 - 1e-9)
    price = sum(o.price_usd_per_s * fleet.get(o.name, 0) for o in offers)
    for single in offers:
        count = np.ceil(curve().at(rates)[0] / single.saturation_rps - 1e-9)
        assert price <= single.price_usd_per_s * count * (1 + 1e-9)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.floats(0.1, 2000.0), st.floats(0.2, 5.0))
def test_carries_its_own_requirement_where_types_pool_differently(
    rate_rps: float, surplus: float
) -> None:
    offers = [offer("a", saturation_rps=28.0), offer("b", price_usd_per_h=0.2, saturation_rps=71.0)]
    required = RequiredThroughput({"a": curve(1.0), "b": curve(surplus)})
    fleet = cheapest_fleet(offers, required, rate_rps)
    held = {o.name: o.saturation_rps * fleet.get(o.name, 0) for o in offers}
    q = required.at(np.array([rate_rps]), held)[0]
    assert sum(held.values()) >= q * (1.0 - 1e-9)


def test_no_load_needs_no_fleet() -> None:
    assert cheapest_fleet([offer("a")], RequiredThroughput({"a": curve()}), 0.0) == {}


def test_stock_is_kept_and_too_little_of_it_is_infeasible() -> None:
    offers = [offer("a", stock=1, price_usd_per_h=0.01), offer("b")]
    required = RequiredThroughput({"a": curve(), "b": curve()})
    assert cheapest_fleet(offers, required, 50.0) == {"a": 1, "b": 1}
    with pytest.raises(Infeasible, match="stock"):
        cheapest_fleet(offers[:1], required, 50.0)


def test_order_of_offers_does_not_matter() -> None:
    offers = [offer("a"), offer("b"), offer("c", price_usd_per_h=0.17, saturation_rps=60.0)]
    required = RequiredThroughput({o.name: curve() for o in offers})
    assert cheapest_fleet(offers, required, 123.0) == cheapest_fleet(offers[::-1], required, 123.0)
