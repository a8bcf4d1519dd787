from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.control.situation import Situation, fleet_state
from markopt.control.spot_price import at_spot_prices
from markopt.core import (
    ActionReport,
    FleetState,
    Forecast,
    InstanceState,
    InstanceStatus,
    Limits,
    Observation,
    OfferFleet,
    RateSeries,
    Service,
    Slo,
    WarmStart,
)
from markopt.core.documents import problem_from_json, problem_to_json
from tests.control.fake_backend import curves, make_offer, make_plan

OFFERS = (make_offer("small"), make_offer("large", saturation_rps=35.0))
START_S = 1000.0


def situation(*, window_s=600.0, rates=(1.0, math.nan, 3.0)):
    return Situation(
        service=Service("toy", Slo(0.5, 0.98, window_s=window_s)),
        offers=OFFERS,
        function=None,
        required_throughput=curves(OFFERS),
        history=RateSeries(START_S - 60.0 * len(rates), 60.0, list(rates)),
        limits=Limits(max_vcpus=64.0),
    )


def seen(time_s, arrivals, late=None, refused=None, *, instances=(), bin_s=5.0, warm=0):
    none = [0] * len(arrivals)
    return Observation(
        time_s,
        tuple(instances),
        bin_s,
        arrivals,
        none if late is None else late,
        none if refused is None else refused,
        none,
        warm_functions=warm,
    )


def problem_at(subject, time_s, observation=None):
    forecast = Forecast.equally_likely(time_s, 60.0, np.ones((2, 3)))
    return subject.problem(time_s, observation or seen(time_s, []), forecast)


def test_the_fleet_is_counted_by_state_and_notice():
    boots, waits = InstanceState.BOOTING, InstanceState.PENDING
    ready = InstanceState.READY
    observation = seen(
        0.0,
        [],
        instances=(
            InstanceStatus("a", "small", ready, 100.0),
            InstanceStatus("b", "small", ready, 100.0, notice=True),
            InstanceStatus("c", "small", boots, 20.0, 80.0),
            InstanceStatus("d", "small", waits, 1.0, 99.0),
            InstanceStatus("e", "small", boots, 60.0, 40.0),
            InstanceStatus("f", "small", InstanceState.DRAINING, 100.0),
            InstanceStatus("g", "small", InstanceState.INTERRUPTED, 100.0),
            InstanceStatus("h", "large", boots, 9.0, 9.0, notice=True),
        ),
        warm=7,
    )
    fleet = fleet_state(observation, OFFERS)
    assert fleet.offers == (OfferFleet("small", 2, (40.0, 80.0, 99.0), 1), OfferFleet("large"))
    assert fleet.warm_functions == 7


def test_the_slo_window_tumbles_from_the_start_of_the_run():
    subject = situation(window_s=120.0)
    assert problem_at(subject, START_S).window.remaining_s == 120.0
    subject.count(seen(START_S + 60.0, [10] * 12, [1] * 12, [1] + [0] * 11))
    window = problem_at(subject, START_S + 60.0).window
    assert (window.requests, window.violations, window.remaining_s) == (120, 13, 60.0)
    subject.count(seen(START_S + 120.0, [10] * 12))
    window = problem_at(subject, START_S + 120.0).window
    assert (window.requests, window.violations, window.remaining_s) == (0, 0, 120.0)
    subject.count(seen(START_S + 125.0, [4], [2]))
    window = problem_at(subject, START_S + 180.0).window
    assert (window.requests, window.violations, window.remaining_s) == (4, 2, 60.0)


def test_one_observation_over_two_windows_counts_only_the_current_one():
    subject = situation(window_s=120.0)
    subject.count(seen(START_S + 180.0, [1] * 24 + [5] * 12))
    assert problem_at(subject, START_S + 180.0).window.requests == 60


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_counts_do_not_depend_on_how_bins_are_delivered(chunks):
    bins = np.arange(sum(chunks)) % 17
    pieces, whole = situation(), situation()
    done = 0
    for chunk in chunks:
        done += chunk
        pieces.count(
            seen(START_S + 5.0 * done, bins[done - chunk : done], bins[done - chunk : done])
        )
    end_s = START_S + 5.0 * done
    whole.count(seen(end_s, bins, bins))
    assert problem_at(pieces, end_s).window == problem_at(whole, end_s).window
    assert pieces.close_interval(START_S, end_s) == whole.close_interval(START_S, end_s)


def test_late_bins_of_an_earlier_interval_do_not_raise_the_rate():
    subject = situation()
    silent = subject.close_interval(START_S, START_S + 60.0)
    assert math.isnan(silent.rate_rps)
    assert not silent.complete
    subject.count(seen(START_S + 120.0, [50] * 12 + [10] * 12))
    counts = subject.close_interval(START_S + 60.0, START_S + 120.0)
    assert counts.rate_rps == 2.0
    assert counts.arrivals == 720
    assert counts.complete


