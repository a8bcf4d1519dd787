from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.control import actuate
from markopt.core import Actions, InstanceState, InstanceStatus, Observation
from markopt.errors import PlanningError
from tests.control.fake_backend import NOTICE_S, FakeBackend, make_offer, make_plan

OFFERS = (
    make_offer("small", saturation_rps=10.0, price_usd_per_s=1e-4, launch_delay_s=100.0),
    make_offer("large", saturation_rps=35.0, price_usd_per_s=5e-4, launch_delay_s=160.0),
    make_offer("spot", saturation_rps=10.0, price_usd_per_s=3e-5, launch_delay_s=40.0),
)
NAMES = [offer.name for offer in OFFERS]
RPS = {offer.name: offer.saturation_rps for offer in OFFERS}

fleets = st.lists(
    st.tuples(st.sampled_from(NAMES), st.floats(0.0, 400.0), st.booleans()), max_size=12
)
targets = st.fixed_dictionaries({name: st.integers(0, 6) for name in NAMES})


def cloud(fleet):
    backend = FakeBackend(OFFERS)
    for offer, age_s, noticed in fleet:
        ready = age_s >= backend.offers[offer].launch_delay_s
        backend.add(offer, age_s=age_s, notice_end_s=NOTICE_S if noticed and ready else None)
    return backend


def seen(*instances, warm=0):
    return Observation(0.0, tuple(instances), 5.0, [], [], [], [], warm_functions=warm)


def instance(name, offer="small", *, age_s=1000.0, ready_in_s=0.0, state=None, notice=False):
    if state is None:
        state = InstanceState.BOOTING if ready_in_s else InstanceState.READY
    return InstanceStatus(name, offer, state, age_s, ready_in_s, notice)


def decide(target, observation, **settings) -> Actions:
    return actuate(
        make_plan(target, warm=settings.pop("warm", 0)),
        observation,
        decision_id="d",
        offers=OFFERS,
        **settings,
    )


def lasting_ready_rps(observation):
    return sum(
        RPS[i.offer]
        for i in observation.instances
        if i.state is InstanceState.READY and not i.notice
    )


