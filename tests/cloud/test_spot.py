"""Spot instances: hazard, shocks to a pool, notice, outages, and nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from markopt.cloud.simulated import SimulatedCloud, SimulationSettings
from markopt.cloud.simulated.markets import DrawnMarket, DrawnSettings
from markopt.core import Actions, InstanceState
from markopt.errors import ConfigError
from tests.cloud.worlds import CONSTANT, Poisson, cloud, offer

SPOT = "c5.large/spot"
HOUR_S = 3600.0


def lives(shock_share: float, *, seed: int, hours: float = 20.0) -> tuple[float, int]:
    """Keep a fleet of spot instances going; return instance-hours exposed and interruptions."""
    settings = SimulationSettings(
        market=DrawnSettings(shock_share=shock_share, outage_s=0.0), launch=CONSTANT
    )
    spot = offer(SPOT, hazard_per_h=0.5, launch_delay_s=10.0)
    backend = cloud([spot], fleet={SPOT: 40}, settings=settings, end_s=hours * HOUR_S, seed=seed)
    exposed_s = 0.0
    for step in range(1, int(hours * 12) + 1):
        backend.advance(step * 300.0)
        healthy = [i for i in backend.observe().instances if not i.notice]
        exposed_s += 300.0 * len(healthy)
        backend.apply(Actions(f"d{step}", launch={SPOT: 40 - len(healthy)}))
    return exposed_s / HOUR_S, backend.close().interruptions


@pytest.mark.parametrize("shock_share", [0.0, 0.5, 1.0])
def test_interruptions_come_at_the_offers_hazard_however_they_are_shared(
    shock_share: float,
) -> None:
    exposed_h, interruptions = 0.0, 0
    for seed in range(4):
        hours, count = lives(shock_share, seed=seed)
        exposed_h += hours
        interruptions += count
    # Shocks take half a pool of 40 at a time: they arrive in clusters of 20.
    cluster = 1.0 + shock_share * 20.0
    deviation = math.sqrt(interruptions * cluster)
    assert interruptions == pytest.approx(0.5 * exposed_h, abs=3.0 * deviation + 0.03 * exposed_h)
    assert interruptions > 500


def market(**changes: float) -> DrawnMarket:
    return DrawnMarket(
        [offer(SPOT, hazard_per_h=0.6), offer("p2.xlarge/spot", hazard_per_h=0.6)],
        DrawnSettings(**changes),  # type: ignore[arg-type]
        start_s=0.0,
        seed=np.random.SeedSequence(3),
    )


def test_shocks_strike_a_pool_at_their_share_of_the_hazard_over_their_size() -> None:
    spot = market(shock_share=0.5, shock_size=0.25)
    gaps, time_s = [], 0.0
    for _ in range(4000):
        next_s = spot.next_shock_s("c5.large/us-east-1", time_s)
        gaps.append(next_s - time_s)
        time_s = next_s
    # 0.6 an hour, half of it by shocks that take a quarter: 1.2 shocks an hour.
    assert np.mean(gaps) == pytest.approx(HOUR_S / 1.2, rel=0.05)
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.06)


POOL = "c5.large/us-east-1"


def strikes(spot: DrawnMarket, pool: str, count: int, size: int) -> list[int]:
    """Let so many shocks strike a pool of some size; return how many instances each takes."""
    taken, time_s = [], 0.0
    for _ in range(count):
        time_s = spot.next_shock_s(pool, time_s)
        taken.append(int(spot.strike(pool, np.zeros(size, np.bool_), time_s).sum()))
    return taken


def test_a_shock_takes_its_share_of_the_instances() -> None:
    spot = market(shock_size=0.25)
    assert np.mean(strikes(spot, POOL, 400, 50)) == pytest.approx(12.5, rel=0.05)
    assert strikes(spot, POOL, 1, 0) == [0]
    assert set(strikes(market(shock_size=1.0), POOL, 20, 30)) == {30}


def test_instances_are_interrupted_alone_at_the_rest_of_the_hazard() -> None:
    spot = market(shock_share=0.25)
    one = offer(SPOT, hazard_per_h=0.6)
    waits = [spot.own_interruption_s(one, 100.0) - 100.0 for _ in range(4000)]
    assert min(waits) > 0.0
    assert np.mean(waits) == pytest.approx(HOUR_S / (0.6 * 0.75), rel=0.05)


def test_on_demand_instances_are_never_interrupted() -> None:
    spot = market()
    assert spot.own_interruption_s(offer(hazard_per_h=0.6), 0.0) == math.inf
    settings = SimulationSettings(market=DrawnSettings(shock_size=1.0, outage_s=1e6))
    offers = [offer(), offer(SPOT, hazard_per_h=20.0)]
    backend = cloud(offers, fleet={"c5.large/on_demand": 10, SPOT: 10}, settings=settings, seed=4)
    backend.advance(HOUR_S)
    left = {i.offer for i in backend.observe().instances}
    assert left == {"c5.large/on_demand"}
    # The same pool, but only its spot part is closed.
    report = backend.apply(Actions("d", launch={"c5.large/on_demand": 1, SPOT: 1}))
    assert len(report.launched["c5.large/on_demand"]) == 1
    assert report.launched[SPOT] == ()


@pytest.mark.parametrize(
    ("family", "shape"), [("exponential", None), ("weibull", 0.5), ("lognormal", 1.0)]
)
def test_a_pool_gives_nothing_after_a_shock_until_its_outage_is_over(
    family: str, shape: float | None
) -> None:
    # Shocks every 28 h on average, so that their outages hardly overlap.
    spot = DrawnMarket(
        [offer(SPOT, hazard_per_h=0.036), offer("p2.xlarge/spot")],
        DrawnSettings(shock_share=0.5, outage_s=600.0, outage_family=family, outage_shape=shape),  # type: ignore[arg-type]
        start_s=0.0,
        seed=np.random.SeedSequence(5),
    )
    outages, time_s = [], 0.0
    for _ in range(300):
        time_s = spot.next_shock_s(POOL, time_s)
        assert not spot.available(offer(SPOT), time_s, 0)
        assert spot.available(offer("p2.xlarge/spot"), time_s, 0)
        steps = range(0, 60_000, 20)
        outages.append(next(s for s in steps if spot.available(offer(SPOT), time_s + s, 0)))
    assert np.mean(outages) == pytest.approx(610.0, rel=0.3)


def test_a_long_outage_lasts_however_often_capacity_is_requested() -> None:
    ends = []
    for every_s in (10, 600):
        settings = SimulationSettings(
            market=DrawnSettings(
                shock_share=1.0, outage_s=7200.0, outage_family="lognormal", outage_shape=1.4
            )
        )
        backend = cloud([offer(SPOT, hazard_per_h=0.3)], settings=settings, end_s=86_400.0, seed=8)
        given = []
        for step in range(86_400 // every_s):
            backend.advance(float(step * every_s))
            report = backend.apply(Actions(f"d{step}", launch={SPOT: 1}))
            if (step * every_s) % 600 == 0:
                given.append(bool(report.launched[SPOT]))
            backend.apply(Actions(f"b{step}", terminate=report.launched[SPOT]))
        ends.append(given)
    assert ends[0] == ends[1]
    assert 10 < sum(ends[0]) < len(ends[0]) - 10


ZONED = [
    offer(SPOT, zone="us-east-1a", hazard_per_h=0.5),
    offer(SPOT, zone="us-east-1b", hazard_per_h=0.5),
    offer("p2.xlarge/spot", zone="us-east-1a", hazard_per_h=0.25),
]


def shock_times(settings: DrawnSettings, pool: str, seed: int = 3) -> set[float]:
    spot = DrawnMarket(ZONED, settings, start_s=0.0, seed=np.random.SeedSequence(seed))
    times: list[float] = [0.0]
    while times[-1] < 1e7:
        times.append(spot.next_shock_s(pool, times[-1]))
    return set(times[1:-1])


@pytest.mark.parametrize(
    ("level", "shares_zone", "shares_region"),
    [
        ("shock_share", False, False),
        ("zone_shock_share", True, False),
        ("region_shock_share", True, True),
    ],
)
def test_shocks_of_a_level_strike_all_its_pools_at_once_and_no_others(
    level: str, shares_zone: bool, shares_region: bool
) -> None:
    settings = DrawnSettings(**{"shock_share": 0.0, level: 0.6})
    mine = shock_times(settings, "c5.large/us-east-1a")
    # 0.5 an hour, 0.6 of it by shocks that take half.
    assert len(mine) == pytest.approx(1e7 / 3600.0 * 0.5 * 0.6 / 0.5, rel=0.1)
    same_zone = shock_times(settings, "p2.xlarge/us-east-1a")
    same_region = shock_times(settings, "c5.large/us-east-1b")
    assert (same_zone == mine) == shares_zone
    assert (same_region == mine) == shares_region
    assert shares_zone or not same_zone & mine
    assert shares_region or not same_region & mine


def test_each_pool_keeps_its_own_hazard_whatever_the_level_of_its_shocks() -> None:
    settings = DrawnSettings(shock_share=0.2, zone_shock_share=0.3, region_shock_share=0.4)
    spot = DrawnMarket(ZONED, settings, start_s=0.0, seed=np.random.SeedSequence(4))
    for one in ZONED:
        taken, time_s = 0, 0.0
        while (time_s := spot.next_shock_s(one.pool, time_s)) < 2e7:
            taken += int(spot.strike(one.pool, np.zeros(40, np.bool_), time_s).sum())
        per_h = taken / 40.0 / (2e7 / 3600.0)
        assert per_h == pytest.approx(0.9 * one.interruption_per_h, rel=0.08)


def test_a_refused_launch_names_the_pool_and_costs_nothing() -> None:
    settings = SimulationSettings(
        market=DrawnSettings(shock_share=1.0, shock_size=0.1, outage_s=1e7)
    )
    backend = cloud([offer(SPOT, hazard_per_h=30.0)], settings=settings)
    backend.advance(HOUR_S)
    report = backend.apply(Actions("d", launch={SPOT: 2}))
    assert report.launched[SPOT] == ()
    assert (
        report.refused == (f"launch {SPOT}: insufficient capacity in pool c5.large/us-east-1",) * 2
    )
    ledger = backend.close()
    assert ledger.total_usd == 0.0
    assert ledger.launches == 0


def watch(
    backend: SimulatedCloud, end_s: int
) -> dict[str, list[tuple[float, InstanceState, bool]]]:
    """Look every second; return what was seen of each instance."""
    seen: dict[str, list[tuple[float, InstanceState, bool]]] = {}
    for time_s in range(1, end_s + 1):
        backend.advance(float(time_s))
        for one in backend.observe().instances:
            seen.setdefault(one.instance_id, []).append((time_s, one.state, one.notice))
    return seen


def test_notice_is_given_120_s_before_and_the_instance_serves_until_just_before_the_end() -> None:
    backend = cloud(
        [offer(SPOT, hazard_per_h=2.0)], fleet={SPOT: 20}, arrivals=Poisson(100.0), end_s=1800.0
    )
    seen = watch(backend, 1800)
    interrupted = 0
    for history in seen.values():
        noticed = [entry for entry in history if entry[2]]
        if not noticed or history[-1][0] == 1800:
            continue
        interrupted += 1
        first_s, last_s = noticed[0][0], noticed[-1][0]
        assert last_s - first_s == pytest.approx(119.0, abs=1.0)
        assert noticed[0][1] is InstanceState.READY
        serving_s = [t for t, state, _ in noticed if state is InstanceState.READY]
        # It leaves service one second (twice RT_max) before it is taken.
        assert serving_s[-1] - first_s >= 117.0
        assert noticed[-1][1] in (InstanceState.DRAINING, InstanceState.READY)
        # Once announced, an interruption is never taken back.
        assert all(notice for time_s, _, notice in history if time_s >= first_s)
    assert interrupted >= 5


@pytest.mark.parametrize("bouncer", ["predicted_deadline", "queue_length", "none"])
@pytest.mark.parametrize("dispatcher", ["least_expected_delay", "weighted_round_robin"])
def test_interrupted_instances_answer_all_that_they_hold_before_they_are_taken(
    bouncer: str, dispatcher: str
) -> None:
    settings = SimulationSettings(
        bouncer=bouncer,
        dispatcher=dispatcher,
        queue_limit_s=20.0,
        market=DrawnSettings(shock_size=0.9),
    )
    spot = offer(SPOT, hazard_per_h=6.0, service_times_s=(0.08, 0.1, 0.12, 0.15), launch_delay_s=30)
    # Overloaded at times, so that whoever is taken holds something.
    backend = cloud(
        [spot], fleet={SPOT: 8}, arrivals=Poisson(120.0), settings=settings, record=True
    )
    ends: list[tuple[float, set[str]]] = []
    for step in range(1, 361):
        backend.advance(step * 10.0)
        live = {i.instance_id for i in backend.observe().instances}
        ends.append((step * 10.0, live))
        backend.apply(Actions(f"d{step}", launch={SPOT: max(8 - len(live), 0)}))
    ledger = backend.close()
    assert ledger.interruptions > 20
    response_s, path = backend.request_results()
    assert len(path) == backend.statistics().requests
    assert np.all(path >= 0)
    answered = path == 0
    assert np.all(np.isfinite(response_s[answered]))
    assert np.all(np.isnan(response_s[~answered]))
    if bouncer != "none":
        assert response_s[answered].max() <= 0.5 + 1e-9


def test_an_instance_that_is_taken_while_booting_never_serves() -> None:
    settings = SimulationSettings(market=DrawnSettings(shock_share=0.0), launch=CONSTANT)
    # Noticed within milliseconds, and ready half a second before it is taken: too late to answer
    # what it would take on.
    spot = offer(SPOT, hazard_per_h=3.6e6, launch_delay_s=119.5)
    backend = cloud([spot], arrivals=Poisson(20.0), settings=settings, end_s=400.0)
    backend.apply(Actions("d", launch={SPOT: 100}))
    backend.advance(119.7)
    assert {i.state for i in backend.observe().instances} == {InstanceState.DRAINING}
    backend.advance(125.0)
    assert backend.observe().instances == ()
    ledger = backend.close()
    assert ledger.interruptions == 100
    assert ledger.billed_s[SPOT] == pytest.approx(100 * 120.0, rel=1e-3)
    statistics = backend.statistics()
    np.testing.assert_array_equal(statistics.refused, statistics.arrivals)


def test_an_interrupted_life_is_billed_to_its_end() -> None:
    backend = cloud([offer(SPOT, hazard_per_h=60.0)], fleet={SPOT: 30})
    backend.advance(HOUR_S)
    assert backend.observe().instances == ()
    ledger = backend.close()
    assert ledger.interruptions == 30
    assert ledger.billed_s[SPOT] >= 30 * 120.0


def shocks(backend: SimulatedCloud, pool_offer: str, hours: int) -> list[tuple[float, bool]]:
    """Return minute by minute whether the pool of an offer gives instances."""
    return [
        (backend.observe().time_s, not _refused(backend, pool_offer, minute))
        for minute in range(1, hours * 60 + 1)
        if backend.advance(minute * 60.0) is None
    ]


def _refused(backend: SimulatedCloud, name: str, minute: int) -> bool:
    report = backend.apply(Actions(f"probe{minute}", launch={name: 1}))
    launched = report.launched[name]
    backend.apply(Actions(f"back{minute}", terminate=launched))
    return not launched


def test_what_is_bought_in_one_pool_changes_neither_another_pools_shocks_nor_the_arrivals() -> None:
    offers = [offer(SPOT, hazard_per_h=4.0), offer("p2.xlarge/spot", hazard_per_h=4.0)]
    counts, outages = [], []
    for bought in (0, 7):
        backend = cloud(offers, arrivals=Poisson(3.0), end_s=6 * HOUR_S, seed=9)
        if bought:
            backend.apply(Actions("buy", launch={SPOT: bought}, warm_functions=None))
        outages.append(shocks(backend, "p2.xlarge/spot", 6))
        counts.append(backend.statistics().arrivals)
        assert backend.close().launches >= bought
    np.testing.assert_array_equal(counts[0], counts[1])
    assert outages[0] == outages[1]
    assert not all(gives for _, gives in outages[0])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("outage_s", float("nan"), "must not be negative"),
        ("shock_share", 1.1, r"must lie in \[0, 1\]"),
        ("zone_shock_share", -0.1, r"must lie in \[0, 1\]"),
        ("shock_size", 0.0, r"must lie in \(0, 1\]"),
        ("outage_family", "normal", "expected one of .'exponential', 'weibull', 'lognormal'."),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_names_it(
    key: str, value: object, expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.market\.{key}: {expected}"):
        DrawnSettings(**{key: value})  # type: ignore[arg-type]


def test_settings_that_contradict_each_other_are_an_error_that_names_them() -> None:
    with pytest.raises(ConfigError, match="shock_share: with zone_shock_share and region_shock"):
        DrawnSettings(shock_share=0.5, zone_shock_share=0.7)
    with pytest.raises(ConfigError, match="outage_shape: weibull needs a positive one, got None"):
        DrawnSettings(outage_family="weibull")
