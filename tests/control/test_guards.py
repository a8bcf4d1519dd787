from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.control.guards import Guards, GuardSettings
from markopt.control.guards.spending import DAY_S, Spending
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    InstanceState,
    InstanceStatus,
    Observation,
)
from markopt.errors import ConfigError
from tests.control.fake_backend import make_offer

OFFERS = (
    make_offer("large", saturation_rps=30.0, price_usd_per_s=4e-4, vcpus=8.0),
    make_offer("small", saturation_rps=10.0, price_usd_per_s=1e-4, vcpus=2.0),
)
PRICES = {offer.name: offer.price_usd_per_s for offer in OFFERS}
VCPUS = {offer.name: offer.vcpus for offer in OFFERS}
FUNCTION = FunctionOffer("f", 1.0, 0.1, 1e-5, 1e-7, warm_price_usd_per_s=1e-5)
STAYING = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY)


def seen(instances=(), *, time_s=600.0, bill_usd=0.0, warm=0, bins=1):
    counts = np.full(bins, 5)
    none = np.zeros(bins, dtype=np.int64)
    return Observation(
        time_s,
        tuple(
            InstanceStatus(f"i-{n}", offer, state, 500.0 + n)
            for n, (offer, state) in enumerate(instances)
        ),
        5.0,
        counts,
        none,
        none,
        none,
        warm_functions=warm,
        bill_usd=bill_usd,
    )


def judge(actions, observation=None, **rules):
    guards = Guards(GuardSettings(**rules), OFFERS, FUNCTION)
    guards.saw(observation or seen())
    return guards.judge(actions)


def ready(*offers):
    return [(offer, InstanceState.READY) for offer in offers]


FLEETS = st.lists(
    st.tuples(st.sampled_from(["small", "large", "strange"]), st.sampled_from(InstanceState)),
    max_size=8,
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "max_usd_per_h": st.floats(0.0, 10.0),
        "max_usd_per_day": st.floats(0.0, 40.0),
        "max_launches": st.integers(0, 5),
        "max_terminations": st.integers(0, 5),
        "min_instances": st.integers(0, 5),
        "max_instances": st.integers(5, 12),
        "max_vcpus": st.floats(0.0, 60.0),
    },
)


@given(
    fleet=FLEETS,
    launch=st.dictionaries(st.sampled_from(["small", "large"]), st.integers(0, 6)),
    ends=st.lists(st.integers(0, 9), unique=True, max_size=8),
    warm=st.none() | st.integers(0, 40),
    warm_now=st.integers(0, 40),
    bill_usd=st.floats(0.0, 60.0),
    rules=RULES,
)
@settings(max_examples=300, deadline=None)
def test_what_is_allowed_is_wanted_and_within_every_limit(
    fleet, launch, ends, warm, warm_now, bill_usd, rules
):
    limits = GuardSettings(**rules)
    guards = Guards(limits, OFFERS, FUNCTION)
    guards.saw(seen(fleet, time_s=100.0, warm=warm_now))
    now = seen(fleet, bill_usd=bill_usd, warm=warm_now)
    guards.saw(now)
    wanted = Actions("d", launch, tuple(f"i-{n}" for n in ends), warm)
    verdict = guards.judge(wanted)
    allowed = verdict.allowed

    assert all(allowed.launch[name] <= launch[name] for name in allowed.launch)
    assert set(allowed.terminate) <= set(wanted.terminate)
    fields = {field.name for field in dataclasses.fields(GuardSettings)}
    assert {cut.rule for cut in verdict.cuts} <= fields
    assert (allowed == dataclasses.replace(wanted, launch=_nonzero(launch))) == (not verdict.cuts)

    launched = sum(allowed.launch.values())
    gone = (InstanceState.TERMINATED, InstanceState.INTERRUPTED)
    paid = [offer for offer, state in fleet if state not in gone]
    after = paid + [name for name, count in allowed.launch.items() for _ in range(count)]
    warm_after = warm_now if allowed.warm_functions is None else allowed.warm_functions
    usd_per_s = sum(PRICES.get(name, 0.0) for name in after)
    usd_per_s += warm_after * FUNCTION.warm_price_usd_per_s
    grown = launched or warm_after > warm_now
    if limits.max_launches is not None:
        assert launched <= limits.max_launches
    if limits.max_instances is not None and launched:
        assert len(after) <= limits.max_instances
    if limits.max_vcpus is not None and launched:
        assert sum(VCPUS.get(name, 0.0) for name in after) <= limits.max_vcpus + 1e-6
    if limits.max_usd_per_h is not None and grown:
        assert 3600.0 * usd_per_s <= limits.max_usd_per_h + 1e-6
    if limits.max_usd_per_day is not None and grown:
        assert bill_usd + 3600.0 * usd_per_s <= limits.max_usd_per_day + 1e-6
    if limits.max_terminations is not None:
        assert len(allowed.terminate) <= limits.max_terminations
    staying = {f"i-{n}" for n, (_, state) in enumerate(fleet) if state in STAYING}
    ended = staying & set(allowed.terminate)
    assert not ended or len(staying) - len(ended) >= limits.min_instances


