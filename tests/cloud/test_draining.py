"""Draining with and without a deadline, and interruptions that come too soon."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.cloud.simulated import SimulationSettings
from markopt.cloud.simulated.markets import DrawnSettings
from markopt.core import Actions, InstanceState
from markopt.engine import Path
from tests.cloud.worlds import CONSTANT, Poisson, Times, cloud, launches, offer

NAME = "c5.large/on_demand"
SPOT = "c5.large/spot"


def drained(deadline_s: float | None, service_times_s: tuple[float, ...] = (0.1,)):
    """Ten requests at once, 1 s of work; the instance is told to end at 0.25 s."""
    settings = SimulationSettings(
        bouncer="none", launch=CONSTANT, drain_deadline_s=deadline_s, bin_s=1.0
    )
    backend = cloud(
        [offer(service_times_s=service_times_s)],
        arrivals=Times([0.0] * 10),
        fleet={NAME: 1},
        settings=settings,
        record=True,
    )
    backend.advance(0.25)
    (instance,) = backend.observe().instances
    backend.apply(Actions("d", terminate=(instance.instance_id,)))
    return backend


def test_without_a_deadline_all_that_an_instance_holds_is_answered() -> None:
    backend = drained(None)
    backend.advance(10.0)
    assert np.all(backend.request_results()[1] == Path.INSTANCES)
    (life,) = backend.lives()
    assert (life.left_s, life.ended_s) == (0.25, pytest.approx(1.0))


@pytest.mark.parametrize(
    ("deadline_s", "answered", "ended_s"),
    [(0.0, 2, 0.25), (0.1, 3, 0.35), (0.3, 5, 0.55), (0.75, 10, 1.0), (60.0, 10, 1.0)],
)
def test_what_is_not_answered_at_the_deadline_is_lost(
    deadline_s: float, answered: int, ended_s: float
) -> None:
    backend = drained(deadline_s)
    backend.advance(10.0)
    response_s, path = backend.request_results()
    assert np.all(path[:answered] == Path.INSTANCES)
    assert np.all(path[answered:] == Path.LOST)
    np.testing.assert_allclose(response_s[:answered], 0.1 * np.arange(1, answered + 1))
    (life,) = backend.lives()
    assert life.ended_s == pytest.approx(ended_s)
    statistics = backend.statistics()
    assert statistics.lost == 10 - answered
    late_answers = int(np.sum(response_s[:answered] > 0.5 + 1e-9))
    assert statistics.late.sum() == statistics.lost + late_answers
    # Losses become known when the instance ends.
    assert backend.observe().late.sum() == statistics.late.sum()


def test_an_open_batch_is_lost_with_its_instance() -> None:
    # Batches of up to four that take 0.3 s: two full ones, and two requests that wait.
    backend = drained(0.2, (0.3, 0.3, 0.3, 0.3))
    backend.advance(10.0)
    path = backend.request_results()[1]
    assert list(path) == [Path.INSTANCES] * 4 + [Path.LOST] * 6


def test_billing_goes_on_until_the_end_of_draining() -> None:
    times_s = [100.0] * 100
    for deadline_s, billed_s in ((None, 110.0), (4.0, 104.0)):
        settings = SimulationSettings(bouncer="none", drain_deadline_s=deadline_s)
        backend = cloud(
            [offer()], arrivals=Times(times_s), fleet={NAME: 1}, settings=settings, record=True
        )
        backend.advance(100.0)
        backend.advance(100.0 + 1e-9)
        (instance,) = backend.observe().instances
        backend.apply(Actions("d", terminate=(instance.instance_id,)))
        backend.advance(103.0)
        assert backend.observe().instances[0].state is InstanceState.DRAINING
        assert backend.observe().bill_usd == pytest.approx(0.103)
        backend.advance(300.0)
        assert backend.close().billed_s[NAME] == pytest.approx(billed_s)


@pytest.mark.parametrize("state", [InstanceState.PENDING, InstanceState.BOOTING])
def test_an_instance_that_does_not_serve_yet_ends_at_once_whatever_the_deadline(
    state: InstanceState,
) -> None:
    settings = SimulationSettings(launch=launches(pending_s=50.0), drain_deadline_s=30.0)
    backend = cloud([offer()], settings=settings)
    ids = backend.apply(Actions("up", launch={NAME: 1})).launched[NAME]
    backend.advance(20.0 if state is InstanceState.PENDING else 70.0)
    assert backend.observe().instances[0].state is state
    backend.apply(Actions("down", terminate=ids))
    assert backend.observe().instances == ()
    # 20 s of booting are billed as a minute, pending not at all.
    billed_s = 0.0 if state is InstanceState.PENDING else 60.0
    assert backend.close().billed_s[NAME] == billed_s


def test_requests_in_a_queue_are_lost_with_a_spot_instance_that_is_taken_without_notice() -> None:
    settings = SimulationSettings(
        bouncer="none", spot_notice_s=0.0, market=DrawnSettings(shock_share=0.0), launch=CONSTANT
    )
    backend = cloud(
        [offer(SPOT, hazard_per_h=1800.0)],
        arrivals=Times([0.0] * 3000),
        fleet={SPOT: 30},
        settings=settings,
        record=True,
        end_s=120.0,
    )
    backend.advance(60.0)
    assert backend.observe().instances == ()
    response_s, path = backend.request_results()
    # Each holds 10 s of work, and answers ten requests per second that it lives.
    lived_s = np.array([life.ended_s for life in backend.lives()])
    answered = np.floor(np.minimum(lived_s, 10.0) / 0.1 + 1e-9).sum()
    assert np.sum(path == Path.INSTANCES) == answered
    assert np.sum(path == Path.LOST) == backend.statistics().lost == 3000 - answered > 0
    assert np.nanmax(response_s) <= lived_s.max()


def test_a_draining_spot_instance_loses_at_its_interruption_what_it_still_holds() -> None:
    settings = SimulationSettings(
        bouncer="none",
        spot_notice_s=0.5,
        market=DrawnSettings(shock_share=0.0),
        launch=CONSTANT,
        queue_limit_s=50.0,
    )
    lost = 0
    for seed in range(10):
        backend = cloud(
            [offer(SPOT, hazard_per_h=900.0)],
            arrivals=Times([0.0] * 200),
            fleet={SPOT: 1},
            settings=settings,
            record=True,
            seed=seed,
            end_s=60.0,
        )
        backend.advance(0.1)
        ids = tuple(i.instance_id for i in backend.observe().instances)
        backend.apply(Actions("d", terminate=ids))
        backend.advance(60.0)
        response_s, path = backend.request_results()
        (life,) = backend.lives()
        assert life.ended_s is not None
        assert np.all(response_s[path == Path.INSTANCES] <= life.ended_s + 1e-9)
        assert np.sum(path == Path.INSTANCES) + np.sum(path == Path.LOST) == 200
        if life.state is InstanceState.INTERRUPTED:
            lost += int(np.sum(path == Path.LOST))
    assert lost > 0


def test_a_noticed_instance_is_replaced_while_it_serves_and_both_are_billed() -> None:
    settings = SimulationSettings(market=DrawnSettings(shock_share=0.0), launch=CONSTANT)
    backend = cloud(
        [offer(SPOT, hazard_per_h=40.0, launch_delay_s=60.0), offer(launch_delay_s=60.0)],
        arrivals=Poisson(4.0),
        fleet={SPOT: 1},
        settings=settings,
        seed=2,
    )
    while not any(i.notice for i in backend.observe().instances):
        backend.advance(backend.observe().time_s + 1.0)
    noticed_s = backend.observe().time_s
    backend.apply(Actions("replace", launch={NAME: 1}))
    backend.advance(noticed_s + 90.0)
    assert [i.state for i in backend.observe().instances] == [InstanceState.READY] * 2
    before = backend.statistics().refused.sum()
    backend.advance(noticed_s + 300.0)
    (left,) = backend.observe().instances
    assert left.offer == NAME
    # Nothing was refused for the change of instances beyond what one instance refuses anyway.
    spot, replacement = backend.lives()
    assert spot.ended_s == pytest.approx(noticed_s + 120.0, abs=1.0)
    assert spot.left_s == pytest.approx(spot.ended_s - 1.0)
    assert replacement.ready_s == noticed_s + 60.0
    assert backend.statistics().refused.sum() - before <= 0.1 * 4.0 * 210.0


def test_a_spot_instance_whose_notice_comes_while_it_boots_may_serve_for_the_rest() -> None:
    settings = SimulationSettings(market=DrawnSettings(shock_share=0.0), launch=CONSTANT)
    spot = offer(SPOT, hazard_per_h=3.6e6, launch_delay_s=30.0)
    backend = cloud([spot], arrivals=Poisson(5.0), settings=settings, end_s=200.0, record=True)
    backend.apply(Actions("d", launch={SPOT: 1}))
    backend.advance(1.0)
    (booting,) = backend.observe().instances
    assert booting.notice
    assert booting.state is InstanceState.BOOTING
    backend.advance(200.0)
    (life,) = backend.lives()
    assert life.ready_s == 30.0
    assert life.left_s == pytest.approx(119.0, abs=0.1)
    assert life.ended_s == pytest.approx(120.0, abs=0.1)
    assert life.state is InstanceState.INTERRUPTED
    answered = np.sum(backend.request_results()[1] == Path.INSTANCES)
    assert answered > 0.5 * 5.0 * 89.0
    assert backend.statistics().lost == 0