@given(fleets, targets, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_fleet_reaches_the_target_when_time_passes(fleet, target, keep, share):
    backend = cloud(fleet)
    plan = make_plan(target, warm=3)
    for step in range(6):
        actions = actuate(
            plan,
            backend.observe(),
            decision_id=f"d{step}",
            offers=OFFERS,
            keep_until_minimum=keep,
            make_before_break_share=share,
        )
        backend.apply(actions)
        backend.advance(backend.now_s + 60.0)
    last = backend.observe()
    assert Counter(i.offer for i in last.instances) == Counter(
        {k: v for k, v in target.items() if v}
    )
    assert last.warm_functions == 3


@given(fleets, targets)
def test_one_plan_applied_again_at_once_changes_nothing_more(fleet, target):
    backend = cloud(fleet)
    first = decide(target, backend.observe())
    assert decide(target, backend.observe()) == first
    backend.apply(first)
    again = decide(target, backend.observe())
    assert not any(again.launch.values())
    assert again.terminate == ()
    assert again.warm_functions is None


@given(fleets, targets, st.booleans(), st.sampled_from([0.0, 1.0]))
def test_never_more_than_the_excess_is_launched_or_ended(fleet, target, keep, share):
    observation = cloud(fleet).observe()
    actions = decide(target, observation, keep_until_minimum=keep, make_before_break_share=share)
    by_id = {i.instance_id: i for i in observation.instances}
    assert len(set(actions.terminate)) == len(actions.terminate)
    for name in NAMES:
        counted = sum(i.offer == name and not i.notice for i in observation.instances)
        ended = sum(by_id[i].offer == name and not by_id[i].notice for i in actions.terminate)
        assert actions.launch.get(name, 0) == max(target[name] - counted, 0)
        assert ended <= max(counted - target[name], 0)


@given(fleets, targets)
def test_make_before_break_keeps_ready_throughput(fleet, target):
    backend = cloud(fleet)
    before_rps = lasting_ready_rps(backend.observe())
    backend.apply(decide(target, backend.observe()))
    wanted_rps = sum(RPS[name] * count for name, count in target.items())
    after_rps = lasting_ready_rps(backend.observe())
    assert after_rps >= min(before_rps, wanted_rps) - 1e-6


@given(fleets, targets)
def test_a_frozen_scale_in_ends_nothing_and_launches_as_usual(fleet, target):
    observation = cloud(fleet).observe()
    frozen = decide(target, observation, scale_in=False)
    assert frozen.terminate == ()
    assert frozen.launch == decide(target, observation).launch


@given(fleets, targets)
def test_no_instance_within_its_minimum_billed_time_ends(fleet, target):
    observation = cloud(fleet).observe()
    ages = {i.instance_id: i.age_s for i in observation.instances}
    for name in decide(target, observation).terminate:
        assert ages[name] >= 60.0


def test_what_boots_ends_before_what_serves_and_the_newest_first():
    observation = seen(
        instance("old"), instance("a", age_s=70.0, ready_in_s=30.0), instance("b", ready_in_s=20.0)
    )
    assert decide({"small": 2}, observation).terminate == ("a",)
    assert decide({"small": 1}, observation).terminate == ("a", "b")


def test_the_oldest_ready_instance_ends_first():
    observation = seen(instance("young", age_s=300.0), instance("old", age_s=900.0))
    assert decide({"small": 1}, observation).terminate == ("old",)


def test_a_pending_instance_is_not_billed_and_may_end_at_once():
    young = instance("p", age_s=1.0, ready_in_s=99.0, state=InstanceState.PENDING)
    assert decide({"small": 0}, seen(young)).terminate == ("p",)
    booting = instance("b", age_s=1.0, ready_in_s=99.0)
    assert decide({"small": 0}, seen(booting)).terminate == ()
    assert decide({"small": 0}, seen(booting), keep_until_minimum=False).terminate == ("b",)


def test_no_ready_instance_ends_in_place_of_a_kept_booting_one():
    observation = seen(instance("ready"), instance("boots", age_s=5.0, ready_in_s=95.0))
    assert decide({"small": 1}, observation, make_before_break_share=0.0).terminate == ()


def test_a_noticed_instance_is_replaced_at_once_and_serves_until_then():
    observation = seen(instance("leaving", notice=True))
    actions = decide({"small": 1}, observation)
    assert actions.launch == {"small": 1}
    assert actions.terminate == ()


def test_a_noticed_instance_ends_once_its_replacement_is_ready():
    observation = seen(instance("leaving", notice=True), instance("new", age_s=110.0))
    assert decide({"small": 1}, observation).terminate == ("leaving",)


def test_ready_instances_wait_for_the_replacements_of_another_offer():
    fleet = [instance(f"s{i}") for i in range(4)]
    waiting = decide({"small": 0, "large": 1}, seen(*fleet))
    assert (waiting.launch, waiting.terminate) == ({"large": 1}, ())
    booted = seen(*fleet, instance("l", "large"))
    assert set(decide({"small": 0, "large": 1}, booted).terminate) == {"s0", "s1", "s2", "s3"}


def test_half_a_break_share_lets_half_of_the_throughput_go():
    fleet = [instance(f"s{i}", "spot") for i in range(4)]
    actions = decide({"spot": 0, "small": 4}, seen(*fleet), make_before_break_share=0.5)
    assert len(actions.terminate) == 2


def test_the_dearest_throughput_ends_first():
    observation = seen(instance("s", "spot"), instance("d", "small"), instance("n", "spot"))
    actions = decide({"spot": 0, "small": 0, "large": 1}, observation)
    assert actions.terminate == ()
    loose = decide(
        {"spot": 1, "small": 0, "large": 1}, observation, make_before_break_share=20.0 / 45.0
    )
    assert loose.terminate == ("d",)


def test_draining_instances_and_offers_outside_the_plan_are_left_alone():
    observation = seen(instance("going", state=InstanceState.DRAINING), instance("other", "large"))
    actions = decide({"small": 1}, observation)
    assert actions.launch == {"small": 1}
    assert actions.terminate == ()


def test_warm_functions_change_only_where_they_differ():
    assert decide({"small": 0}, seen(warm=4), warm=4).warm_functions is None
    assert decide({"small": 0}, seen(warm=4), warm=2).warm_functions == 2
    assert decide({"small": 0}, seen(warm=4), warm=2, scale_in=False).warm_functions is None
    assert decide({"small": 0}, seen(warm=4), warm=6, scale_in=False).warm_functions == 6


def test_what_an_earlier_configuration_left_ends_once_others_serve_the_target():
    strangers = (
        instance("i-old", "m4.old"),
        instance("i-new", "m4.old", ready_in_s=50.0),
        instance("i-out", "m4.old", state=InstanceState.DRAINING),
    )
    target = dict.fromkeys(NAMES, 0) | {"small": 1}
    booting = seen(instance("i-1", ready_in_s=60.0), *strangers)
    ready = seen(instance("i-1"), *strangers)
    assert decide(target, booting, end_unknown=True).terminate == ()
    assert decide(target, ready, end_unknown=True).terminate == ("i-old", "i-new")
    assert decide(target, ready, end_unknown=True, scale_in=False).terminate == ()
    assert decide(target, ready).terminate == ()


def test_a_plan_for_an_unknown_offer_is_refused():
    with pytest.raises(PlanningError, match="offer 'huge' is not on offer"):
        decide({"huge": 1}, seen())
