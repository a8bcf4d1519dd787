"""The cloud's API: throttled and failing calls, and changes that show late."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.cloud.simulated import ApiSettings, RateLimit, SimulationSettings
from markopt.cloud.simulated.api import TokenBucket
from markopt.core import Actions, InstanceState
from markopt.errors import ConfigError
from tests.cloud.worlds import CONSTANT, cloud, offer

NAME = "c5.large/on_demand"
OTHER = "p2.xlarge/on_demand"


def settings(**changes: object) -> SimulationSettings:
    return SimulationSettings(launch=CONSTANT, api=ApiSettings(**changes))  # type: ignore[arg-type]


def test_a_bucket_is_full_at_first_gains_by_the_second_and_never_overflows() -> None:
    bucket = TokenBucket(5.0, 0.5, 100.0)
    assert bucket.take(3, 100.0) == 3
    assert bucket.take(3, 100.0) == 2
    assert bucket.take(1, 101.0) == 0
    assert bucket.take(1, 102.0) == 1
    assert bucket.take(9, 1e6) == 5
    assert TokenBucket(None, 0.0, 0.0).take(10**6, 0.0) == 10**6


def test_launch_calls_beyond_the_limit_are_refused_and_work_at_a_later_step() -> None:
    limit = RateLimit(calls_burst=1.0, calls_per_s=0.1)
    backend = cloud([offer(), offer(OTHER)], settings=settings(launch=limit))
    report = backend.apply(Actions("a", launch={NAME: 2, OTHER: 3}))
    # One call per offer: the second finds no token, whatever it asks for.
    assert len(report.launched[NAME]) == 2
    assert report.launched[OTHER] == ()
    assert report.refused == (f"launch {OTHER}: request limit exceeded",) * 3
    assert backend.apply(Actions("a", launch={NAME: 2, OTHER: 3})) == report
    backend.advance(9.0)
    assert backend.apply(Actions("b", launch={OTHER: 3})).launched[OTHER] == ()
    backend.advance(10.0)
    assert len(backend.apply(Actions("c", launch={OTHER: 3})).launched[OTHER]) == 3
    assert backend.close().launches == 5


def test_instances_beyond_the_resource_limit_are_refused_one_by_one() -> None:
    limit = RateLimit(instances_burst=4.0, instances_per_s=1.0)
    backend = cloud([offer()], settings=settings(launch=limit, terminate=limit))
    report = backend.apply(Actions("a", launch={NAME: 6}))
    assert len(report.launched[NAME]) == 4
    assert len(report.refused) == 2
    backend.advance(3.0)
    more = backend.apply(Actions("b", launch={NAME: 6}))
    assert len(more.launched[NAME]) == 3
    ids = (*report.launched[NAME], *more.launched[NAME])
    ended = backend.apply(Actions("c", terminate=ids))
    assert ended.terminated == ids[:4]
    assert ended.refused == tuple(f"terminate {i}: request limit exceeded" for i in ids[4:])
    assert {i.instance_id for i in backend.observe().instances} == set(ids[4:])


def test_a_share_of_calls_fails_and_changes_nothing() -> None:
    backend = cloud([offer()], settings=settings(error_share=0.3), end_s=7200.0)
    failed = 0
    for at in range(500):
        report = backend.apply(Actions(f"d{at}", launch={NAME: 1}))
        failed += not report.launched[NAME]
        if not report.launched[NAME]:
            assert report.refused == (f"launch {NAME}: internal error",)
    assert failed == pytest.approx(150, abs=3 * np.sqrt(500 * 0.21))
    assert backend.close().launches == 500 - failed


def test_a_failed_call_to_end_leaves_the_instances_running() -> None:
    backend = cloud([offer()], fleet={NAME: 2}, settings=settings(error_share=1.0))
    ids = tuple(i.instance_id for i in backend.observe().instances)
    report = backend.apply(Actions("d", terminate=ids))
    assert report.terminated == ()
    assert report.refused == tuple(f"terminate {i}: internal error" for i in ids)
    backend.advance(100.0)
    assert [i.state for i in backend.observe().instances] == [InstanceState.READY] * 2


def test_launches_show_late_though_their_ids_are_known_at_once() -> None:
    backend = cloud([offer()], settings=settings(visible_after_s=30.0), end_s=600.0)
    for at in range(40):
        now_s = at * 10.0
        backend.advance(now_s)
        ids = backend.apply(Actions(f"d{at}", launch={NAME: 2})).launched[NAME]
        assert len(ids) == 2
    lives = {life.instance_id: life.launched_s for life in backend.lives()}
    late = {i: s for i, s in lives.items() if s > 300.0}
    listed = {i.instance_id for i in backend.observe().instances}
    assert set(late) - listed
    # Instances of one action and offer appear together.
    pairs = [(f"i-{n:06d}", f"i-{n + 1:06d}") for n in range(1, 80, 2)]
    assert all((a in listed) == (b in listed) for a, b in pairs)
    backend.advance(600.0)
    assert {i.instance_id for i in backend.observe().instances} == set(lives)


def test_launches_take_their_mean_time_to_show() -> None:
    backend = cloud([offer()], settings=settings(visible_after_s=20.0), end_s=400.0)
    for at in range(400):
        backend.apply(Actions(f"d{at}", launch={NAME: 1}))
    listed_by = []
    for second in range(1, 300):
        backend.advance(float(second))
        listed_by.append(len(backend.observe().instances))
    hidden_s = np.sum(400 - np.array(listed_by)) + 200.0
    assert hidden_s / 400 == pytest.approx(20.0, rel=0.2)


def test_an_ended_instance_is_listed_as_it_was_until_its_end_shows() -> None:
    backend = cloud([offer()], fleet={NAME: 50}, settings=settings(visible_after_s=20.0))
    backend.advance(100.0)
    ids = tuple(i.instance_id for i in backend.observe().instances)
    assert backend.apply(Actions("d", terminate=ids[:1])).terminated == ids[:1]
    for at, one in enumerate(ids[1:]):
        backend.apply(Actions(f"d{at}", terminate=(one,)))
    backend.advance(101.0)
    ghosts = backend.observe().instances
    assert len(ghosts) > 35
    assert {i.state for i in ghosts} == {InstanceState.READY}
    assert {i.age_s for i in ghosts} == {101.0}
    # To end one again is no error and changes nothing; one that no longer shows is unknown.
    again = backend.apply(Actions("again", terminate=(ghosts[0].instance_id,)))
    assert again.terminated == (ghosts[0].instance_id,)
    backend.advance(400.0)
    assert backend.observe().instances == ()
    assert "no such instance" in backend.apply(Actions("e", terminate=ids[:1])).refused[0]
    assert backend.close().billed_s[NAME] == pytest.approx(50 * 100.0)


def test_by_default_the_api_is_perfect() -> None:
    backend = cloud([offer()])
    report = backend.apply(Actions("d", launch={NAME: 5000}))
    assert len(report.launched[NAME]) == len(backend.observe().instances) == 5000
    assert len(backend.apply(Actions("e", terminate=report.launched[NAME])).terminated) == 5000


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: RateLimit(calls_burst=0.0), "calls_burst must be at least 1"),
        (lambda: RateLimit(instances_burst=0.5), "instances_burst must be at least 1"),
        (lambda: RateLimit(calls_per_s=-1.0), "calls_per_s must not be negative"),
        (lambda: ApiSettings(error_share=1.1), r"error_share: must lie in \[0, 1\]"),
        (lambda: ApiSettings(visible_after_s=-1.0), "visible_after_s: must not be negative"),
    ],
)
def test_an_api_setting_out_of_range_is_an_error_that_names_it(make, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        make()
