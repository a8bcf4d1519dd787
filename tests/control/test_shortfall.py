"""What was refused for want of capacity is sold out for a while."""

import numpy as np
import pytest

from markopt.cloud.simulated import SimulationSettings
from markopt.cloud.simulated.markets import ScriptedSettings
from markopt.control import Controller, ControllerSettings, IntervalRecord
from markopt.control.decisions import decisions_of
from markopt.control.shortfall import Shortfalls
from markopt.core import (
    ActionReport,
    Actions,
    FleetState,
    OfferFleet,
    RateSeries,
    RequiredThroughput,
    ThroughputCurve,
)
from markopt.forecasting import LastValue
from markopt.planning import Greedy
from tests.cloud.worlds import CONSTANT, SERVICE, Poisson, cloud, offer

SPOT, OWN = offer("c5.large/spot"), offer("c5.large/on_demand")
LARGER = "c5.xlarge/spot"
FLEET = FleetState((OfferFleet(SPOT.name, ready=5, pending_ready_in_s=(30.0,), noticed=2),))


def refused(*names: str, **launched: tuple[str, ...]) -> ActionReport:
    return ActionReport("d", launched or dict.fromkeys(names, ()), insufficient=names)


def stocks(subject: Shortfalls, time_s: float) -> list[int | None]:
    return [one.stock for one in subject.to_be_had(time_s, (SPOT, OWN), FLEET)]


def test_what_is_sold_out_has_what_stays_as_stock_and_later_a_probe_more() -> None:
    subject = Shortfalls(avoid_s=300.0)
    assert stocks(subject, 0.0) == [None, None]
    subject.applied(60.0, refused(SPOT.name))
    # Five ready and one launching, of which two are under notice.
    assert stocks(subject, 60.0) == [4, None]
    assert stocks(subject, 359.0) == [4, None]
    assert stocks(subject, 360.0) == [5, None]
    subject.applied(360.0, refused(SPOT.name))
    assert stocks(subject, 361.0) == [4, None]
    subject.applied(660.0, ActionReport("e", {SPOT.name: ("i-1",)}))
    assert stocks(subject, 661.0) == [None, None]


def test_without_a_time_nothing_is_remembered() -> None:
    subject = Shortfalls(avoid_s=0.0)
    subject.applied(60.0, refused(SPOT.name))
    assert stocks(subject, 60.0) == [None, None]


def test_a_launch_that_succeeds_ends_it() -> None:
    subject = Shortfalls(avoid_s=300.0)
    subject.applied(60.0, refused(SPOT.name))
    subject.applied(120.0, ActionReport("e", {SPOT.name: ("i-1",)}))
    assert stocks(subject, 121.0) == [None, None]


def test_a_launch_that_succeeds_in_part_does_not() -> None:
    subject = Shortfalls(avoid_s=300.0)
    report = ActionReport("d", {SPOT.name: ("i-1",)}, insufficient=(SPOT.name,))
    subject.applied(60.0, report)
    assert stocks(subject, 121.0) == [4, None]


def test_where_all_would_be_sold_out_none_is() -> None:
    subject = Shortfalls(avoid_s=300.0)
    subject.applied(60.0, refused(SPOT.name, OWN.name))
    assert stocks(subject, 61.0) == [None, None]


def test_a_stock_of_its_own_still_counts() -> None:
    subject = Shortfalls(avoid_s=300.0)
    subject.applied(0.0, refused(SPOT.name))
    few = offer(SPOT.name, stock=3)
    assert [one.stock for one in subject.to_be_had(1.0, (few, OWN), FLEET)] == [3, None]


@pytest.mark.parametrize(("at_s", "insufficient"), [(50.0, ()), (150.0, (SPOT.name,))])
def test_the_simulated_cloud_says_which_launches_lacked_capacity(
    at_s: float, insufficient: tuple[str, ...]
) -> None:
    market = ScriptedSettings([{"at_s": 100.0, "count": 1, "outage_s": 500.0}])
    backend = cloud([SPOT, OWN], settings=SimulationSettings(market=market, launch=CONSTANT))
    backend.advance(at_s)
    report = backend.apply(Actions("d", {SPOT.name: 2, OWN.name: 1}))
    assert report.insufficient == insufficient
    assert len(report.launched[OWN.name]) == 1


def test_stock_that_is_used_up_is_no_want_of_capacity() -> None:
    backend = cloud([offer(SPOT.name, stock=1)])
    report = backend.apply(Actions("d", {SPOT.name: 2}))
    assert len(report.launched[SPOT.name]) == 1
    assert report.insufficient == ()


def outage_episode(**controller: object) -> tuple[IntervalRecord, ...]:
    """Let all spot of a fleet be taken, and give none any more; return the loop's records."""
    larger = offer(LARGER, service_times_s=(0.05,))
    dear = offer("c5.large/on_demand", service_times_s=(0.3,))
    offers = (SPOT, larger, dear)
    market = ScriptedSettings([{"at_s": 110.0, "share": 1.0, "outage_s": 5000.0}])
    backend = cloud(
        offers,
        arrivals=Poisson(20.0),
        fleet={SPOT.name: 4},
        end_s=600.0,
        settings=SimulationSettings(market=market, launch=CONSTANT),
    )
    curves = {
        name: ThroughputCurve(np.array([0.0, 100.0]), np.array([0.0, 120.0]))
        for name in ("c5.large", "c5.xlarge")
    }
    history = RateSeries(-3600.0, 60.0, np.full(60, 20.0))
    loop = Controller(
        service=SERVICE,
        offers=offers,
        function=None,
        required_throughput=RequiredThroughput(curves),
        forecaster=LastValue().fit(history),
        planner=Greedy(),
        backend=backend,
        settings=ControllerSettings(monitor=False, horizon=6, **controller),  # type: ignore[arg-type]
        history=history,
        rng=np.random.default_rng(0),
    )
    return loop.run(0.0, 600.0)


def first_on_demand_s(records: tuple[IntervalRecord, ...]) -> float:
    return next(r.start_s for r in records if r.report.launched.get(OWN.name))


def test_what_is_sold_out_is_found_out_within_one_decision() -> None:
    records = outage_episode()
    at_once = records[2]
    assert at_once.start_s == 120.0
    assert [one.report.insufficient for one in at_once.earlier] == [(SPOT.name, LARGER)]
    assert first_on_demand_s(records) == 120.0
    ids = [one.actions.decision_id for one in (*at_once.earlier, at_once)]
    assert len(set(ids)) == 2
    logged = [one.decision_id for one in decisions_of(at_once)]
    assert logged == ids


def test_later_probes_ask_for_one_instance_of_each() -> None:
    probes = [one for record in outage_episode()[3:] for one in record.earlier]
    assert [one.actions.launch for one in probes] == [{LARGER: 1}, {SPOT.name: 1}]


def test_without_replans_it_is_found_out_a_decision_later() -> None:
    records = outage_episode(replans=0)
    assert first_on_demand_s(records) == 180.0
    assert all(not record.earlier for record in records)


@pytest.mark.parametrize("setting", [{"avoid_refused_s": 0.0}, {"max_launches_per_interval": 50}])
def test_one_plan_per_decision_where_refusals_are_forgotten_or_launches_limited(
    setting: dict[str, float],
) -> None:
    assert all(not record.earlier for record in outage_episode(**setting))