def test_a_rate_needs_half_of_its_bins():
    subject = situation()
    subject.count(seen(START_S + 30.0, [5] * 6))
    half = subject.close_interval(START_S, START_S + 60.0)
    assert (half.rate_rps, half.complete) == (1.0, False)
    subject.count(seen(START_S + 85.0, [5] * 5))
    less = subject.close_interval(START_S + 60.0, START_S + 120.0)
    assert math.isnan(less.rate_rps)


def test_minute_bins_make_a_complete_interval():
    subject = situation()
    subject.count(seen(START_S + 60.0, [120], bin_s=60.0))
    counts = subject.close_interval(START_S, START_S + 60.0)
    assert (counts.rate_rps, counts.complete) == (2.0, True)


def test_recent_rates_keep_sixty_and_leave_gaps_out():
    subject = situation(rates=[*range(80), math.nan])
    recent = problem_at(subject, START_S).recent_rps
    assert recent == tuple(float(rate) for rate in range(20, 80))
    assert problem_at(subject, START_S).history_peak_rps == 79.0


def test_a_history_without_data_has_no_peak():
    problem = problem_at(situation(rates=[math.nan]), START_S)
    assert problem.history_peak_rps == 0.0
    assert problem.recent_rps == ()


def test_the_last_ten_plans_are_remembered_as_throughput():
    subject = situation()
    for count in range(12):
        subject.planned(make_plan({"small": count, "large": 1}))
    expected = tuple(10.0 * count + 35.0 for count in range(2, 12))
    assert problem_at(subject, START_S).recent_targets_rps == expected


def test_the_next_problem_has_the_last_plans_warm_start():
    subject = situation()
    assert problem_at(subject, START_S).warm_start is None
    start = WarmStart(START_S, 60.0, ("small",), np.array([[1.5, 2.0]]), np.zeros(2))
    subject.planned(dataclasses.replace(make_plan({"small": 2}), warm_start=start))
    assert problem_at(subject, START_S + 60.0).warm_start is start
    subject.planned(make_plan({"small": 2}))
    assert problem_at(subject, START_S + 120.0).warm_start is None


def test_times_since_scaling_follow_what_was_really_done():
    subject = situation()
    subject.changed(START_S, ActionReport("a", launched={"small": ()}, refused=("small",)))
    problem = problem_at(subject, START_S + 60.0)
    assert (problem.since_scale_out_s, problem.since_scale_in_s) == (None, None)
    subject.changed(START_S + 5.0, ActionReport("b", launched={"small": ("i",)}))
    subject.changed(START_S + 20.0, ActionReport("c", terminated=("i",)))
    problem = problem_at(subject, START_S + 60.0)
    assert (problem.since_scale_out_s, problem.since_scale_in_s) == (55.0, 40.0)


def test_the_problem_survives_a_round_trip_as_json():
    subject = situation()
    subject.count(seen(START_S + 60.0, [7] * 12, [1] * 12))
    subject.close_interval(START_S, START_S + 60.0)
    subject.planned(make_plan({"small": 2}))
    problem = problem_at(subject, START_S + 60.0)
    text = problem_to_json(problem)
    assert problem_to_json(problem_from_json(text)) == text
    assert problem.limits.max_vcpus == pytest.approx(64.0)


def test_spot_offers_have_the_price_of_the_moment_and_no_stock_above_their_maximum():
    spot = make_offer("large")
    spot = dataclasses.replace(spot, max_price_usd_per_s=2.0 * spot.price_usd_per_s)
    running = OfferFleet("large", 3, (10.0,), 1)
    fleet = FleetState((running,))
    cheap = at_spot_prices((spot,), {"large": 0.5 * spot.price_usd_per_s}, fleet)[0]
    assert (cheap.price_usd_per_s, cheap.stock) == (0.5 * spot.price_usd_per_s, spot.stock)
    dear = at_spot_prices((spot,), {"large": 5.0 * spot.price_usd_per_s}, fleet)[0]
    assert (dear.price_usd_per_s, dear.stock) == (2.0 * spot.price_usd_per_s, 3)
    assert at_spot_prices((spot,), {}, fleet) == (spot,)


def test_problems_carry_the_price_of_the_moment():
    subject = situation()
    price = 0.25 * OFFERS[1].price_usd_per_s
    observation = dataclasses.replace(seen(START_S, []), spot_price_usd_per_s={"large": price})
    problem = problem_at(subject, START_S, observation)
    assert problem.offer("large").price_usd_per_s == price
    assert problem.offer("small") == OFFERS[0]
