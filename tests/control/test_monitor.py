from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.control import SloMonitor
from markopt.control.monitor import average_after
from markopt.core import (
    InstanceState,
    InstanceStatus,
    Limits,
    Observation,
    PurchaseOption,
    SloWindow,
)
from markopt.errors import ConfigError
from tests.control.fake_backend import make_offer

SLOW = make_offer("slow", launch_delay_s=200.0, price_usd_per_s=1e-5)
DEAR = make_offer("dear", launch_delay_s=100.0, price_usd_per_s=3e-4)
CHEAP = make_offer("cheap", launch_delay_s=100.0, price_usd_per_s=1e-4)
SPOT = make_offer("spot", launch_delay_s=10.0, price_usd_per_s=1e-6, purchase=PurchaseOption.SPOT)
OFFERS = (SLOW, DEAR, SPOT, CHEAP)
weights = st.sampled_from([0.0005, 0.001, 0.01, 0.2, 1.0])


def seen(arrivals, late=(), refused=(), instances=()):
    none = [0] * len(arrivals)
    return Observation(0.0, tuple(instances), 5.0, arrivals, late or none, refused or none, none)


@given(st.floats(0.0, 1.0), weights, st.integers(0, 400), st.integers(0, 400))
def test_the_closed_form_equals_a_loop_over_requests(average, weight, requests, violations):
    looped = average
    count = max(requests, violations)
    for _ in range(count):
        looped += weight * (violations / count - looped)
    assert average_after(average, weight, requests, violations) == pytest.approx(looped, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 1.0)), max_size=8))
def test_evenly_spread_whole_violations_differ_by_less_than_the_weight(bins):
    weight = 0.001
    looped = closed = 0.0
    for requests, share in bins:
        violations = round(share * requests)
        closed = average_after(closed, weight, requests, violations)
        for place in range(requests):
            missed = (place + 1) * violations // requests - place * violations // requests
            looped += weight * (missed - looped)
    assert abs(looped - closed) <= weight


@given(st.floats(0.0, 1.0), weights, st.integers(0, 5000), st.integers(0, 5000))
def test_the_average_stays_a_share(average, weight, requests, violations):
    assert 0.0 <= average_after(average, weight, requests, violations) <= 1.0


def test_a_bin_counts_late_and_refused_requests():
    monitor = SloMonitor(OFFERS)
    monitor.watch(seen([100, 50], late=[3, 0], refused=[2, 50]))
    expected = average_after(average_after(0.0, 0.001, 100, 5), 0.001, 50, 50)
    assert monitor.violation_share == pytest.approx(expected)


def test_an_instance_is_added_only_above_the_threshold():
    monitor = SloMonitor(OFFERS, weight=1.0, threshold_share=0.02)
    assert monitor.react(seen([100], late=[2]), decision_id="a") is None
    actions = monitor.react(seen([100], late=[3]), decision_id="b")
    assert actions is not None
    assert (actions.decision_id, actions.launch, actions.terminate) == ("b", {"cheap": 1}, ())


def test_misses_that_the_plan_spends_within_the_window_add_nothing():
    monitor = SloMonitor(OFFERS, weight=1.0, threshold_share=0.02)
    within = SloWindow(requests=1000, violations=20, remaining_s=1800.0)
    beyond = SloWindow(requests=1000, violations=21, remaining_s=1800.0)
    assert monitor.react(seen([100], late=[50]), decision_id="a", window=within) is None
    actions = monitor.react(seen([100], late=[50]), decision_id="b", window=beyond)
    assert actions is not None
    assert actions.launch == {"cheap": 1}


def test_cool_down_lasts_five_rounds():
    monitor = SloMonitor(OFFERS, weight=1.0)
    rounds = [monitor.react(seen([10], late=[10]), decision_id=str(n)) for n in range(13)]
    assert [n for n, actions in enumerate(rounds) if actions is not None] == [0, 6, 12]


def test_rounds_that_only_watch_shorten_the_cool_down_too():
    monitor = SloMonitor(OFFERS, weight=1.0, cool_down_rounds=2)
    bad = seen([10], late=[10])
    assert monitor.react(bad, decision_id="a") is not None
    monitor.watch(bad)
    assert monitor.react(bad, decision_id="b") is None
    assert monitor.react(bad, decision_id="c") is not None


def test_a_silent_metric_does_not_move_the_average():
    monitor = SloMonitor(OFFERS)
    monitor.watch(seen([1000], late=[30]))
    before = monitor.violation_share
    monitor.watch(seen([]))
    monitor.watch(seen([0]))
    assert monitor.violation_share == before > 0.0


def test_a_round_without_requests_adds_nothing_though_the_average_is_high():
    monitor = SloMonitor(OFFERS, weight=1.0, cool_down_rounds=0)
    monitor.watch(seen([10], late=[10]))
    assert monitor.react(seen([]), decision_id="silent") is None
    assert monitor.react(seen([0, 0]), decision_id="idle") is None
    assert monitor.react(seen([1], late=[1]), decision_id="load") is not None


def test_a_named_offer_is_taken():
    monitor = SloMonitor(OFFERS, weight=1.0, offer="spot")
    actions = monitor.react(seen([1], late=[1]), decision_id="a")
    assert actions is not None
    assert actions.launch == {"spot": 1}


def test_without_on_demand_offers_anything_is_better_than_nothing():
    monitor = SloMonitor((SPOT,), weight=1.0)
    actions = monitor.react(seen([1], late=[1]), decision_id="a")
    assert actions is not None
    assert actions.launch == {"spot": 1}


def running(offer, count):
    return tuple(
        InstanceStatus(f"{offer}{n}", offer, InstanceState.READY, 100.0) for n in range(count)
    )


def test_limits_and_stock_hold_for_the_monitor():
    bad = seen([1], late=[1], instances=running("cheap", 2))
    quota = SloMonitor(OFFERS, weight=1.0, limits=Limits(max_vcpus=5.0))
    assert quota.react(bad, decision_id="a") is None
    launches = SloMonitor(OFFERS, weight=1.0, limits=Limits(max_launches_per_interval=3))
    assert launches.react(bad, decision_id="a", launched=3) is None
    assert launches.react(bad, decision_id="b", launched=2) is not None
    scarce = make_offer("cheap", launch_delay_s=100.0, price_usd_per_s=1e-4, stock=2)
    stocked = SloMonitor((scarce, DEAR), weight=1.0).react(bad, decision_id="a")
    assert stocked is not None
    assert stocked.launch == {"dear": 1}


def test_rounds_without_room_do_not_start_a_cool_down():
    monitor = SloMonitor((CHEAP,), weight=1.0, limits=Limits(max_vcpus=2.0))
    assert (
        monitor.react(seen([1], late=[1], instances=running("cheap", 1)), decision_id="a") is None
    )
    assert monitor.react(seen([1], late=[1]), decision_id="b") is not None


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"weight": 0.0}, "monitor_weight"),
        ({"threshold_share": 1.0}, "monitor_threshold_share"),
        ({"cool_down_rounds": -1}, "monitor_cool_down_rounds"),
        ({"offer": "huge"}, "monitor_offer"),
        ({"weight": float(np.nan)}, "monitor_weight"),
    ],
)
def test_wrong_parameters_are_named(settings, key):
    with pytest.raises(ConfigError, match=f"controller.{key}"):
        SloMonitor(OFFERS, **settings)
