"""Whatever is done to a cloud, no request and no second is lost or counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.cloud.simulated import LaunchDelay, LaunchSettings, SimulationSettings
from markopt.core import Actions, InstanceState, Observation
from tests.cloud.worlds import Poisson, cloud, function, offer

OFFERS = (
    offer(launch_delay_s=20.0, servers=2),
    offer("c5.large/spot", hazard_per_h=30.0, launch_delay_s=30.0, stock=6),
    offer("p2.xlarge/spot", hazard_per_h=10.0, service_times_s=(0.1, 0.12, 0.15, 0.2)),
)
NAMES = [entry.name for entry in OFFERS]
HAZARDS = {entry.name: entry.interruption_per_h for entry in OFFERS}

moves = st.lists(
    st.tuples(
        st.floats(0.5, 60.0),  # seconds until the move
        st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), max_size=2),
        st.integers(0, 5),  # how many of the listed instances to end
        st.one_of(st.none(), st.integers(0, 30)),
    ),
    min_size=1,
    max_size=10,
)
rules = st.builds(
    SimulationSettings,
    dispatcher=st.sampled_from(["least_expected_delay", "weighted_round_robin"]),
    bouncer=st.sampled_from(["predicted_deadline", "queue_length", "none"]),
    queue_limit_s=st.sampled_from([1.0, 20.0]),
    bin_s=st.sampled_from([1.0, 5.0]),
    launch=st.builds(
        LaunchSettings, st.builds(LaunchDelay, cv=st.sampled_from([0.0, 0.3])), pending_s=st.sampled_from([0.0, 15.0, 200.0])),
    spot_notice_s=st.sampled_from([0.0, 30.0, 120.0]),
)


def check_observation(seen: Observation, before: Observation | None) -> None:
    ids = [i.instance_id for i in seen.instances]
    assert len(set(ids)) == len(ids)
    for one in seen.instances:
        assert one.age_s >= 0.0
        assert (one.ready_in_s > 0.0) == (
            one.state in (InstanceState.PENDING, InstanceState.BOOTING)
        )
        assert one.state not in (InstanceState.TERMINATED, InstanceState.INTERRUPTED)
        if one.notice:
            assert HAZARDS[one.offer] > 0.0
    live_limited = sum(one.offer == "c5.large/spot" for one in seen.instances)
    assert live_limited <= 6
    if before is not None:
        assert seen.bill_usd >= before.bill_usd - 1e-9
        was = {i.instance_id: i for i in before.instances}
        for one in seen.instances:
            if one.instance_id in was:
                # Nobody gets younger, and nobody returns from draining or from a notice.
                old = was[one.instance_id]
                assert one.age_s >= old.age_s
                assert one.notice >= old.notice
                order = list(InstanceState)
                assert order.index(one.state) >= order.index(old.state)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves, rules, st.integers(0, 2**20), st.booleans(), st.floats(0.0, 60.0))
def test_nothing_is_lost_or_counted_twice(
    sequence: list[tuple[float, dict[str, int], int, int | None]],
    rule: SimulationSettings,
    seed: int,
    with_functions: bool,
    rate_rps: float,
) -> None:
    backend = cloud(
        OFFERS,
        arrivals=Poisson(rate_rps),
        function=function(concurrency_limit=10) if with_functions else None,
        fleet={NAMES[0]: 1, NAMES[1]: 2},
        end_s=700.0,
        seed=seed,
        record=True,
        settings=rule,
    )
    seen = [backend.observe()]
    launched, time_s = 0, 0.0
    for at, (wait_s, launch, ends, warm) in enumerate(sequence):
        time_s += wait_s
        backend.advance(time_s)
        seen.append(backend.observe())
        check_observation(seen[-1], seen[-2])
        ids = tuple(i.instance_id for i in seen[-1].instances[:ends])
        report = backend.apply(Actions(f"d{at}", launch, ids, warm))
        assert report.terminated == ids
        got = {name: len(started) for name, started in report.launched.items()}
        assert all(got[name] <= launch[name] for name in got)
        refused = sum(reason.startswith("launch") for reason in report.refused)
        assert sum(got.values()) + refused == sum(launch.values())
        launched += sum(got.values())
        check_observation(backend.observe(), seen[-1])
    backend.advance(time_s + 60.0)
    seen.append(backend.observe())
    ledger = backend.close()
    statistics = backend.statistics()
    response_s, path = backend.request_results()

    # Requests in = served on instances + on functions (warm, cold) + refused.
    assert len(path) == statistics.requests
    assert np.all((path >= 0) & (path <= 3))
    by_path = np.bincount(path.astype(np.int64), minlength=4)
    assert by_path[3] == statistics.refused.sum()
    assert by_path[1] + by_path[2] == statistics.spilled.sum()
    for number, name in enumerate(("instances", "lambda", "lambda_cold")):
        assert statistics.latency_counts[name].sum() == by_path[number]
    answered = path != 3
    assert np.all(response_s[answered] > 0.0)
    assert np.all(np.isnan(response_s[~answered]))
    assert statistics.late.sum() == np.sum(response_s[answered] > 0.5 + 1e-9)
    assert statistics.latency_sum_s == pytest.approx(response_s[answered].sum(), rel=1e-9, abs=1e-9)
    if not with_functions:
        assert statistics.spilled.sum() == 0
    if rule.bouncer == "predicted_deadline":
        # Constant service times: what the bouncer admits is never late on an instance.
        assert np.all(response_s[path == 0] <= 0.5 + 1e-9)

    # An observer has seen each arrival, spill and refusal of the ended bins once.
    ended = sum(len(one.arrivals) for one in seen)
    for name in ("arrivals", "spilled", "refused"):
        observed = np.concatenate([getattr(one, name) for one in seen])
        np.testing.assert_array_equal(observed, getattr(statistics, name)[:ended])
    late_seen = sum(int(one.late.sum()) for one in seen)
    assert late_seen <= statistics.late.sum()

    # Money: the ledger is what the meters say.
    assert ledger.launches == launched
    assert ledger.total_usd == pytest.approx(backend.observe().bill_usd, rel=1e-12)
    instances_usd = sum(0.001 * seconds for seconds in ledger.billed_s.values())
    functions_usd = sum(ledger.cost_usd.get(kind, 0.0) for kind in ("lambda", "warm"))
    assert ledger.total_usd == pytest.approx(instances_usd + functions_usd, rel=1e-9, abs=1e-12)
    assert all(seconds >= 0.0 for seconds in ledger.billed_s.values())
    assert ledger.billed_s[NAMES[0]] <= (time_s + 60.0 + 60.0) * (launched + 1)
