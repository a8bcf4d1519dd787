from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.control import Controller, ControllerSettings
from markopt.control.score import PINBALL_LEVELS, first_step_quantiles_rps, pinball_loss
from markopt.core import Actions, Forecast, PurchaseOption, RateSeries
from markopt.errors import ConfigError, DataError, Infeasible
from tests.control.fake_backend import (
    SERVICE,
    FakeBackend,
    LastValue,
    Scripted,
    curves,
    make_offer,
)

OFFERS = (
    make_offer("small", saturation_rps=10.0, launch_delay_s=100.0),
    make_offer(
        "spot",
        saturation_rps=10.0,
        price_usd_per_s=3e-5,
        launch_delay_s=40.0,
        purchase=PurchaseOption.SPOT,
    ),
)
HISTORY = RateSeries(-180.0, 60.0, [5.0, 20.0, 10.0])


def by_load(problem):
    """One small instance per 10 requests/s of the mean forecast, two at least."""
    return {"small": max(math.ceil(problem.forecast.mean_rps()[0] / 10.0), 2), "spot": 0}


def make_controller(backend, planner, *, forecaster=None, on_interval=None, **changes):
    calls = backend.calls
    forecaster = backend.forecaster = forecaster or LastValue(calls)
    planner.calls = calls
    return Controller(
        service=SERVICE,
        offers=OFFERS,
        function=None,
        required_throughput=curves(OFFERS),
        forecaster=forecaster.fit(HISTORY),
        planner=planner,
        backend=backend,
        settings=ControllerSettings(
            **{"horizon": 3, "samples": 20, "suspect_silence_s": 0.0} | changes
        ),
        history=HISTORY,
        rng=np.random.default_rng(3),
        on_interval=on_interval,
    )


def episode(arrivals, *, rule=by_load, until_s=300.0, late=(), **kwargs):
    backend = FakeBackend(OFFERS, arrivals=arrivals, late=late)
    for _ in range(2):
        backend.add("small")
    planner = Scripted(rule)
    return make_controller(backend, planner, **kwargs).run(0.0, until_s), backend, planner


def test_an_interval_observes_learns_forecasts_plans_applies_then_watches():
    _, backend, _ = episode([50] * 24, until_s=120.0, monitor_period_s=20.0)
    assert backend.calls == [
        "observe 0",
        "forecast 0",
        "plan 0",
        "apply plan-0.000",
        *(f"{call} {t}" for t in (20, 40, 60) for call in ("advance", "observe")),
        "update 0",
        "forecast 60",
        "plan 60",
        "apply plan-60.000",
        *(f"{call} {t}" for t in (80, 100, 120) for call in ("advance", "observe")),
    ]


def test_without_the_monitor_time_passes_in_one_step():
    _, backend, _ = episode([50] * 12, until_s=60.0, monitor=False)
    assert backend.calls[-2:] == ["advance 60", "observe 60"]
    assert len(backend.calls) == 6


def test_records_carry_the_counts_of_their_interval():
    arrivals = list(range(36))
    seen = []
    records, _, _ = episode(
        arrivals, until_s=180.0, late=[1] * 36, on_interval=seen.append, monitor=False
    )
    assert [r.arrivals for r in records] == [sum(arrivals[i : i + 12]) for i in (0, 12, 24)]
    assert [r.late for r in records] == [12, 12, 12]
    assert [(r.start_s, r.end_s) for r in records] == [(0.0, 60.0), (60.0, 120.0), (120.0, 180.0)]
    assert [r.bill_usd for r in records] == [60.0, 120.0, 180.0]
    assert tuple(seen) == records
    assert records[0].observed_rps == 10.0
    assert records[1].observed_rps == sum(arrivals[:12]) / 60.0


def test_the_planner_sees_rates_bins_and_earlier_targets():
    arrivals = [50] * 12 + [100] * 12 + [25] * 12
    _, _, planner = episode(arrivals, until_s=180.0)
    first, second, third = planner.problems
    assert first.recent_rps == (5.0, 20.0, 10.0)
    assert first.history_peak_rps == third.history_peak_rps == 20.0
    assert first.recent_bin_rps == ()
    assert first.recent_targets_rps == ()
    assert second.recent_rps[-1] == 10.0
    assert third.recent_rps[-2:] == (10.0, 20.0)
    assert third.recent_bin_rps == (20.0,) * 12
    assert third.recent_targets_rps == (20.0, 20.0)
    assert third.time_s == 120.0
    assert third.horizon == 3


def test_the_forecaster_is_told_each_ended_interval_once():
    forecaster = LastValue()
    episode([50] * 24 + [10] * 12, until_s=180.0, forecaster=forecaster)
    assert [(u.start_s, u.rate_rps.tolist()) for u in forecaster.updates] == [
        (0.0, [10.0]),
        (60.0, [10.0]),
    ]


