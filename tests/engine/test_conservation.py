"""Nothing is lost, counted twice, or served by a server that is not in service."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from markopt.core import RequestStatistics
from markopt.engine import (
    Bouncer,
    Dispatcher,
    EngineSettings,
    FunctionKind,
    Path,
    RequestEngine,
    ServerKind,
    latency_edges_s,
)
from tests.fuzzing import examples

KINDS = (
    ServerKind((0.1,), service_time_cv=0.3),
    ServerKind((0.05, 0.06, 0.075, 0.09), wait_s=0.04, service_time_cv=0.1, weight=7.0),
    ServerKind((0.08, 0.1), wait_s=0.0, guard=1.2, weight=3.0),
)
FUNCTION = FunctionKind(0.15, 0.4, idle_timeout_s=2.0, concurrency_limit=15, service_time_cv=0.2)
SPAN_S = 20.0


def random_engine(
    seed: int, dispatcher: Dispatcher, *, bouncer: Bouncer, function: bool, record: bool = True
) -> RequestEngine:
    return RequestEngine(
        EngineSettings(
            0.25, dispatcher, bouncer=bouncer, queue_limit_s=0.8, bin_s=1.0, record_requests=record
        ),
        KINDS,
        FUNCTION if function else None,
        start_s=0.0,
        end_s=SPAN_S,
        seed=seed,
    )


def random_steps(engine: RequestEngine, seed: int, steps: int = 40) -> list[NDArray[np.float64]]:
    """Drive an engine through random fleets and loads, checking its counts after each block."""
    generator = np.random.default_rng(seed)
    slots: list[int] = []
    blocks = []
    times_s = np.linspace(0.0, SPAN_S, steps + 1)
    for from_s, to_s in itertools.pairwise(times_s.tolist()):
        kinds = generator.integers(len(KINDS), size=generator.integers(0, 4))
        slots.extend(engine.add_server(kind, from_s) for kind in kinds.tolist())
        for _ in range(int(generator.integers(0, 3))):
            if slots:
                engine.remove_server(slots.pop(int(generator.integers(len(slots)))))
        engine.set_provisioned_functions(int(generator.integers(0, 8)), from_s)
        count = generator.poisson(generator.choice([0.0, 20.0, 150.0]))
        blocks.append(np.sort(generator.uniform(from_s, to_s, count)))
        engine.serve(blocks[-1])
        engine.advance(to_s)
        assert_conserved(engine, np.concatenate(blocks))
    return blocks


def answered(statistics: RequestStatistics) -> int:
    return int(sum(counts.sum() for counts in statistics.latency_counts.values()))


def assert_conserved(engine: RequestEngine, arrivals_s: NDArray[np.float64]) -> None:
    """Demand that counts, bins, histograms and, where kept, single results say the same."""
    statistics = engine.statistics(SPAN_S)
    assert engine.requests == statistics.requests == len(arrivals_s)
    refused = int(statistics.refused.sum())
    assert engine.requests == answered(statistics) + refused + engine.in_batches
    functions = statistics.latency_counts["lambda"].sum()
    cold = statistics.latency_counts["lambda_cold"].sum()
    assert engine.function_invocations == functions + cold == statistics.spilled.sum()
    assert engine.function_cold_starts == cold
    per_bin = np.histogram(arrivals_s, bins=np.arange(SPAN_S + 1.0))[0]
    assert statistics.arrivals.tolist() == per_bin.tolist()
    assert (statistics.late + statistics.refused <= statistics.arrivals).all()
    if engine.settings.record_requests:
        assert_results_fit(engine, statistics, arrivals_s)


def assert_results_fit(
    engine: RequestEngine, statistics: RequestStatistics, arrivals_s: NDArray[np.float64]
) -> None:
    response_s, path = engine.request_results()
    assert (path == -1).sum() == engine.in_batches
    assert (path == Path.REFUSED).sum() == statistics.refused.sum()
    assert (path == Path.FUNCTION_COLD).sum() == engine.function_cold_starts
    known = np.isfinite(response_s)
    assert known.tolist() == ((path >= 0) & (path != Path.REFUSED)).tolist()
    assert (response_s[known] > 0.0).all()
    late = known & (response_s > engine.settings.rt_max_s + 1e-9)
    per_bin = np.histogram(arrivals_s[late], bins=np.arange(SPAN_S + 1.0))[0]
    assert statistics.late.tolist() == per_bin.tolist()
    assert statistics.latency_sum_s == pytest.approx(response_s[known].sum())
    assert statistics.latency_max_s == (response_s[known].max() if known.any() else 0.0)


seeds = st.integers(0, 2**32 - 1)
dispatchers = st.sampled_from(Dispatcher)


@settings(max_examples=examples(60), deadline=None)
@given(seed=seeds, dispatcher=dispatchers, bouncer=st.sampled_from(Bouncer), function=st.booleans())
def test_every_request_is_answered_refused_or_in_a_batch_at_any_time(
    seed: int, dispatcher: Dispatcher, bouncer: Bouncer, function: bool
) -> None:
    engine = random_engine(seed, dispatcher, bouncer=bouncer, function=function)
    blocks = random_steps(engine, seed)
    engine.finish()
    assert engine.in_batches == 0
    assert_conserved(engine, np.concatenate(blocks))


@settings(max_examples=examples(30), deadline=None)
@given(seed=seeds, dispatcher=dispatchers, bouncer=st.sampled_from(Bouncer))
def test_keeping_single_results_changes_no_count(
    seed: int, dispatcher: Dispatcher, bouncer: Bouncer
) -> None:
    engines = [
        random_engine(seed, dispatcher, bouncer=bouncer, function=True, record=record)
        for record in (True, False)
    ]
    for engine in engines:
        random_steps(engine, seed)
        engine.finish()
    first, second = (engine.statistics(SPAN_S) for engine in engines)
    for name in ("arrivals", "late", "refused", "spilled"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    for path, counts in first.latency_counts.items():
        assert counts.tolist() == second.latency_counts[path].tolist()
    assert first.latency_sum_s == second.latency_sum_s
    assert engines[0].function_billed_s == engines[1].function_billed_s


@settings(max_examples=examples(30), deadline=None)
@given(seed=seeds, dispatcher=dispatchers, cuts=st.lists(st.integers(0, 300), max_size=6))
def test_how_requests_are_cut_into_blocks_changes_no_result(
    seed: int, dispatcher: Dispatcher, cuts: list[int]
) -> None:
    arrivals_s = np.sort(np.random.default_rng(seed).uniform(0.0, SPAN_S, 300))
    results = []
    for blocks in ([arrivals_s], np.split(arrivals_s, sorted(cuts))):
        engine = random_engine(seed, dispatcher, bouncer=Bouncer.PREDICTED_DEADLINE, function=True)
        for kind in (0, 1, 2):
            engine.add_server(kind, 0.0)
        for block in blocks:
            engine.serve(block)
            if len(block):
                engine.advance(float(block[-1]))
        engine.finish()
        results.append(engine.request_results())
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@settings(max_examples=examples(40), deadline=None)
@given(seed=seeds, bouncer=st.sampled_from(Bouncer), batch=st.integers(1, 4))
def test_a_server_answers_only_what_arrived_while_it_was_in_service(
    seed: int, bouncer: Bouncer, batch: int
) -> None:
    # Each server is of a kind of its own, whose constant service time names it.
    generator = np.random.default_rng(seed)
    names_s = 1.0 + 0.01 * np.arange(6)
    kinds = [ServerKind((float(name_s),) * batch) for name_s in names_s]
    engine = RequestEngine(
        EngineSettings(1.9, bouncer=bouncer, queue_limit_s=0.0, record_requests=True),
        kinds,
        None,
        start_s=0.0,
        end_s=100.0,
        seed=seed,
    )
    from_s = np.sort(generator.uniform(0.0, 50.0, 6))
    to_s = from_s + generator.uniform(0.0, 40.0, 6)
    arrivals_s = np.sort(generator.uniform(0.0, 100.0, 400))
    events = sorted(
        [(t, 0, k) for k, t in enumerate(from_s)] + [(t, 1, k) for k, t in enumerate(to_s)]
    )
    slots: dict[int, int] = {}
    served = 0
    for time_s, leaves, kind in events:
        until = int(np.searchsorted(arrivals_s, time_s))
        engine.serve(arrivals_s[served:until])
        served = until
        if leaves:
            engine.remove_server(slots[kind])
        else:
            slots[kind] = engine.add_server(kind, time_s)
    engine.serve(arrivals_s[served:])
    engine.finish()
    response_s, path = engine.request_results()
    if not bouncer:
        # Nobody waits, so the response time is the service time.
        served_by = np.rint((response_s - 1.0) / 0.01)
        for kind in range(6):
            mine = arrivals_s[served_by == kind]
            assert (mine >= from_s[kind]).all()
            assert (mine < to_s[kind]).all()
    in_service = (arrivals_s[:, None] >= from_s) & (arrivals_s[:, None] < to_s)
    assert (path[~in_service.any(axis=1)] == Path.REFUSED).all()
    assert (path == Path.INSTANCES).any() or not in_service.any()


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds, scale_s=st.sampled_from([1e-3, 0.05, 1.0, 300.0]))
def test_histogram_quantiles_are_within_one_percent_of_exact_ones(
    seed: int, scale_s: float
) -> None:
    kind = ServerKind((scale_s,), service_time_cv=1.0)
    arrivals_s = np.sort(np.random.default_rng(seed).uniform(0.0, 2500.0 * scale_s, 5000))
    engine = RequestEngine(
        EngineSettings(scale_s, bouncer=Bouncer.NONE, queue_limit_s=1e9, record_requests=True),
        [kind],
        None,
        start_s=0.0,
        end_s=2501.0 * scale_s,
        seed=seed,
    )
    for _ in range(3):
        engine.add_server(0, 0.0)
    engine.serve(arrivals_s)
    engine.finish()
    statistics = engine.statistics(2501.0 * scale_s)
    response_s = np.sort(engine.request_results()[0])
    for level in (0.01, 0.5, 0.9, 0.98, 0.999, 1.0):
        exact_s = response_s[int(np.ceil(level * len(response_s))) - 1]
        assert statistics.latency_quantile_s(level) == pytest.approx(exact_s, rel=0.01)
    assert statistics.attainment == pytest.approx((response_s <= scale_s + 1e-9).mean())


def test_histogram_edges_are_at_most_one_percent_apart() -> None:
    edges_s = latency_edges_s()
    assert edges_s[0] == 2.0**-15
    assert edges_s[-1] == 2.0**15
    widths = edges_s[1:] / edges_s[:-1] - 1.0
    assert (widths > 0.0).all()
    assert widths.max() < 0.01


@pytest.mark.parametrize("response_s", [1e-6, 3.05e-5, 0.0305, 0.5, 1.0, 777.7, 5e4])
def test_response_times_fall_into_their_histogram_bin(response_s: float) -> None:
    engine = RequestEngine(
        EngineSettings(1.0, bouncer=Bouncer.NONE),
        [ServerKind((response_s,))],
        None,
        start_s=0.0,
        end_s=10.0,
        seed=0,
    )
    engine.add_server(0, 0.0)
    engine.serve(np.array([0.0]))
    statistics = engine.statistics(10.0)
    counts = statistics.latency_counts["instances"]
    edges_s = statistics.latency_edges_s
    # Outside the histogram the end bins hold, and the largest time is kept exactly.
    expected = np.clip(np.searchsorted(edges_s, response_s, side="right") - 1, 0, len(counts) - 1)
    assert np.flatnonzero(counts).tolist() == [expected]
    assert statistics.latency_max_s == response_s


def test_late_answers_are_known_when_they_are_given() -> None:
    engine = RequestEngine(
        EngineSettings(1.0, bouncer=Bouncer.NONE, bin_s=1.0),
        [ServerKind((3.5,))],
        None,
        start_s=0.0,
        end_s=10.0,
        seed=0,
    )
    engine.add_server(0, 0.0)
    engine.serve(np.array([0.5]))
    assert engine.counts(0, 10)["late"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert engine.statistics(10.0).late.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_slots_are_reused_and_their_number_grows_beyond_the_first_sixty_four() -> None:
    engine = random_engine(1, Dispatcher.LEAST_EXPECTED_DELAY, bouncer=Bouncer.NONE, function=False)
    slots = [engine.add_server(0, 0.0) for _ in range(300)]
    assert slots == list(range(300))
    engine.serve(np.full(300, 0.5))
    # All are busy now, so that the leavers' requests are answered although their slots go on.
    assert engine.remove_server(17) > 0.5
    engine.remove_server(250)
    assert engine.add_server(1, 0.6) == 250
    assert engine.add_server(1, 0.6) == 17
    assert engine.add_server(1, 0.6) == 300
    engine.serve(np.full(3, 0.7))
    engine.finish()
    response_s, path = engine.request_results()
    assert (path == Path.INSTANCES).all()
    # Each of the 300 requests had a server of its own: no waiting.
    assert response_s[:300].max() < 0.1 * 4.0
    assert engine.requests == 303


@pytest.mark.parametrize("dispatcher", Dispatcher)
def test_a_grown_fleet_serves_like_one_that_was_large_from_the_start(
    dispatcher: Dispatcher,
) -> None:
    arrivals_s = np.sort(np.random.default_rng(5).uniform(0.0, SPAN_S, 20_000))
    results = []
    for before in (200, 3):
        engine = random_engine(2, dispatcher, bouncer=Bouncer.PREDICTED_DEADLINE, function=True)
        for _ in range(before):
            engine.add_server(1, 0.0)
        engine.serve(np.empty(0))
        for _ in range(200 - before):
            engine.add_server(1, 0.0)
        engine.serve(arrivals_s)
        engine.finish()
        results.append(engine.request_results())
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@settings(max_examples=examples(25), deadline=None)
@given(seed=seeds, dispatcher=dispatchers)
def test_without_queue_limit_and_bouncer_nothing_is_refused_while_a_server_is_there(
    seed: int, dispatcher: Dispatcher
) -> None:
    engine = random_engine(seed, dispatcher, bouncer=Bouncer.NONE, function=False)
    engine = RequestEngine(
        replace(engine.settings, queue_limit_s=1e9), KINDS, None, start_s=0.0, end_s=20.0, seed=seed
    )
    engine.add_server(0, 0.0)
    engine.add_server(1, 0.0)
    engine.serve(np.sort(np.random.default_rng(seed).uniform(0.0, 10.0, 500)))
    engine.finish()
    assert (engine.request_results()[1] == Path.INSTANCES).all()


@settings(max_examples=examples(40), deadline=None)
@given(seed=seeds, dispatcher=dispatchers)
def test_bouncer_keeps_every_promise_where_service_times_are_constant(
    seed: int, dispatcher: Dispatcher
) -> None:
    kinds = [replace(kind, service_time_cv=0.0, guard=1.0) for kind in KINDS]
    engine = RequestEngine(
        EngineSettings(0.2, dispatcher, record_requests=True),
        kinds,
        None,
        start_s=0.0,
        end_s=SPAN_S,
        seed=seed,
    )
    for kind in (0, 0, 1, 1, 2):
        engine.add_server(kind, 0.0)
    engine.serve(np.sort(np.random.default_rng(seed).uniform(0.0, SPAN_S, 3000)))
    engine.finish()
    response_s, path = engine.request_results()
    assert response_s[path == Path.INSTANCES].max() <= 0.2 + 1e-9
    assert engine.statistics(SPAN_S).late.sum() == 0
    assert (path == Path.REFUSED).any()


@settings(max_examples=examples(20), deadline=None)
@given(seed=seeds, dispatcher=dispatchers, bouncer=st.sampled_from(Bouncer))
def test_results_taken_now_and_then_are_the_results(
    seed: int, dispatcher: Dispatcher, bouncer: Bouncer
) -> None:
    whole = random_engine(seed, dispatcher, bouncer=bouncer, function=True)
    parts = random_engine(seed, dispatcher, bouncer=bouncer, function=True)
    generator = np.random.default_rng(seed)
    arrivals_s = np.sort(generator.uniform(0.0, SPAN_S, 2_000))
    taken = []
    for engine in (whole, parts):
        for kind in (0, 1, 1):
            engine.add_server(kind, 0.0)
        for block_s in np.split(arrivals_s, [1, 300, 301, 1500]):
            engine.serve(block_s)
            if engine is parts:
                taken.append(engine.take_request_results())
        engine.finish()
    taken.append(parts.take_request_results())
    response_s, path = whole.request_results()
    np.testing.assert_array_equal(np.concatenate([r for r, _ in taken]), response_s)
    np.testing.assert_array_equal(np.concatenate([p for _, p in taken]), path)
    assert len(parts.request_results()[1]) == 0


@settings(max_examples=examples(20), deadline=None)
@given(seed=seeds, window_s=st.sampled_from([0.7, 5.0, 1000.0]))
def test_latency_quantiles_by_window_and_path_are_within_one_percent(
    seed: int, window_s: float
) -> None:
    engine = random_engine(
        seed, Dispatcher.LEAST_EXPECTED_DELAY, bouncer=Bouncer.PREDICTED_DEADLINE, function=True
    )
    engine = RequestEngine(
        replace(engine.settings, latency_window_s=window_s),
        engine.kinds,
        engine.function,
        start_s=0.0,
        end_s=SPAN_S,
        seed=seed,
    )
    for kind in (0, 1, 1):
        engine.add_server(kind, 0.0)
    arrivals_s = np.sort(np.random.default_rng(seed).uniform(0.0, SPAN_S, 5_000))
    engine.serve(arrivals_s)
    engine.finish()
    windows = engine.statistics(SPAN_S).latency_windows
    assert windows is not None
    response_s, path = engine.request_results()
    at = (arrivals_s // window_s).astype(int)
    levels = (0.01, 0.5, 0.98, 1.0)
    for number, name in enumerate(("instances", "lambda", "lambda_cold")):
        quantiles_s = windows.quantiles_s(levels, (name,))
        for window in range(len(windows.starts_s)):
            exact_s = np.sort(response_s[(at == window) & (path == number)])
            assert windows.answered((name,))[window] == len(exact_s)
            for level, quantile_s in zip(levels, quantiles_s[window], strict=True):
                if len(exact_s):
                    wanted_s = exact_s[max(int(np.ceil(level * len(exact_s) - 1e-9)) - 1, 0)]
                    assert quantile_s == pytest.approx(wanted_s, rel=0.01)
                else:
                    assert np.isnan(quantile_s)
    assert windows.answered().sum() == (path < 3).sum()


def test_a_server_that_is_taken_loses_what_it_has_not_answered() -> None:
    engine = RequestEngine(
        EngineSettings(1.0, bouncer=Bouncer.NONE, bin_s=1.0, record_requests=True),
        [ServerKind((0.4,))],
        None,
        start_s=0.0,
        end_s=10.0,
        seed=0,
    )
    slot = engine.add_server(0, 0.0)
    engine.take_server_at(slot, 2.5)
    engine.serve(np.array([0.0, 2.0, 2.05, 2.06]))
    engine.remove_server(slot)
    response_s, path = engine.request_results()
    assert path.tolist() == [Path.INSTANCES, Path.INSTANCES, Path.LOST, Path.LOST]
    assert np.isnan(response_s[2:]).all()
    statistics = engine.statistics(10.0)
    assert statistics.lost == engine.lost == 2
    assert statistics.violations == 2
    assert statistics.late[2] == 2
    # An observer learns of it when the server is taken.
    assert engine.counts(0, 10)["late"].tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
