"""Scripted spot interruptions: just those stated, at the times stated, then the stated outage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from markopt.cloud.simulated import SimulatedCloud, SimulationSettings
from markopt.cloud.simulated.markets import ScriptedSettings
from markopt.core import Actions
from markopt.errors import ConfigError
from tests.cloud.worlds import CONSTANT, cloud, offer

SPOT = "c5.large/spot"
OTHER = "p2.xlarge/spot"


def scripted(
    *interruptions: Mapping[str, Any], fleet: Mapping[str, int], start_s: float = 0.0
) -> SimulatedCloud:
    return cloud(
        [offer(SPOT, hazard_per_h=50.0), offer(OTHER, hazard_per_h=50.0), offer()],
        fleet=fleet,
        settings=SimulationSettings(market=ScriptedSettings(interruptions), launch=CONSTANT),
        start_s=start_s,
        end_s=start_s + 7200.0,
    )


def noticed(backend: SimulatedCloud) -> list[str]:
    return [one.offer for one in backend.observe().instances if one.notice]


def test_without_a_script_nothing_interrupts_whatever_the_hazard() -> None:
    backend = scripted(fleet={SPOT: 20})
    backend.advance(7200.0)
    assert backend.close().interruptions == 0


def test_a_share_is_rounded_up_in_every_spot_pool_and_spares_on_demand() -> None:
    fleet = {SPOT: 5, OTHER: 1, "c5.large/on_demand": 4}
    backend = scripted({"at_s": 600, "share": 0.5}, fleet=fleet, start_s=86_400.0)
    backend.advance(86_400.0 + 599.9)
    assert noticed(backend) == []
    backend.advance(86_400.0 + 600.1)
    assert sorted(noticed(backend)) == [SPOT] * 3 + [OTHER]
    # The oldest go.
    ids = [one.instance_id for one in backend.observe().instances if one.notice]
    assert ids == ["i-000001", "i-000002", "i-000003", "i-000006"]
    backend.advance(86_400.0 + 720.1)
    assert len(backend.observe().instances) == 10 - 4
    assert backend.close().interruptions == 4


def test_a_count_strikes_the_named_pool_only_and_at_most_what_runs() -> None:
    one = {"at_s": 60.0, "count": 2, "pool": "p2.xlarge/us-east-1"}
    backend = scripted(one, fleet={SPOT: 3, OTHER: 3})
    backend.advance(61.0)
    assert noticed(backend) == [OTHER, OTHER]
    few = scripted({**one, "count": 9}, fleet={SPOT: 3, OTHER: 3})
    few.advance(61.0)
    assert noticed(few) == [OTHER] * 3


def test_entries_at_the_same_time_add_up_and_never_take_twice() -> None:
    both = ({"at_s": 60, "count": 2}, {"at_s": 60, "share": 0.5}, {"at_s": 90, "share": 1.0})
    backend = scripted(*both, fleet={SPOT: 6})
    backend.advance(61.0)
    assert len(noticed(backend)) == 4
    backend.advance(91.0)
    assert len(noticed(backend)) == 6
    backend.advance(300.0)
    assert backend.close().interruptions == 6


def test_during_the_outage_every_request_is_refused_however_often_it_is_made() -> None:
    backend = scripted({"at_s": 600, "count": 1, "outage_s": 1800}, fleet={SPOT: 2})
    for step, time_s in enumerate(range(600, 2400, 20)):
        backend.advance(float(time_s) + 0.5)
        report = backend.apply(Actions(f"d{step}", launch={SPOT: 3, "c5.large/on_demand": 0}))
        assert report.launched[SPOT] == ()
        assert len(report.refused) == 3
    backend.advance(2399.9)
    assert backend.apply(Actions("last", launch={SPOT: 1})).launched[SPOT] == ()
    backend.advance(2400.0)
    assert len(backend.apply(Actions("after", launch={SPOT: 3})).launched[SPOT]) == 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"at_s": 1}, "needs either share or count"),
        ({"at_s": 1, "share": 0.5, "count": 1}, "needs either share or count"),
        ({"at_s": 1, "share": 0.0}, r"share: must be a number in \(0, 1\], got 0.0"),
        ({"at_s": 1, "share": "all"}, "share: must be a number"),
        ({"at_s": 1, "count": 0}, "count: must be a whole number from 1 on, got 0"),
        ({"at_s": 1, "count": True}, "count: must be a whole number"),
        ({"at_s": -1, "count": 1}, "at_s: must be a number of seconds from 0 on, got -1"),
        ({"count": 1}, "at_s: must be a number of seconds from 0 on, got None"),
        ({"at_s": 1, "count": 1, "outage_s": float("nan")}, "outage_s: must be a number"),
        ({"at_s": 1, "count": 1, "pool": 3}, "pool: must be a pool's name or null, got 3"),
        ({"at_s": 1, "count": 1, "zone": "a"}, "zone: no such key; keys: at_s, share"),
        ("soon", "expected keys at_s"),
    ],
)
def test_a_wrong_entry_is_named(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.market\.interruptions\[0\].*{message}"):
        ScriptedSettings([entry])


def test_a_pool_without_a_spot_offer_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no spot offer in pool 'x/y'; spot pools: \['c5"):
        scripted({"at_s": 1, "count": 1, "pool": "x/y"}, fleet={})
