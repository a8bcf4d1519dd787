"""What must hold of every story: each request, instance and billed second is accounted for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from markopt.cloud.simulated import InstanceLife
from markopt.core import InstanceState
from markopt.engine import Path
from tests.cloud.stories import BY_NAME, Played
from tests.cloud.worlds import SERVICE

EPS_S = 1e-6


def check_requests(played: Played) -> None:
    """Requests in = served by instances + by functions + refused + lost; none is in flight."""
    statistics, path, response_s = played.statistics, played.path, played.response_s
    assert np.sum(played.story.arrivals_s() < played.closed_s) == len(path) == statistics.requests
    assert np.all((path >= 0) & (path < len(Path)))
    by_path = np.bincount(path.astype(np.int64), minlength=len(Path))
    assert by_path[Path.REFUSED] == statistics.refused.sum()
    assert by_path[Path.LOST] == statistics.lost
    spilled = by_path[Path.FUNCTION_WARM] + by_path[Path.FUNCTION_COLD]
    assert spilled == statistics.spilled.sum()
    for number, name in enumerate(("instances", "lambda", "lambda_cold")):
        assert statistics.latency_counts[name].sum() == by_path[number]
    answered = path < Path.REFUSED
    assert np.all(response_s[answered] > 0.0)
    assert np.all(np.isnan(response_s[~answered]))
    late = np.sum(response_s[answered] > SERVICE.slo.rt_max_s + 1e-9)
    assert statistics.late.sum() == late + statistics.lost
    assert statistics.latency_sum_s == pytest.approx(response_s[answered].sum(), rel=1e-9, abs=1e-9)
    assert all(engine == results for engine, results in played.in_flight)
    if played.story.settings.bouncer == "predicted_deadline":
        # Constant service times: what the bouncer admits is never late on an instance.
        assert np.all(response_s[path == Path.INSTANCES] <= SERVICE.slo.rt_max_s + 1e-9)


def check_functions(played: Played) -> None:
    """Functions keep their limits, and throttles are refusals."""
    offered, path = played.story.functions, played.path
    if offered is None:
        assert not np.any((path == Path.FUNCTION_WARM) | (path == Path.FUNCTION_COLD))
        assert played.statistics.throttled == 0
        return
    assert 0 <= played.statistics.throttled <= np.sum(path == Path.REFUSED)
    ran = (path == Path.FUNCTION_WARM) | (path == Path.FUNCTION_COLD)
    begins_s = played.arrivals_s[ran]
    ends_s = np.sort(begins_s + played.response_s[ran] - EPS_S)
    running = np.arange(1, len(begins_s) + 1) - np.searchsorted(ends_s, begins_s, side="right")
    assert np.all(running <= offered.concurrency_limit)
    if offered.burst is not None:
        cold_s = played.arrivals_s[path == Path.FUNCTION_COLD]
        allowed = offered.burst + offered.burst_per_s * cold_s + EPS_S
        assert np.all(np.arange(1, len(cold_s) + 1) <= allowed)


def check_counts(played: Played) -> None:
    """An observer has seen each arrival, spill and refusal of the ended bins once."""
    ended = sum(len(one.arrivals) for one in played.seen)
    for name in ("arrivals", "spilled", "refused"):
        observed = np.concatenate([getattr(one, name) for one in played.seen])
        np.testing.assert_array_equal(observed, getattr(played.statistics, name)[:ended])
    assert sum(int(one.late.sum()) for one in played.seen) <= played.statistics.late.sum()


def check_reports(played: Played) -> None:
    """Every launch and every end that was asked for is done or refused with a reason, never both.

    The history knows exactly the instances that reports name, besides the first fleet.
    """
    launched: list[str] = []
    for _, actions, report in played.reports:
        refused = list(report.refused)
        for name, wanted in actions.launch.items():
            got = report.launched.get(name, ())
            launched += got
            reasons = [r for r in refused if r.startswith(f"launch {name}: ")]
            assert len(got) + len(reasons) == wanted
        for instance_id in actions.terminate:
            reasons = [r for r in refused if r.startswith(f"terminate {instance_id}: ")]
            assert (instance_id in report.terminated) + len(reasons) == 1
        assert set(report.terminated) <= set(actions.terminate)
    first_fleet = 4
    assert [life.instance_id for life in played.lives[first_fleet:]] == launched
    assert played.ledger.launches == len(launched)


def check_lives(played: Played) -> None:
    """Lives go one way, end all, and stay within stock."""
    for life in played.lives:
        known = [life.launched_s, life.running_s, life.ready_s, life.left_s, life.ended_s]
        times_s = [time_s for time_s in known if time_s is not None]
        assert times_s == sorted(times_s)
        assert life.state in (InstanceState.TERMINATED, InstanceState.INTERRUPTED)
        assert life.ended_s is not None
        assert life.ended_s <= played.closed_s
        if life.ready_s is not None:
            assert life.running_s is not None
            assert life.left_s is not None
    interrupted = sum(life.state is InstanceState.INTERRUPTED for life in played.lives)
    assert interrupted <= played.ledger.interruptions
    for name, entry in BY_NAME.items():
        if entry.stock is not None:
            own = [life for life in played.lives if life.offer == name]
            for life in own:
                alive = [o for o in own if o.launched_s <= life.launched_s < _end_s(o)]
                assert len(alive) <= entry.stock


def _end_s(life: InstanceLife) -> float:
    return np.inf if life.ended_s is None else life.ended_s


def check_service(played: Played) -> None:
    """No request is served, or lost, by an instance that was not in service when it came.

    An instance that answers is in service when the request arrives and alive when it is answered
    (whatever still waits when the cloud is closed is answered after that). What is lost was taken
    on by an instance that left before the answer.
    """
    in_service = [life for life in played.lives if life.ready_s is not None]
    ready_s = np.array([life.ready_s for life in in_service], dtype=np.float64)
    left_s = np.array([life.left_s for life in in_service], dtype=np.float64)
    ended_s = np.array([life.ended_s for life in in_service], dtype=np.float64)
    ended_s[ended_s >= played.closed_s] = np.inf
    for path in (Path.INSTANCES, Path.LOST):
        mine = played.path == path
        arrivals_s = played.arrivals_s[mine][:, None]
        could = (ready_s <= arrivals_s + EPS_S) & (arrivals_s <= left_s + EPS_S)
        if path is Path.INSTANCES:
            could &= arrivals_s + played.response_s[mine][:, None] <= ended_s + EPS_S
        assert np.all(could.any(axis=1))


def billed_s(life: InstanceLife, at_s: float, *, ended_now: bool = True) -> float:
    """What a life has been billed by a time: per second from running on, with the minimum.

    ``ended_now`` tells whether one that ended at that very time had ended already.
    """
    running_s = life.running_s
    if running_s is None or running_s > at_s:
        return 0.0
    ends_s = _end_s(life)
    if ends_s > at_s or (ends_s == at_s and not ended_now):
        return at_s - running_s
    used_s = ends_s - running_s
    return max(used_s, BY_NAME[life.offer].minimum_billed_s) if used_s > 0.0 else 0.0


def check_money(played: Played) -> None:
    """The ledger, and every bill that was observed, follow from the instances' history alone."""
    ledger, closed_s = played.ledger, played.closed_s
    by_option: dict[str, float] = {}
    for name, entry in BY_NAME.items():
        own_s = sum(billed_s(life, closed_s) for life in played.lives if life.offer == name)
        assert ledger.billed_s[name] == pytest.approx(own_s, rel=1e-9, abs=1e-6)
        option = entry.purchase.value
        by_option[option] = by_option.get(option, 0.0) + own_s * entry.price_usd_per_s
    for option, usd in by_option.items():
        assert ledger.cost_usd[option] == pytest.approx(usd, rel=1e-9, abs=1e-9)
    assert ledger.total_usd == pytest.approx(played.final_bill_usd, rel=1e-12)
    bills = [one.bill_usd for one in played.seen]
    assert all(a <= b + 1e-9 for a, b in pairwise(bills))
    check_function_money(played)
    if played.story.functions is None:
        for one in played.seen:
            low_usd, high_usd = (
                sum(
                    billed_s(life, one.time_s, ended_now=ended)
                    * BY_NAME[life.offer].price_usd_per_s
                    for life in played.lives
                )
                for ended in (False, True)
            )
            assert low_usd - 1e-6 <= one.bill_usd <= high_usd + 1e-6