def _nonzero(launch):
    return {name: count for name, count in launch.items() if count}


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ({"max_launches": 2}, {"small": 2}),
        ({"max_instances": 3}, {"small": 2}),
        ({"max_vcpus": 14.0}, {"small": 3}),
        ({"max_usd_per_h": 3600.0 * 9e-4}, {"small": 3, "large": 1}),
        ({"max_usd_per_day": 3600.0 * 3e-4}, {"small": 2}),
    ],
)
def test_the_cheapest_launches_per_request_are_kept_and_the_rule_is_named(rules, allowed):
    verdict = judge(Actions("d", {"large": 2, "small": 3}), seen(ready("small")), **rules)
    assert verdict.allowed.launch == allowed
    assert {cut.rule for cut in verdict.cuts} == set(rules)
    (cut,) = verdict.cuts
    assert f"launches {5 - sum(allowed.values())} of 5 less" in cut.text


def test_an_instance_that_drains_is_paid_for():
    fleet = [("small", InstanceState.DRAINING)] * 3
    verdict = judge(Actions("d", {"small": 1}), seen(fleet), max_usd_per_h=3600.0 * 3.5e-4)
    assert verdict.allowed.launch == {}


def test_the_floor_counts_what_stays():
    fleet = [*ready("small", "small"), ("small", InstanceState.DRAINING)]
    verdict = judge(Actions("d", {}, ("i-0", "i-1")), seen(fleet), min_instances=1)
    assert verdict.allowed.terminate == ("i-0",)
    assert [cut.rule for cut in verdict.cuts] == ["min_instances"]


def test_without_load_data_nothing_is_ended_and_functions_stay_warm():
    guards = Guards(GuardSettings(stale_after_s=60.0), OFFERS, FUNCTION)
    wanted = Actions("d", {"small": 1}, ("i-0",), 2)
    guards.saw(seen(ready("small"), time_s=0.0, warm=5))
    guards.saw(seen(ready("small"), time_s=60.0, warm=5, bins=0))
    assert guards.judge(wanted).cuts == ()
    guards.saw(seen(ready("small"), time_s=61.0, warm=5, bins=0))
    verdict = guards.judge(wanted)
    assert [cut.rule for cut in verdict.cuts] == ["stale_after_s"] * 2
    assert verdict.allowed == Actions("d", {"small": 1})
    guards.saw(seen(ready("small"), time_s=65.0, warm=5))
    assert guards.judge(wanted).cuts == ()


