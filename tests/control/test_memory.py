"""Own actions are remembered until a cloud that is eventually consistent shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from markopt.cloud.simulated import ApiSettings, RateLimit, SimulatedCloud, SimulationSettings
from markopt.control import Controller, ControllerSettings
from markopt.control.memory import RecentActions
from markopt.core import (
    ActionReport,
    InstanceState,
    InstanceStatus,
    Observation,
    Problem,
    RateSeries,
)
from tests.cloud.worlds import Poisson, cloud, offer
from tests.control.fake_backend import (
    SERVICE,
    FakeBackend,
    LastValue,
    Scripted,
    curves,
    make_offer,
)

OFFERS = (make_offer("small", launch_delay_s=100.0),)
CLOUD_OFFERS = (offer(launch_delay_s=100.0),)
NONE = np.zeros(0, dtype=np.int64)


def observed(time_s: float, *instances: InstanceStatus) -> Observation:
    return Observation(time_s, instances, 5.0, NONE, NONE, NONE, NONE)


def status(name: str, state: InstanceState = InstanceState.READY) -> InstanceStatus:
    return InstanceStatus(name, "small", state, 300.0)


def test_a_launch_that_is_not_listed_yet_counts_as_booting_until_it_is() -> None:
    memory = RecentActions(OFFERS, remember_s=120.0)
    memory.applied(0.0, ActionReport("d", {"small": ("i-1",)}))
    (believed,) = memory.complete(observed(30.0)).instances
    assert believed == InstanceStatus("i-1", "small", InstanceState.BOOTING, 30.0, 70.0)
    (overdue,) = memory.complete(observed(110.0)).instances
    assert overdue.ready_in_s == 1.0
    listed = observed(115.0, status("i-1"))
    assert memory.complete(listed) is listed
    # Listed once, it is gone when it is no longer listed.
    assert memory.complete(observed(118.0)).instances == ()


def test_a_launch_that_never_appears_is_given_up() -> None:
    memory = RecentActions(OFFERS, remember_s=120.0)
    memory.applied(0.0, ActionReport("d", {"small": ("i-1",)}))
    assert len(memory.complete(observed(119.0)).instances) == 1
    assert memory.complete(observed(120.0)).instances == ()


def test_an_instance_that_was_told_to_end_counts_as_draining_however_it_is_listed() -> None:
    memory = RecentActions(OFFERS, remember_s=120.0)
    memory.applied(0.0, ActionReport("d", terminated=("i-1",)))
    seen = memory.complete(observed(30.0, status("i-1"), status("i-2")))
    assert [i.state for i in seen.instances] == [InstanceState.DRAINING, InstanceState.READY]
    # After a while the listing is believed: it may not have ended.
    assert memory.complete(observed(130.0, status("i-1"))).instances[0].state == "ready"


def test_a_launch_that_was_called_off_before_it_was_listed_counts_as_draining() -> None:
    memory = RecentActions(OFFERS, remember_s=120.0)
    memory.applied(0.0, ActionReport("d", {"small": ("i-1",)}))
    memory.applied(10.0, ActionReport("e", terminated=("i-1",)))
    assert [i.state for i in memory.complete(observed(20.0)).instances] == ["draining"]


class LateBackend(FakeBackend):
    """Lists instances as they were ``late_s`` before."""

    late_s = 70.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.listings: list[tuple[float, tuple[InstanceStatus, ...]]] = []

    def observe(self) -> Observation:
        seen = super().observe()
        self.listings.append((seen.time_s, seen.instances))
        old = [i for t, i in self.listings if t <= seen.time_s - self.late_s]
        return dataclasses.replace(seen, instances=old[-1] if old else ())


def rising_then_falling(problem: Problem) -> dict[str, int]:
    return {"small": 4 if problem.time_s < 300.0 else 2}


def run(remember_s: float) -> LateBackend:
    backend = LateBackend(OFFERS)
    history = RateSeries(-60.0, 60.0, [5.0])
    controller = Controller(
        service=SERVICE,
        offers=OFFERS,
        function=None,
        required_throughput=curves(OFFERS),
        forecaster=LastValue(backend.calls).fit(history),
        planner=Scripted(rising_then_falling, calls=backend.calls),
        backend=backend,
        settings=ControllerSettings(
            horizon=3, samples=5, remember_actions_s=remember_s, suspect_silence_s=0.0
        ),
        history=history,
        rng=np.random.default_rng(1),
    )
    controller.run(0.0, 600.0)
    return backend


def test_the_loop_neither_launches_nor_ends_twice_for_stale_listings() -> None:
    backend = run(120.0)
    assert backend.launches == 4
    ended = [name for actions in backend.applied for name in actions.terminate]
    assert len(ended) == len(set(ended)) == 2


def test_without_a_memory_it_would() -> None:
    # The backend of the test above is one on which forgetting matters.
    with pytest.raises(KeyError):  # an instance that has ended is told to end again
        run(0.0)


def controlled(backend: SimulatedCloud, rule: Callable[[Problem], dict[str, int]]) -> None:
    """Let the loop follow a rule on a simulated cloud for 20 minutes."""
    history = RateSeries(-60.0, 60.0, [20.0])
    calls: list[str] = []
    Controller(
        service=SERVICE,
        offers=CLOUD_OFFERS,
        function=None,
        required_throughput=curves(CLOUD_OFFERS),
        forecaster=LastValue(calls).fit(history),
        planner=Scripted(rule, calls=calls),
        backend=backend,
        settings=ControllerSettings(horizon=3, samples=5, monitor=False, remember_actions_s=300.0),
        history=history,
        rng=np.random.default_rng(1),
    ).run(0.0, 1200.0)


def simulated(**api: Any) -> SimulatedCloud:
    settings = SimulationSettings(api=ApiSettings(**api))
    return cloud(CLOUD_OFFERS, arrivals=Poisson(20.0), end_s=1200.0, settings=settings)


@pytest.mark.parametrize("visible_after_s", [0.0, 20.0])
def test_a_steady_target_on_a_simulated_cloud_takes_the_same_launches_however_late_they_show(
    visible_after_s: float,
) -> None:
    targets = {300.0: 6, 900.0: 3}

    def rule(problem: Problem) -> dict[str, int]:
        count = next((n for end_s, n in targets.items() if problem.time_s < end_s), 5)
        return {CLOUD_OFFERS[0].name: count}

    backend = simulated(visible_after_s=visible_after_s)
    controlled(backend, rule)
    assert backend.close().launches == 6 + 2


def test_refused_actions_are_asked_for_again_until_they_are_done() -> None:
    limit = RateLimit(instances_burst=2.0, instances_per_s=0.01)
    backend = simulated(launch=limit, terminate=limit, error_share=0.3, visible_after_s=10.0)
    name = CLOUD_OFFERS[0].name
    controlled(backend, lambda problem: {name: 5 if problem.time_s < 600.0 else 3})
    # Two at once and 0.6 a minute, where the call does not fail: in ten minutes five are there.
    lives = backend.lives()
    assert len(lives) == backend.close().launches == 5
    assert len({life.launched_s for life in lives}) > 2
    assert sum(life.ended_s is None for life in lives) == 3
