"""Recorded spot capacity is replayed: never more instances than it gives, notice when it falls."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cloud.simulated import SimulationSettings
from markopt.cloud.simulated.markets.recorded_capacity import (
    AvailabilityTrace,
    RecordedCapacityMarket,
    RecordedCapacitySettings,
    read_availability,
)
from markopt.core import Actions
from markopt.errors import ConfigError, DataError
from tests.cloud.worlds import CONSTANT, Poisson, cloud, offer

SPOT = "c5.large/spot"
OTHER = "p2.xlarge/spot"
RECORD = "trace_id,start_s,end_s,value\na,0,600,4\na,600,900,1\na,900,3600,6\nb,0,3600,2\n"


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = tmp_path / "spot.csv"
    path.write_text(RECORD)
    return str(path)


def replayed(record: str, **changes: object) -> SimulationSettings:
    return SimulationSettings(
        launch=CONSTANT,
        market=RecordedCapacitySettings(record, **changes),  # type: ignore[arg-type]
    )


def test_launches_beyond_the_recorded_capacity_are_refused(record: str) -> None:
    backend = cloud([offer(SPOT), offer(OTHER), offer()], settings=replayed(record))
    report = backend.apply(Actions("d", launch={SPOT: 9, OTHER: 9, "c5.large/on_demand": 9}))
    # Pools by name: c5.large takes the first trace, p2.xlarge the second.
    assert {name: len(ids) for name, ids in report.launched.items()} == {
        SPOT: 4,
        OTHER: 2,
        "c5.large/on_demand": 9,
    }
    assert len(report.refused) == 12


def test_a_fall_gives_notice_to_just_those_that_are_too_many(record: str) -> None:
    backend = cloud([offer(SPOT)], fleet={SPOT: 4}, settings=replayed(record))
    backend.advance(599.0)
    assert not any(one.notice for one in backend.observe().instances)
    backend.advance(601.0)
    assert sum(one.notice for one in backend.observe().instances) == 3
    assert backend.apply(Actions("early", launch={SPOT: 1})).launched[SPOT] == ()
    backend.advance(721.0)
    assert len(backend.observe().instances) == 1
    assert backend.apply(Actions("long", launch={SPOT: 1})).launched[SPOT] == ()
    backend.advance(901.0)
    assert len(backend.apply(Actions("late", launch={SPOT: 9})).launched[SPOT]) == 5
    backend.advance(3600.0)
    assert backend.close().interruptions == 3


def test_a_noticed_instance_is_not_taken_twice_when_capacity_falls_again(tmp_path: Path) -> None:
    path = tmp_path / "spot.csv"
    path.write_text("trace_id,start_s,end_s,value\na,0,60,4\na,60,90,3\na,90,3600,2\n")
    backend = cloud([offer(SPOT)], fleet={SPOT: 4}, settings=replayed(str(path)))
    backend.advance(100.0)
    assert sum(one.notice for one in backend.observe().instances) == 2


def test_offset_and_scale_read_the_record_from_elsewhere_in_other_units(record: str) -> None:
    chosen = replayed(
        record,
        traces=("a",),
        offset_s=700.0,
        scale=5,
    )
    backend = cloud([offer(SPOT)], settings=chosen, start_s=40.0, end_s=1000.0)
    assert len(backend.apply(Actions("d", launch={SPOT: 99})).launched[SPOT]) == 5
    backend.advance(40.0 + 201.0)
    assert len(backend.apply(Actions("e", launch={SPOT: 99})).launched[SPOT]) == 25


def test_what_is_bought_does_not_move_the_record(record: str) -> None:
    ends = []
    for bought in (0, 2):
        backend = cloud(
            [offer(SPOT), offer(OTHER)],
            fleet={SPOT: 4},
            arrivals=Poisson(5.0),
            settings=replayed(record),
        )
        backend.apply(Actions("buy", launch={OTHER: bought}))
        backend.advance(1000.0)
        ends.append({i.instance_id for i in backend.observe().instances if i.offer == SPOT})
    assert ends[0] == ends[1]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    wanted=st.lists(st.integers(0, 4), min_size=8, max_size=8),
    seed=st.integers(0, 99),
)
def test_never_do_more_instances_stay_than_the_record_gives(
    counts: list[int], wanted: list[int], seed: int
) -> None:
    trace = AvailabilityTrace(
        "drawn", np.arange(len(counts)) * 100.0, np.array(counts), len(counts) * 100.0
    )
    market = RecordedCapacityMarket(
        [offer(SPOT)],
        [trace],
        start_s=0.0,
        end_s=trace.end_s,
        offset_s=0.0,
        scale=1,
        seed=np.random.SeedSequence(seed),
    )
    pool = market.pools[0]
    staying, shock_s = 0, market.next_shock_s(pool, 0.0)
    for at, count in enumerate(counts):
        now_s = at * 100.0
        if shock_s == now_s:
            before = staying
            staying -= int(market.strike(pool, np.zeros(staying, np.bool_), now_s).sum())
            assert staying == min(before, count)
            shock_s = market.next_shock_s(pool, now_s)
        for _ in range(wanted[at]):
            staying += market.available(offer(SPOT), now_s, staying)
        assert staying <= count
    assert shock_s > (len(counts) - 1) * 100.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the header 'trace_id,start_s,end_s,value', got 'a,b'"),
        ("trace_id,start_s,end_s,value\n", "expected at least one run"),
        ("trace_id,start_s,end_s,value\nx,0,9,0.5\n", "trace 'x': value at 0 s must be a whole"),
        ("trace_id,start_s,end_s,value\nx,0,9,-1\n", "must be a whole count, got -1"),
        ("trace_id,start_s,end_s,value\nx,0,0,1\n", "the run from 0 s must end after it"),
        ("trace_id,start_s,end_s,value\nx,0,9,1\nx,12,20,1\n", "expected a run from 9 s, got 12"),
        ("trace_id,start_s,end_s,value\nx,0,9,many\n", "trace 'x': expected numbers"),
    ],
)
def test_a_wrong_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "spot.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"spot\.csv") as caught:
        read_availability(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_record_an_unknown_trace_and_a_short_one_are_named(record: str) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        cloud([offer(SPOT)], settings=replayed("nowhere.csv"))
    with pytest.raises(ConfigError, match="has no trace 'z'"):
        cloud([offer(SPOT)], settings=replayed(record, traces=("z",)))
    with pytest.raises(ConfigError, match="ends at 3600 s, but 7200 s are needed"):
        cloud([offer(SPOT)], settings=replayed(record), end_s=7200.0)
    with pytest.raises(ConfigError, match=r"cloud\.market\.scale"):
        replayed(record, scale=0)


def test_the_real_traces_are_read_and_replayed() -> None:
    folder = Path(os.environ.get("MARKOPT_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = folder / "spot" / "spot_availability_traces.csv.gz"
    if not path.exists():
        pytest.skip(f"real spot availability traces are not at {folder}")
    traces = read_availability(path)
    assert len(traces) == 34
    assert all(trace.end_s > 86400.0 for trace in traces.values())
    backend = cloud([offer(SPOT)], settings=replayed(str(path), scale=8))
    backend.advance(3600.0)
    backend.close()