def test_the_forecaster_is_told_the_bins_of_each_interval_missing_ones_as_no_data():
    told = []

    class Listening(LastValue):
        def update(self, observed):
            told.append(observed)
            super().update(observed)

    arrivals = list(range(24))
    episode(arrivals, until_s=180.0, forecaster=Listening([]), monitor=False)
    assert told[0].within_rps.tolist() == [[n / 5.0 for n in arrivals[:12]]]
    assert [len(observed.within_rps[0]) for observed in told] == [12, 12]


def test_a_forecast_of_what_must_be_carried_is_not_scored_by_one_interval():
    class Carried(LastValue):
        def forecast(self, horizon, samples, rng):
            return dataclasses.replace(super().forecast(horizon, samples, rng), statistic="carried")

    records, _, _ = episode([50] * 24, until_s=120.0, forecaster=Carried([]), monitor=False)
    assert all(math.isnan(record.pinball) for record in records)


def test_ready_and_billed_counts_are_those_after_the_actions():
    targets = iter([{"small": 4, "spot": 0}, {"small": 1, "spot": 1}])
    records, backend, _ = episode([], rule=lambda _: next(targets), until_s=120.0, monitor=False)
    assert (records[0].ready, records[0].billed) == ({"small": 2}, {"small": 4})
    # Both booting ones end; one ready one ends too, since the other is not enough for the target.
    assert records[1].report.terminated == ("i-0003", "i-0004")
    assert (records[1].ready, records[1].billed) == ({"small": 2}, {"small": 2, "spot": 1})
    assert backend.observe().instances[-1].offer == "spot"


counts = st.lists(st.integers(0, 600), min_size=60, max_size=60)


