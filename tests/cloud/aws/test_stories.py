"""Whatever happens in whatever order, the back end finds back to what was decided.

A model-based test: launches, ends, crashes in the middle of calls, refusals, lost answers, late
listings, vanished and noticed instances. After a calm while, what runs is what was asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from unittest.mock import patch

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from markopt.cloud.aws import AwsCloud
from markopt.cloud.aws.backend import AwsBackend
from markopt.cloud.aws.tags import DECISION, LEAVING, OFFER
from markopt.cloud.clock import SteppedClock
from markopt.core import Actions, InstanceState
from markopt.errors import MarkoptError
from tests.cloud.aws.fake_aws import NAME, Died, FakeAws
from tests.cloud.aws.worlds import ON_DEMAND, QUICK, SPOT, deployment
from tests.fuzzing import examples

OFFERS = (ON_DEMAND.name, SPOT.name)
LOOK_S = 10.0
CHANGES = [
    "run_instances",
    "create_tags",
    "terminate_instances",
    "register_targets",
    "deregister_targets",
    "delete_message_batch",
    "modify_listener",
]
WORST = ["throttled", "lost", "refused", "dies before", "dies after", "none", "none"]
GOING = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY)


class Stories(RuleBasedStateMachine):
    """The model: how many of each offer every decision asked for, and what was told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.aws = FakeAws()
        self.clock = SteppedClock(3600.0)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.to_end: set[str] = set()
        self.vanished: set[str] = set()
        self.taken: set[str] = set()
        self.decisions = 0
        self.unfinished: Actions | None = None
        self.bill_usd = 0.0
        self.backend = self.open()

    def open(self) -> AwsBackend:
        cloud = AwsCloud(retry=QUICK, look_period_s=LOOK_S, market_prices=False, stale_s=1e9)
        aws = self.aws
        with patch("markopt.cloud.aws.opening.new_client", lambda *_: aws.client):
            self.bill_usd = 0.0  # a bill begins with its process
            for _ in range(1 + len(self.aws.faults)):
                try:
                    return cloud.open(deployment(NAME, clock=self.clock))
                except (Died, MarkoptError):
                    pass
            return cloud.open(deployment(NAME, clock=self.clock))

    def survive(self, act: Callable[[], object]) -> None:
        """Do something; a process that dies of it is followed by another."""
        try:
            act()
        except Died:
            self.backend = self.open()

    @rule(
        counts=st.dictionaries(st.sampled_from(OFFERS), st.integers(1, 3), max_size=2),
        share=st.none() | st.floats(0.0, 1.0),
        data=st.data(),
    )
    def decide(self, counts: dict[str, int], share: float | None, data: st.DataObject) -> None:
        """Launch some, end some of what is seen; a death leaves the decision unfinished."""
        self.decisions += 1
        seen: list[str] = []
        self.survive(
            lambda: seen.extend(one.instance_id for one in self.backend.observe().instances)
        )
        ends = data.draw(
            st.lists(st.sampled_from(seen), max_size=2, unique=True) if seen else st.just([])
        )
        actions = Actions(f"d{self.decisions}", counts, tuple(ends), function_share=share)
        self.asked.update({(actions.decision_id, name): n for name, n in counts.items()})
        self.unfinished = actions
        self.survive(lambda: self.carry_out(actions))

    def carry_out(self, actions: Actions) -> None:
        report = self.backend.apply(actions)
        assert self.backend.apply(actions) == report
        self.to_end |= set(report.terminated)
        for name, ids in report.launched.items():
            assert len(ids) <= actions.launch[name]
        self.unfinished = None

    @precondition(lambda self: self.unfinished is not None)
    @rule()
    def take_up_again(self) -> None:
        """Carry out what a process that died had begun, as the journal has it done."""
        actions = self.unfinished
        assert actions is not None
        self.survive(lambda: self.carry_out(actions))

    @rule(looks=st.integers(1, 4))
    def wait(self, looks: int) -> None:
        self.survive(lambda: self.backend.advance(self.clock.time_s + looks * LOOK_S))

    @rule(faults=st.lists(st.sampled_from(WORST), max_size=12))
    def trouble_ahead(self, faults: list[str]) -> None:
        self.aws.faults = faults

    @rule(
        operation=st.sampled_from(CHANGES),
        moment=st.sampled_from(["dies before", "dies after"]),
        hidden=st.integers(0, 3),
    )
    def death_ahead(self, operation: str, moment: str, hidden: int) -> None:
        """Let the process die of its next change, what it launches being listed late."""
        self.aws.death, self.aws.hidden, self.aws.faults = (operation, moment), hidden, []

    @rule(hidden=st.integers(0, 3), drains=st.integers(0, 3))
    def change_of_manners(self, hidden: int, drains: int) -> None:
        self.aws.hidden, self.aws.drains = hidden, drains

    @rule(kind=st.sampled_from(["c5.large", "c5.xlarge"]), left=st.none() | st.integers(0, 2))
    def change_of_capacity(self, kind: str, left: int | None) -> None:
        self.aws.capacity.pop(kind, None)
        if left is not None:
            self.aws.capacity[kind] = left

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive())))
        self.aws.machines[name].state = "terminated"
        self.aws.machines[name].target = "unused"
        self.vanished.add(name)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def give_notice(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive())))
        kind = "EC2 Spot Instance Interruption Warning"
        event = {"source": "aws.ec2", "detail-type": kind, "detail": {"instance-id": name}}
        self.aws.queue[f"m{len(self.aws.calls)}"] = json.dumps(event)
        self.taken.add(name)

    @rule()
    def another_process(self) -> None:
        self.backend = self.open()

    @rule()
    def calm(self) -> None:
        """After a calm while nothing is on its way out, and all that runs serves and is seen."""
        self.aws.faults, self.aws.death = [], None
        if self.unfinished is not None:
            self.carry_out(self.unfinished)
        self.backend.advance(self.clock.time_s + 200.0)
        machines = {name: self.aws.machines[name] for name in self.alive()}
        assert not any(LEAVING in machine.tags for machine in machines.values())
        assert all(machine.target == "healthy" for machine in machines.values())
        assert self.aws.queue == {}
        seen = {one.instance_id: one for one in self.backend.observe().instances}
        assert set(seen) == set(machines)
        assert all(one.state in GOING for one in seen.values())
        assert not self.to_end & set(seen)
        assert not self.taken & set(seen)
        given_up = self.vanished | self.to_end | self.taken
        made = {name for name in self.aws.machines if name not in given_up}
        assert made == set(seen), "nothing ends that nobody ended"

    def alive(self) -> set[str]:
        return {
            name
            for name, machine in self.aws.machines.items()
            if machine.state in ("pending", "running")
        }

    @invariant()
    def no_launch_is_made_twice_or_by_nobody(self) -> None:
        made = Counter(
            (machine.tags[DECISION], machine.tags[OFFER]) for machine in self.aws.machines.values()
        )
        assert made <= self.asked

    @invariant()
    def the_bill_never_falls(self) -> None:
        if not self.aws.faults and self.aws.death is None:
            bill_usd = self.backend.observe().bill_usd
            assert bill_usd >= self.bill_usd - 1e-12
            self.bill_usd = bill_usd


TestStories = Stories.TestCase
TestStories.settings = hypothesis_settings(
    max_examples=examples(40), stateful_step_count=25, deadline=None
)
