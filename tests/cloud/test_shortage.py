"""Pools that give no more instances for a while, and requests that are fulfilled in part."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.cloud.simulated import ShortageSettings, SimulationSettings
from markopt.cloud.simulated.shortage import Shortages
from markopt.core import Actions
from markopt.errors import ConfigError
from tests.cloud.worlds import cloud, offer

NAME = "c5.large/on_demand"


def shortages(**changes: float) -> Shortages:
    return Shortages(
        ShortageSettings(**changes),  # type: ignore[arg-type]
        start_s=0.0,
        seed=np.random.SeedSequence(4),
    )


def spells(pool: Shortages, name: str, seconds: int) -> list[bool]:
    return [pool.gives(offer(name), float(s)) for s in range(seconds)]


def test_shortages_take_the_share_of_time_that_their_means_say() -> None:
    pool, one = shortages(every_s=300.0, lasts_s=100.0), offer(NAME)
    given = np.array([pool.gives(one, 5.0 * step) for step in range(80_000)])
    assert 1.0 - given.mean() == pytest.approx(0.25, abs=0.02)
    begins = np.sum(given[:-1] & ~given[1:])
    assert begins == pytest.approx(1000, rel=0.1)


def test_there_are_none_by_default_and_never_any_for_spot() -> None:
    assert all(spells(shortages(), NAME, 1000))
    assert all(spells(shortages(every_s=1e-3, lasts_s=1e9), "c5.large/spot", 100))


def test_what_is_asked_of_a_pool_changes_neither_its_shortages_nor_anothers() -> None:
    asked, quiet = (shortages(every_s=50.0, lasts_s=50.0) for _ in range(2))
    often = spells(asked, NAME, 2000)
    spells(asked, "p2.xlarge/on_demand", 2000)
    assert often[1999] == quiet.gives(offer(NAME), 1999.0)
    later = [quiet.gives(offer(NAME), float(s)) for s in range(2000, 3000)]
    assert later == [asked.gives(offer(NAME), float(s)) for s in range(2000, 3000)]
    assert spells(shortages(every_s=50.0, lasts_s=50.0), NAME, 2000) == often


def test_options_of_one_pool_are_short_together() -> None:
    pool = shortages(every_s=50.0, lasts_s=50.0)
    same = [
        (pool.gives(offer("t2.medium/on_demand"), s), pool.gives(offer("t2.medium/burstable"), s))
        for s in np.arange(0.0, 1000.0)
    ]
    assert all(a == b for a, b in same)
    assert {a for a, _ in same} == {True, False}


def test_a_request_beyond_what_is_left_is_fulfilled_in_part_with_reasons() -> None:
    settings = SimulationSettings(shortage=ShortageSettings(every_s=1e-6, lasts_s=1e9, left=3.0))
    for seed in range(20):
        backend = cloud([offer(stock=50)], settings=settings, seed=seed)
        backend.advance(10.0)
        report = backend.apply(Actions("d", launch={NAME: 12}))
        got = len(report.launched[NAME])
        reason = f"launch {NAME}: insufficient capacity in pool c5.large/us-east-1"
        assert report.refused == (reason,) * (12 - got)
        assert backend.apply(Actions("e", launch={NAME: 1})).launched[NAME] == ()
        if 0 < got < 12:
            break
    else:
        pytest.fail("no request was fulfilled in part")
    assert backend.close().launches == got


def test_capacity_returns_when_the_shortage_is_over() -> None:
    settings = SimulationSettings(shortage=ShortageSettings(every_s=300.0, lasts_s=60.0))
    backend = cloud([offer()], settings=settings, end_s=7200.0)
    got = []
    for at in range(720):
        backend.advance(at * 10.0)
        got.append(len(backend.apply(Actions(f"d{at}", launch={NAME: 1})).launched[NAME]))
    assert 0 in got
    first = got.index(0)
    assert 1 in got[:first]
    assert 1 in got[first:]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("every_s", 0.0, "must be positive"),
        ("lasts_s", -1.0, "must not be negative"),
        ("left", float("inf"), "must not be negative"),
    ],
)
def test_a_shortage_setting_out_of_range_is_an_error_that_names_it(
    key: str, value: float, expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.shortage\.{key}: {expected}"):
        ShortageSettings(**{key: value})  # type: ignore[arg-type]