@settings(max_examples=25)
@given(counts, counts, st.integers(0, 59))
def test_an_altered_future_changes_no_earlier_decision(arrivals, other, change):
    late = [n // 10 for n in arrivals]
    altered = arrivals[:change] + other[change:]
    altered_late = [n // 10 for n in altered]
    _, one, _ = episode(arrivals, late=late, monitor_weight=0.01)
    _, two, _ = episode(altered, late=altered_late, monitor_weight=0.01)

    def decided(backend) -> list[Actions]:
        # The bin `change` ends at 5 (change + 1) s: whatever is decided before cannot know it.
        return [
            a
            for a in backend.applied
            if float(a.decision_id.rsplit("-", maxsplit=1)[1]) < 5.0 * (change + 1)
        ]

    assert decided(one) == decided(two)


def test_another_load_gives_other_decisions():
    _, one, _ = episode([50] * 60)
    _, two, _ = episode([50] * 30 + [500] * 30)
    assert [a.launch for a in one.applied] == [{}] * 5
    assert [a.launch for a in two.applied] == [{}, {}, {}, {"small": 4}, {"small": 5}]


def test_a_forecast_of_the_largest_rate_is_scored_by_the_largest_bin():
    class Largest(LastValue):
        def forecast(self, horizon, samples, rng):
            return dataclasses.replace(super().forecast(horizon, samples, rng), statistic="max")

    records, _, planner = episode([50] * 11 + [200], until_s=60.0, forecaster=Largest())
    quantiles = first_step_quantiles_rps(planner.problems[0].forecast)
    assert records[0].pinball == pytest.approx(pinball_loss(quantiles, 40.0))


def test_the_same_run_twice_gives_the_same_decisions():
    arrivals = np.random.default_rng(1).poisson(60, size=60).tolist()
    one, first, _ = episode(arrivals, late=[3] * 60)
    two, second, _ = episode(arrivals, late=[3] * 60)
    assert first.applied == second.applied
    assert [r.pinball for r in one] == [r.pinball for r in two]


def test_monitor_launches_are_pending_in_the_next_problem_and_may_be_dropped():
    records, _, planner = episode(
        [100] * 36,
        late=[100] * 11,
        until_s=180.0,
        monitor_weight=1.0,
        rule=lambda _: {"small": 2, "spot": 0},
    )
    assert records[0].monitor_launches == 2
    assert [d.time_s for d in records[0].monitor_decisions] == [5.0, 35.0]
    assert len(planner.problems[1].fleet.of("small").pending_ready_in_s) == 2
    assert planner.problems[1].since_scale_out_s == 25.0
    # Both are within their minimum billed minute, so ending them now would save nothing.
    assert records[1].actions.terminate == ()
    # Then one of them still boots and ends first; of the three that are ready, the oldest ends.
    assert records[2].actions.terminate == ("i-0004", "i-0001")


def test_a_plan_keeps_what_the_monitor_added_where_it_wants_it():
    records, _, _ = episode(
        [100] * 24, late=[100] * 12, until_s=120.0, rule=lambda _: {"small": 4, "spot": 0}
    )
    assert records[0].actions.launch == {"small": 2}
    assert records[0].monitor_launches == 2
    assert records[1].actions.launch == {}


def test_the_monitor_takes_in_what_the_plan_observed():
    # Violations of the last step before a plan are seen at the plan's own observation only.
    records, _, _ = episode(
        [100] * 24, late=[0] * 6 + [100] * 6, until_s=120.0, monitor_period_s=30.0
    )
    assert records[0].monitor_decisions == ()
    assert [d.time_s for d in records[1].monitor_decisions] == [90.0]


def test_the_launch_limit_counts_plan_and_monitor_together():
    records, _, planner = episode(
        [100] * 24,
        late=[100] * 24,
        until_s=120.0,
        rule=lambda problem: {"small": 4 if problem.time_s == 0.0 else 5, "spot": 0},
        max_launches_per_interval=3,
        monitor_cool_down_rounds=0,
    )
    assert planner.problems[0].limits.max_launches_per_interval == 3
    assert [(sum(r.actions.launch.values()), r.monitor_launches) for r in records] == [
        (2, 1),
        (0, 3),
    ]


def test_a_stalled_metric_freezes_scale_in_and_is_not_zero_load():
    backend = FakeBackend(OFFERS, arrivals=[100] * 60, silent=[(60.0, 120.0)])
    for _ in range(3):
        backend.add("small")
    forecaster = LastValue()
    planner = Scripted(lambda p: {"small": 3 if p.time_s < 100.0 else 1, "spot": 1})
    records = make_controller(backend, planner, forecaster=forecaster).run(0.0, 240.0)
    assert np.isnan(forecaster.updates[1].rate_rps[0])
    assert [r.scale_in_frozen for r in records] == [False, False, True, False]
    assert "scale-in frozen" in records[2].plan.reason
    assert records[2].actions.terminate == ()
    assert math.isnan(records[1].pinball)
    assert math.isnan(records[2].observed_rps)
    # As soon as data are back, the same target is carried out.
    assert len(records[3].actions.terminate) == 2
    assert planner.problems[2].recent_rps == (5.0, 20.0, 10.0, 20.0)


def test_a_metric_that_falls_silent_late_freezes_scale_in_with_a_known_rate():
    backend = FakeBackend(OFFERS, arrivals=[100] * 60, silent=[(40.0, 60.0)])
    for _ in range(3):
        backend.add("small")
    forecaster = LastValue()
    planner = Scripted(lambda _: {"small": 1, "spot": 0})
    records = make_controller(backend, planner, forecaster=forecaster).run(0.0, 120.0)
    assert forecaster.updates[0].rate_rps.tolist() == [20.0]
    assert records[1].scale_in_frozen


def test_a_monitor_faster_than_the_bins_is_no_stalled_metric():
    records, _, _ = episode([100] * 24, until_s=120.0, monitor_period_s=2.0)
    assert not any(r.scale_in_frozen for r in records)
    assert [r.arrivals for r in records] == [1200, 1200]


def test_a_failed_solver_holds_the_fleet():
    backend = FakeBackend(OFFERS, arrivals=[0] * 36)
    for _ in range(2):
        backend.add("small")
    noticed = backend.add("spot", notice_end_s=120.0)
    backend.warm = 3
    planner = Scripted(lambda _: None)
    records = make_controller(backend, planner).run(0.0, 240.0)
    assert [r.plan.rung for r in records] == ["hold"] * 4
    assert "time limit without an incumbent" in records[0].plan.reason
    # The noticed instance is replaced once, not once per interval of its notice.
    assert [r.actions.launch for r in records] == [{"spot": 1}, {}, {}, {}]
    assert records[1].actions.terminate == (noticed,)
    assert records[3].billed == {"small": 2, "spot": 1}
    assert backend.warm == 3


def test_an_infeasible_plan_ends_the_run():
    def impossible(_):
        raise Infeasible("max_vcpus: too few")

    with pytest.raises(Infeasible, match="max_vcpus"):
        episode([1], rule=impossible)


def test_a_span_that_is_no_whole_number_of_intervals_ends_short():
    records, backend, _ = episode([50] * 20, until_s=90.0)
    assert [(r.start_s, r.end_s, r.arrivals) for r in records] == [(0, 60, 600), (60, 90, 300)]
    assert backend.now_s == 90.0


def test_a_run_in_two_parts_decides_as_one():
    arrivals = np.random.default_rng(2).poisson(150, size=48).tolist()
    _, whole, _ = episode(arrivals, until_s=240.0, late=[4] * 48)
    backend = FakeBackend(OFFERS, arrivals=arrivals, late=[4] * 48)
    for _ in range(2):
        backend.add("small")
    controller = make_controller(backend, Scripted(by_load))
    controller.run(0.0, 120.0)
    controller.run(120.0, 240.0)
    assert backend.applied == whole.applied
    assert backend.calls == whole.calls


def test_a_run_must_start_where_knowledge_ends_and_end_later():
    controller = make_controller(FakeBackend(OFFERS), Scripted(by_load))
    with pytest.raises(ConfigError, match="must start where what is known ends"):
        controller.run(60.0, 120.0)
    with pytest.raises(ConfigError, match="end_s must lie after"):
        controller.run(0.0, 0.0)
    controller.run(0.0, 90.0)
    with pytest.raises(ConfigError, match="must start where"):
        controller.run(90.0, 150.0)


def test_a_forecast_for_another_time_is_refused():
    late = LastValue().fit(HISTORY)
    late.fit = lambda _: late
    late._end_s = 60.0
    with pytest.raises(DataError, match=r"must start at .* time 0\.0 s, got 60\.0 s"):
        make_controller(FakeBackend(OFFERS), Scripted(by_load), forecaster=late).run(0.0, 60.0)


def test_the_history_must_have_the_interval_of_the_loop():
    with pytest.raises(ConfigError, match=r"controller\.interval_s"):
        make_controller(FakeBackend(OFFERS), Scripted(by_load), interval_s=30.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("horizon", 0),
        ("horizon", 2.5),
        ("samples", 0),
        ("interval_s", 0.0),
        ("interval_s", math.nan),
        ("make_before_break_share", 1.5),
        ("monitor_period_s", 61.0),
        ("monitor_weight", 2.0),
        ("max_vcpus", -1.0),
        ("max_launches_per_interval", -1),
        ("max_launches_per_interval", 1.5),
        ("monitor", "maybe"),
        ("interval_s", "long"),
        ("monitor_offer", 3),
        ("monitor_weight", None),
    ],
)
def test_a_wrong_setting_is_named(key, value):
    with pytest.raises(ConfigError, match=rf"^controller\.{key}: must .*, got {value!r}$"):
        ControllerSettings(**{key: value})


def test_settings_hold_the_limits():
    limits = ControllerSettings(max_vcpus=8.0, max_launches_per_interval=2).limits
    assert (limits.max_vcpus, limits.max_launches_per_interval) == (8.0, 2)


@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_first_step_quantiles_equal_those_of_the_forecast(rates, seed):
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(rates)))
    forecast = Forecast(0.0, 60.0, np.array(rates)[:, None], weights)
    expected = [forecast.quantile_rps(level)[0] for level in PINBALL_LEVELS]
    assert first_step_quantiles_rps(forecast).tolist() == expected


