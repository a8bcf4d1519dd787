"""Instances: launch delays, who serves when, draining, and what a life costs."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.cloud.simulated import LaunchDelay, LaunchSettings, SimulationSettings
from markopt.core import Actions, InstanceState
from markopt.errors import BackendError, ConfigError
from tests.cloud.worlds import CONSTANT, Poisson, Times, cloud, function, launches, offer

EXACT = SimulationSettings(launch=CONSTANT)
NAME = "c5.large/on_demand"


def test_launch_delays_are_lognormal_around_the_offers() -> None:
    backend = cloud([offer()], end_s=400.0)
    count = 2000
    backend.apply(Actions("d", launch={NAME: count}))
    ready_by: list[float] = []
    known = 0
    for time_s in np.arange(60.0, 200.0, 1.0):
        backend.advance(float(time_s))
        ready = sum(i.state is InstanceState.READY for i in backend.observe().instances)
        ready_by += [time_s - 0.5] * (ready - known)
        known = ready
    assert known == count
    delays = np.array(ready_by)
    # Standard error of the mean: 10 s / sqrt(2000) = 0.22 s.
    assert delays.mean() == pytest.approx(100.0, abs=1.0)
    assert delays.std() == pytest.approx(10.0, rel=0.1)
    logs = np.log(delays)
    skewness = np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3
    assert abs(skewness) < 0.2


def test_a_delay_without_dispersion_is_kept_to_the_second() -> None:
    backend = cloud([offer(launch_delay_s=37.0)], settings=EXACT)
    backend.apply(Actions("d", launch={NAME: 1}))
    backend.advance(36.999)
    assert backend.observe().instances[0].state is InstanceState.BOOTING
    backend.advance(37.0)
    assert backend.observe().instances[0].state is InstanceState.READY


def test_the_time_to_ready_that_is_shown_is_the_expected_one_not_the_drawn_one() -> None:
    backend = cloud(
        [offer()], settings=SimulationSettings(launch=LaunchSettings(LaunchDelay(cv=0.5)))
    )
    backend.apply(Actions("d", launch={NAME: 50}))
    backend.advance(30.0)
    booting = [i for i in backend.observe().instances if i.state is InstanceState.BOOTING]
    assert len(booting) > 25
    assert {i.ready_in_s for i in booting} == {70.0}
    backend.advance(130.0)
    overdue = [i for i in backend.observe().instances if i.state is InstanceState.BOOTING]
    assert overdue
    assert {i.ready_in_s for i in overdue} == {1.0}


def test_a_booting_instance_serves_nothing() -> None:
    backend = cloud([offer()], arrivals=Poisson(5.0), settings=EXACT, record=True)
    backend.apply(Actions("d", launch={NAME: 1}))
    backend.advance(100.0)
    before = backend.observe()
    assert before.arrivals.sum() > 300
    np.testing.assert_array_equal(before.refused, before.arrivals)
    backend.advance(200.0)
    after = backend.observe()
    assert after.refused.sum() < 0.5 * after.arrivals.sum()


def test_nothing_is_ready_before_the_span_unless_it_is_in_the_initial_fleet() -> None:
    backend = cloud([offer()], fleet={NAME: 3}, arrivals=Poisson(5.0), start_s=50.0)
    ready = [i for i in backend.observe().instances if i.state is InstanceState.READY]
    assert len(ready) == 3
    backend.advance(100.0)
    seen = backend.observe()
    assert seen.arrivals.sum() > 100
    assert seen.refused.sum() == 0
    assert backend.close().launches == 0


def test_a_draining_instance_answers_what_it_holds_and_takes_nothing_new() -> None:
    # Ten requests at once on a server of 0.1 s each: the last is answered at 1.0 s.
    settings = SimulationSettings(bouncer="none", launch=CONSTANT)
    backend = cloud(
        [offer()],
        arrivals=Times([0.0] * 10 + [0.55]),
        fleet={NAME: 1},
        settings=settings,
        record=True,
    )
    backend.advance(0.5)
    (instance,) = backend.observe().instances
    report = backend.apply(Actions("d", terminate=(instance.instance_id,)))
    assert report.terminated == (instance.instance_id,)
    backend.advance(0.9)
    (draining,) = backend.observe().instances
    assert draining.state is InstanceState.DRAINING
    backend.advance(1.1)
    assert backend.observe().instances == ()
    response_s, path = backend.request_results()
    np.testing.assert_allclose(response_s[:10], 0.1 * np.arange(1, 11), rtol=1e-12)
    assert path[10] == 3  # refused: nobody serves any more
    ledger = backend.close()
    assert ledger.billed_s[NAME] == 60.0  # one second of use, a minute at least


def test_an_idle_instance_ends_the_moment_it_is_told() -> None:
    backend = cloud([offer()], fleet={NAME: 1})
    backend.advance(100.0)
    (instance,) = backend.observe().instances
    backend.apply(Actions("d", terminate=(instance.instance_id,)))
    backend.advance(100.0)
    assert backend.observe().instances == ()


def test_a_launch_that_is_called_off_never_serves() -> None:
    backend = cloud([offer()], arrivals=Poisson(5.0), settings=EXACT)
    launched = backend.apply(Actions("up", launch={NAME: 1})).launched[NAME]
    backend.advance(40.0)
    backend.apply(Actions("down", terminate=launched))
    assert backend.observe().instances == ()
    backend.advance(600.0)
    seen = backend.observe()
    np.testing.assert_array_equal(seen.refused, seen.arrivals)
    assert backend.close().billed_s[NAME] == 60.0


@pytest.mark.parametrize(
    ("lives_s", "billed_s"), [(1.0, 60.0), (59.0, 60.0), (60.0, 60.0), (61.5, 61.5), (900.0, 900.0)]
)
def test_a_life_is_billed_per_second_with_a_minute_at_least(
    lives_s: float, billed_s: float
) -> None:
    backend = cloud([offer()], settings=EXACT)
    launched = backend.apply(Actions("up", launch={NAME: 2})).launched[NAME]
    backend.advance(lives_s)
    backend.apply(Actions("down", terminate=launched))
    backend.advance(2000.0)
    ledger = backend.close()
    assert ledger.billed_s[NAME] == pytest.approx(2 * billed_s)
    assert ledger.cost_usd["on_demand"] == pytest.approx(2 * billed_s * 0.001)
    assert ledger.total_usd == pytest.approx(ledger.cost_usd["on_demand"])


def test_the_pending_part_of_a_launch_is_free() -> None:
    settings = SimulationSettings(launch=launches(pending_s=30.0))
    backend = cloud([offer()], settings=settings)
    launched = backend.apply(Actions("up", launch={NAME: 2})).launched[NAME]
    for time_s, state, bill_usd in [
        (0.0, InstanceState.PENDING, 0.0),
        (29.0, InstanceState.PENDING, 0.0),
        (50.0, InstanceState.BOOTING, 2 * 20.0 * 0.001),
        (130.0, InstanceState.READY, 2 * 100.0 * 0.001),
    ]:
        backend.advance(time_s)
        seen = backend.observe()
        assert {i.state for i in seen.instances} == {state}
        assert seen.bill_usd == pytest.approx(bill_usd)
    backend.apply(Actions("down", terminate=launched[:1]))
    backend.advance(230.0)
    assert backend.close().billed_s[NAME] == pytest.approx(100.0 + 200.0)


def test_a_launch_called_off_while_pending_costs_nothing() -> None:
    settings = SimulationSettings(launch=launches(pending_s=30.0))
    backend = cloud([offer()], settings=settings)
    launched = backend.apply(Actions("up", launch={NAME: 1})).launched[NAME]
    backend.advance(20.0)
    backend.apply(Actions("down", terminate=launched))
    backend.advance(500.0)
    assert backend.close().total_usd == 0.0


def test_billed_seconds_equal_the_life_spans_that_an_observer_sees() -> None:
    rng = np.random.default_rng(5)
    backend = cloud([offer(), offer("c5.xlarge/on_demand")], end_s=1800.0)
    seen_s: dict[str, list[float]] = {}
    offer_of: dict[str, str] = {}
    for time_s in range(0, 1800):
        backend.advance(float(time_s))
        live = backend.observe().instances
        for instance in live:
            offer_of[instance.instance_id] = instance.offer
            seen_s.setdefault(instance.instance_id, [time_s, time_s])[1] = time_s
        if time_s % 20 == 0:
            ends = [i.instance_id for i in live if rng.random() < 0.2]
            backend.apply(
                Actions(
                    f"d{time_s}",
                    launch={
                        NAME: int(rng.integers(0, 3)),
                        "c5.xlarge/on_demand": int(rng.integers(0, 2)),
                    },
                    terminate=tuple(ends),
                )
            )
            # Launched after the observation: seen from now on.
            for instance in backend.observe().instances:
                offer_of[instance.instance_id] = instance.offer
                seen_s.setdefault(instance.instance_id, [time_s, time_s])[1] = time_s
    ledger = backend.close()
    assert ledger.launches == len(seen_s) > 50
    for name, billed_s in ledger.billed_s.items():
        spans = [last - first for i, (first, last) in seen_s.items() if offer_of[i] == name]
        exact = sum(max(span, 60.0) if span > 0 else 0.0 for span in spans)
        # An observer who looks every second errs by up to a second per instance.
        assert billed_s == pytest.approx(exact, abs=1.0 * len(spans))


def test_stock_limits_how_many_live_at_once() -> None:
    backend = cloud([offer(stock=3)], settings=EXACT)
    report = backend.apply(Actions("up", launch={NAME: 5}))
    assert len(report.launched[NAME]) == 3
    assert len(report.refused) == 2
    assert all("stock of 3" in reason for reason in report.refused)
    backend.apply(Actions("down", terminate=report.launched[NAME][:1]))
    assert len(backend.apply(Actions("again", launch={NAME: 5})).launched[NAME]) == 1


def test_every_model_server_of_an_instance_serves() -> None:
    single, several = (
        cloud(
            [offer(servers=servers)],
            arrivals=Poisson(30.0),
            fleet={NAME: 1},
            end_s=300.0,
        )
        for servers in (1, 4)
    )
    for backend in (single, several):
        backend.advance(300.0)
    # One server carries at most 10 requests a second, four carry 30 at utilisation 0.75.
    assert single.observe().refused.sum() > 0.6 * single.statistics().requests
    assert several.observe().refused.sum() < 0.05 * several.statistics().requests


def test_costs_go_to_the_purchase_option_that_they_are_of() -> None:
    names = ["c5.large/on_demand", "c5.large/spot", "t2.medium/burstable", "fargate/container"]
    backend = cloud([offer(name) for name in names], fleet=dict.fromkeys(names, 1))
    backend.advance(500.0)
    ledger = backend.close()
    assert ledger.cost_usd == pytest.approx(
        {"on_demand": 0.5, "spot": 0.5, "burstable": 0.5, "container": 0.5}
    )


def test_time_cannot_run_beyond_the_simulated_span() -> None:
    backend = cloud(end_s=100.0)
    backend.advance(100.0)
    with pytest.raises(BackendError, match="got 101"):
        backend.advance(101.0)


def test_an_initial_fleet_of_an_unknown_offer_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'p9' is not on sale; offers: \['c5.large/on_demand'\]"):
        cloud([offer()], fleet={"p9": 1})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("dispatcher", "random", "expected one of"),
        ("queue_limit_s", 0.0, "must be positive"),
        ("bin_s", -1.0, "must be positive"),
        ("arrival_block_s", float("nan"), "must be positive"),
        ("drain_deadline_s", -1.0, "must not be negative"),
        ("spot_notice_s", -1.0, "must not be negative"),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_names_it(
    key: str, value: object, expected: str
) -> None:
    with pytest.raises(ConfigError, match=f"cloud.{key}: {expected}"):
        SimulationSettings(**{key: value})  # type: ignore[arg-type]


def test_requests_without_a_server_go_to_functions_and_without_those_are_refused() -> None:
    spilled = cloud(arrivals=Poisson(5.0), function=function(), end_s=120.0)
    refused = cloud(arrivals=Poisson(5.0), end_s=120.0)
    for backend in (spilled, refused):
        backend.advance(120.0)
    np.testing.assert_array_equal(
        *(getattr(spilled.statistics(), k) for k in ("spilled", "arrivals"))
    )
    np.testing.assert_array_equal(
        *(getattr(refused.statistics(), k) for k in ("refused", "arrivals"))
    )
    assert refused.statistics().attainment == 0.0