def check_function_money(played: Played) -> None:
    """Function bills follow from the requests that ran and the environments kept warm."""
    offered = played.story.functions
    if offered is None:
        assert "lambda" not in played.ledger.cost_usd
        return
    ran = int(np.sum((played.path == Path.FUNCTION_WARM) | (played.path == Path.FUNCTION_COLD)))
    most_usd = ran * offered.price_usd(offered.service_time_s)
    duration_usd = most_usd - ran * offered.price_usd_per_invocation
    saved = 1.0 - offered.provisioned_price_usd_per_gb_s / offered.price_usd_per_gb_s
    lambda_usd = played.ledger.cost_usd["lambda"]
    assert most_usd - saved * duration_usd - 1e-9 <= lambda_usd <= most_usd + 1e-9
    times_s = [one.time_s for one in played.seen]
    warm_usd = sum(
        one.warm_functions * (after_s - one.time_s) * offered.warm_price_usd_per_s
        for one, after_s in zip(played.seen, times_s[1:], strict=False)
    )
    assert played.ledger.cost_usd["warm"] == pytest.approx(warm_usd, rel=1e-9, abs=1e-9)


def check_observations(played: Played) -> None:
    """What is listed is true or late by no more than the API is, and never goes back."""
    lives = {life.instance_id: life for life in played.lives}
    at_once = played.story.settings.api.visible_after_s == 0.0
    order = list(InstanceState)
    before: dict[str, tuple[float, int, bool]] = {}
    for one in played.seen:
        ids = [i.instance_id for i in one.instances]
        assert len(set(ids)) == len(ids)
        for i in one.instances:
            life = lives[i.instance_id]
            unready = i.state in (InstanceState.PENDING, InstanceState.BOOTING)
            assert (i.ready_in_s > 0.0) == unready
            assert i.state not in (InstanceState.TERMINATED, InstanceState.INTERRUPTED)
            assert i.age_s == pytest.approx(one.time_s - life.launched_s)
            if i.state is InstanceState.READY:
                assert life.ready_s is not None
                assert life.ready_s <= one.time_s
            if i.notice:
                assert BY_NAME[i.offer].interruption_per_h > 0.0
            was = before.get(i.instance_id, (0.0, 0, False))
            now = (i.age_s, order.index(i.state), i.notice)
            assert all(a >= b for a, b in zip(now, was, strict=True))
            before[i.instance_id] = now
        if at_once:
            # Observations lie between events: at equal times the history is ahead by none.
            alive = [i for i, o in lives.items() if o.launched_s < one.time_s < _end_s(o)]
            assert set(alive) <= set(ids)


CHECKS = (
    check_requests,
    check_functions,
    check_counts,
    check_reports,
    check_lives,
    check_service,
    check_money,
    check_observations,
)