def test_pinball_loss_is_the_mean_over_nineteen_levels():
    quantiles = np.full(19, 10.0)
    assert pinball_loss(quantiles, 12.0) == pytest.approx(0.5 * 2.0)
    assert pinball_loss(quantiles, 8.0) == pytest.approx(0.5 * 2.0)
    assert pinball_loss(quantiles, 10.0) == 0.0
    levels = np.arange(1, 20) / 20.0
    assert pinball_loss(levels, 0.0) == pytest.approx(float(np.mean((1.0 - levels) * levels)))
    assert math.isnan(pinball_loss(quantiles, math.nan))


def test_records_score_the_forecast_of_their_own_interval():
    records, _, planner = episode([50] * 12 + [100] * 12, until_s=120.0)
    quantiles = first_step_quantiles_rps(planner.problems[1].forecast)
    assert records[1].pinball == pytest.approx(pinball_loss(quantiles, 20.0))
    assert records[1].forecast_p50_rps == quantiles[9]
    assert records[1].forecast_p05_rps <= records[1].forecast_p50_rps <= records[1].forecast_p95_rps


@pytest.mark.parametrize("bad", [math.nan, math.inf, -3.0])
def test_a_forecast_of_no_possible_load_holds_the_fleet_until_the_next_one(bad):
    class Broken(LastValue):
        def forecast(self, horizon, samples, rng):
            whole = super().forecast(horizon, samples, rng)
            if whole.start_s == 60.0:
                return Forecast.equally_likely(60.0, 60.0, np.full((samples, horizon), bad))
            return whole

    # The load doubles, then falls: only the second decision, whose forecast is broken, holds.
    records, _, planner = episode(
        [250] * 12 + [500] * 12 + [50] * 12, until_s=240.0, forecaster=Broken(), monitor=False
    )
    assert [r.plan.rung for r in records] == ["rule", "hold", "rule", "rule"]
    held = records[1]
    assert "fleet held: Forecast: paths_rps must be finite" in held.plan.reason
    assert held.actions.launch == {}
    assert held.actions.terminate == ()
    # The record shows what the loop falls back on: the last known rate.
    assert held.forecast_mean_rps == held.observed_rps == 50.0
    assert [problem.time_s for problem in planner.problems] == [0.0, 120.0, 180.0]