def test_the_kill_switch_stops_everything_while_it_exists(tmp_path):
    switch = tmp_path / "stop"
    guards = Guards(GuardSettings(kill_switch=str(switch)), OFFERS, FUNCTION)
    guards.saw(seen(ready("small")))
    wanted = Actions("d", {"small": 1}, ("i-0",), 2, 0.5, reason="why")
    assert guards.judge(wanted).allowed == wanted
    switch.write_text("\x1b[31mincident 7\nmore")
    verdict = guards.judge(wanted)
    assert verdict.allowed == Actions("d")
    assert verdict.allowed.reason == "why"
    (cut,) = verdict.cuts
    assert cut.rule == "kill_switch"
    assert cut.text.endswith("exists: [31mincident 7")
    switch.unlink()
    assert guards.judge(wanted).allowed == wanted


def test_the_kill_switch_may_be_a_folder_or_unreadable(tmp_path):
    guards = Guards(GuardSettings(kill_switch=str(tmp_path)), OFFERS, FUNCTION)
    guards.saw(seen())
    assert guards.judge(Actions("d", {"small": 1})).allowed.empty


def test_the_days_money_once_spent_ends_all_but_the_floor_where_that_is_wished():
    rules = {"max_usd_per_day": 10.0, "min_instances": 1, "when_spent": "floor"}
    for when_spent, ended in (("hold", ()), ("floor", ("i-1", "i-0"))):
        guards = Guards(GuardSettings(**rules | {"when_spent": when_spent}), OFFERS, FUNCTION)
        guards.saw(seen(ready("small", "large", "small"), bill_usd=1.0, time_s=10.0))
        guards.saw(seen(ready("small", "large", "small"), bill_usd=11.5, time_s=20.0))
        verdict = guards.judge(Actions("d"))
        assert verdict.allowed.terminate == ended
        assert [c.rule for c in verdict.cuts] == ["max_usd_per_day"] * bool(ended)


def test_launches_that_are_not_listed_yet_count():
    guards = Guards(GuardSettings(max_instances=3), OFFERS, FUNCTION)
    guards.saw(seen(ready("small")))
    assert guards.judge(Actions("a", {"small": 2})).cuts == ()
    guards.launched(ActionReport("a", {"small": ("i-8", "i-9")}))
    assert guards.judge(Actions("b", {"small": 1})).allowed.launch == {}


@given(st.lists(st.tuples(st.floats(0.0, 1e4), st.floats(0.0, 50.0)), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_what_is_spent_today_is_the_growth_of_the_bill_since_midnight(steps):
    spending = Spending()
    now_s, bill_usd, by_day, last_usd = 0.0, 0.0, {}, None
    for passed_s, paid_usd in steps:
        now_s, bill_usd = now_s + passed_s, bill_usd + paid_usd
        spending.saw(now_s, bill_usd)
        day = int(now_s // DAY_S)
        by_day.setdefault(day, 0.0)
        by_day[day] += 0.0 if last_usd is None else bill_usd - last_usd
        last_usd = bill_usd
    assert spending.today_usd == pytest.approx(by_day[int(now_s // DAY_S)])


def test_a_bill_that_begins_anew_takes_nothing_back():
    spending = Spending()
    for bill_usd in (5.0, 9.0, 0.0, 2.0):
        spending.saw(100.0, bill_usd)
    assert spending.today_usd == 6.0


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"max_usd_per_h": -1.0}, "max_usd_per_h: must be null or a number from 0 on, got -1"),
        ({"max_usd_per_day": float("nan")}, "max_usd_per_day"),
        ({"max_launches": 1.5}, "max_launches: must be a whole number"),
        ({"max_launches": True}, "max_launches: must be a whole number"),
        ({"min_instances": None}, "min_instances: must be a whole number"),
        ({"min_instances": 3, "max_instances": 2}, "max_instances: must be at least"),
        ({"when_spent": "stop"}, "when_spent: expected 'hold' or 'floor'"),
        ({"kill_switch": ""}, "kill_switch: must be null or a file's path"),
    ],
)
def test_a_wrong_guard_rail_is_refused_by_name(rules, text):
    with pytest.raises(ConfigError, match=text):
        GuardSettings(**rules)
