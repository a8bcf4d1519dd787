"""What every backend owes the controller, as one suite that each backend's tests inherit.

A subclass provides the fixture ``world``: a backend at its start, what can be launched on it, and
how far its time may run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from markopt.cloud.protocol import Backend
from markopt.core import Actions, InstanceState, Observation
from markopt.errors import BackendError, MarkoptError

GONE = (InstanceState.TERMINATED, InstanceState.INTERRUPTED)


@dataclass
class World:
    """A backend under test; ``sees_requests`` where requests arrive on it by themselves."""

    backend: Backend
    offer: str
    start_s: float
    step_s: float
    steps: int
    sees_requests: bool = True


class BackendContract:
    """One test per duty."""

    @pytest.fixture
    def new_world(self) -> Callable[[], World]:
        raise NotImplementedError

    @pytest.fixture
    def world(self, new_world: Callable[[], World]) -> World:
        return new_world()

    @staticmethod
    def run(world: World, steps: int | None = None) -> list[Observation]:
        seen = []
        for step in range(1, (steps or world.steps) + 1):
            world.backend.advance(world.start_s + step * world.step_s)
            seen.append(world.backend.observe())
        return seen

    def test_time_is_what_it_was_advanced_to(self, world: World) -> None:
        assert world.backend.observe().time_s == pytest.approx(world.start_s)
        for step, seen in enumerate(self.run(world), 1):
            assert seen.time_s == pytest.approx(world.start_s + step * world.step_s)

    def test_time_never_goes_back(self, world: World) -> None:
        world.backend.advance(world.start_s + 2 * world.step_s)
        with pytest.raises(BackendError):
            world.backend.advance(world.start_s + world.step_s)
        assert world.backend.observe().time_s == pytest.approx(world.start_s + 2 * world.step_s)

    def test_advancing_to_now_changes_nothing(self, world: World) -> None:
        self.run(world, 1)
        before = world.backend.observe()
        world.backend.advance(before.time_s)
        after = world.backend.observe()
        assert after.instances == before.instances
        assert after.bill_usd == before.bill_usd
        assert len(after.arrivals) == 0

    def test_observing_twice_shows_each_count_once(self, world: World) -> None:
        self.run(world, 1)
        world.backend.advance(world.start_s + 2 * world.step_s)
        first, second = world.backend.observe(), world.backend.observe()
        assert len(first.arrivals) > 0
        for name in ("arrivals", "late", "refused", "spilled"):
            assert len(getattr(first, name)) == len(first.arrivals)
            assert len(getattr(second, name)) == 0
        assert second.instances == first.instances

    def test_counts_do_not_depend_on_how_often_one_looks(
        self, new_world: Callable[[], World]
    ) -> None:
        often, once = new_world(), new_world()
        seen = self.run(often)
        once.backend.advance(once.start_s + once.steps * once.step_s)
        whole = once.backend.observe()
        for name in ("arrivals", "late", "refused", "spilled"):
            parts = np.concatenate([getattr(part, name) for part in seen])
            np.testing.assert_array_equal(parts, getattr(whole, name))
        if often.sees_requests:
            assert whole.arrivals.sum() > 0

    def test_a_launch_appears_at_once_as_pending_and_gets_ready(self, world: World) -> None:
        report = world.backend.apply(Actions("d1", launch={world.offer: 2}))
        assert len(report.launched[world.offer]) == 2
        assert not report.refused
        mine = set(report.launched[world.offer])
        now = {i.instance_id: i for i in world.backend.observe().instances}
        assert mine <= set(now)
        assert all(now[i].state in (InstanceState.PENDING, InstanceState.BOOTING) for i in mine)
        assert all(now[i].ready_in_s > 0.0 for i in mine)
        assert all(now[i].offer == world.offer for i in mine)
        last = {i.instance_id: i for i in self.run(world)[-1].instances}
        assert all(last[i].state is InstanceState.READY for i in mine)
        assert all(last[i].ready_in_s == 0.0 for i in mine)

    def test_applying_a_decision_twice_changes_nothing_more(self, world: World) -> None:
        actions = Actions("d1", launch={world.offer: 3}, warm_functions=2)
        first = world.backend.apply(actions)
        before = world.backend.observe()
        assert world.backend.apply(actions) == first
        assert world.backend.observe().instances == before.instances
        self.run(world, 1)
        assert world.backend.apply(actions) == first
        again = world.backend.apply(Actions("d2", launch={world.offer: 3}))
        assert set(again.launched[world.offer]).isdisjoint(first.launched[world.offer])

    def test_a_decision_to_terminate_twice_ends_the_instance_once(self, world: World) -> None:
        ids = world.backend.apply(Actions("d1", launch={world.offer: 2})).launched[world.offer]
        self.run(world)
        actions = Actions("d2", terminate=ids[:1])
        first = world.backend.apply(actions)
        assert first.terminated == ids[:1]
        assert world.backend.apply(actions) == first

    def test_no_instance_id_is_used_twice(self, world: World) -> None:
        seen: list[str] = []
        for step in range(1, world.steps + 1):
            report = world.backend.apply(Actions(f"up{step}", launch={world.offer: 1}))
            seen += report.launched[world.offer]
            world.backend.apply(Actions(f"down{step}", terminate=report.launched[world.offer]))
            world.backend.advance(world.start_s + step * world.step_s)
        assert len(set(seen)) == len(seen) == world.steps

    def test_terminating_what_does_not_exist_is_refused_by_name(self, world: World) -> None:
        report = world.backend.apply(Actions("d1", terminate=("i-none",)))
        assert report.terminated == ()
        assert len(report.refused) == 1
        assert "i-none" in report.refused[0]

    def test_an_unknown_offer_is_an_error_that_changes_nothing(self, world: World) -> None:
        before = world.backend.observe().instances
        with pytest.raises(MarkoptError, match="no/such"):
            world.backend.apply(Actions("d1", launch={world.offer: 1, "no/such": 1}))
        assert world.backend.observe().instances == before

    def test_a_negative_count_is_an_error_that_changes_nothing(self, world: World) -> None:
        before = world.backend.observe()
        with pytest.raises(MarkoptError, match="negative"):
            world.backend.apply(Actions("d1", launch={world.offer: -1}))
        with pytest.raises(MarkoptError, match="negative"):
            world.backend.apply(Actions("d2", warm_functions=-1))
        after = world.backend.observe()
        assert after.instances == before.instances
        assert after.warm_functions == before.warm_functions

    def test_empty_actions_change_nothing(self, world: World) -> None:
        before = world.backend.observe()
        report = world.backend.apply(Actions("d1"))
        assert report.launched == {}
        assert report.terminated == report.refused == ()
        assert world.backend.observe().instances == before.instances

    def test_what_has_ended_is_no_longer_listed(self, world: World) -> None:
        ids = world.backend.apply(Actions("d1", launch={world.offer: 1})).launched[world.offer]
        self.run(world, world.steps - 1)
        world.backend.apply(Actions("d2", terminate=ids))
        world.backend.advance(world.start_s + world.steps * world.step_s)
        left = world.backend.observe().instances
        assert ids[0] not in {i.instance_id for i in left}
        assert all(i.state not in GONE for i in left)

    def test_the_bill_never_falls_and_grows_while_anything_runs(self, world: World) -> None:
        world.backend.apply(Actions("d1", launch={world.offer: 2}))
        bills = [seen.bill_usd for seen in self.run(world)]
        assert bills[0] >= 0.0
        assert all(a < b for a, b in pairwise(bills))

    def test_the_ledger_sums_to_the_last_bill(self, world: World) -> None:
        world.backend.apply(Actions("d1", launch={world.offer: 2}, warm_functions=1))
        last = self.run(world)[-1]
        ledger = world.backend.close()
        after = world.backend.observe()
        assert ledger.total_usd == pytest.approx(after.bill_usd, rel=1e-12)
        # Closing bills at most what minimum durations leave open.
        assert ledger.total_usd >= last.bill_usd * (1 - 1e-12)
        assert ledger.launches == 2
        assert all(cost >= 0.0 for cost in ledger.cost_usd.values())
        assert ledger.billed_s[world.offer] > 0.0

    def test_closing_ends_everything_and_closing_again_bills_no_more(self, world: World) -> None:
        world.backend.apply(Actions("d1", launch={world.offer: 2}))
        self.run(world)
        ledger = world.backend.close()
        assert world.backend.observe().instances == ()
        assert world.backend.close() == ledger
