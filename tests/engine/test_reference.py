"""The compiled engine and the event-driven model agree on every request."""

from __future__ import annotations

import itertools
from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.engine import Bouncer, Dispatcher, EngineSettings, FunctionKind, Path, ServerKind
from markopt.engine.kernel import draw_index
from tests.engine.driver import run_engine
from tests.engine.reference import Change, Script, quantile_number, simulate
from tests.fuzzing import examples

# Times are multiples of 1/64 s, which floats add exactly: so ties are true ties in both models.
GRID_S = 1.0 / 64.0


def ticks(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda n: n * GRID_S)


@st.composite
def server_kinds(draw: st.DrawFn) -> ServerKind:
    batch = draw(st.integers(1, 5))
    growth = draw(st.lists(st.integers(0, 6), min_size=batch - 1, max_size=batch - 1))
    times = itertools.accumulate(growth, initial=draw(st.integers(1, 24)))
    return ServerKind(
        tuple(t * GRID_S for t in times),
        wait_s=draw(ticks(0, 16)),
        service_time_cv=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        distribution=draw(st.sampled_from(["lognormal", "lognormal", "exponential"])),
        guard=draw(st.sampled_from([1.0, 1.0, 1.25, 0.5])),
        weight=draw(st.sampled_from([1.0, 1.0, 2.0, 0.5, 3.0])),
        baseline_share=draw(st.sampled_from([1.0, 1.0, 0.5, 0.25])),
        credit_limit_s=draw(ticks(0, 64)),
        credit_launch_s=draw(ticks(0, 96)),
    )


@st.composite
def function_kinds(draw: st.DrawFn) -> FunctionKind:
    return FunctionKind(
        service_time_s=draw(ticks(1, 32)),
        cold_start_s=draw(ticks(0, 64)),
        idle_timeout_s=draw(ticks(0, 128)),
        concurrency_limit=draw(st.integers(1, 8)),
        billing_step_s=draw(st.sampled_from([0.001, 0.1])),
        service_time_cv=draw(st.sampled_from([0.0, 0.5])),
        burst=draw(st.sampled_from([inf, inf, 1.0, 3.0])),
        burst_per_s=draw(st.sampled_from([0.0, 0.5, 8.0])),
    )


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    kinds = tuple(draw(st.lists(server_kinds(), min_size=1, max_size=3, unique_by=id)))
    seed = draw(st.integers(0, 2**32 - 1))
    count = draw(st.integers(1, 120))
    generator = np.random.default_rng(seed)
    # Bursts with ties, quiet spells, and loads from idle to overload.
    gap = draw(st.sampled_from([0.3, 1.0, 3.0, 10.0]))
    quiet = draw(st.sampled_from([0.0, 0.02, 0.1]))
    gaps = generator.poisson(gap, count) + (generator.random(count) < quiet) * 150
    arrivals_s = np.cumsum(gaps) * GRID_S
    if draw(st.booleans()):
        arrivals_s = np.sort(arrivals_s + generator.random(count) * GRID_S)
    last = int(arrivals_s[-1] / GRID_S) + 1
    lives_s = st.sampled_from([inf, inf, inf, 0.5, 2.0])
    start = [
        Change(0.0, "add", k % len(kinds), draw(lives_s)) for k in range(draw(st.integers(0, 7)))
    ]
    revocable = draw(st.booleans())
    verbs = st.sampled_from(["add", "remove", "provision", "share", *["take"] * revocable])
    moves = st.tuples(st.integers(0, last), verbs, st.integers(0, 9), ticks(0, 128))
    changes = [
        Change(at * GRID_S, verb, value % len(kinds), inf)
        if verb == "add"
        else Change(at * GRID_S, verb, value, lasts_s)
        for at, verb, value, lasts_s in sorted(draw(st.lists(moves, max_size=14)))
    ]
    return Script(
        EngineSettings(
            rt_max_s=draw(ticks(4, 64)),
            dispatcher=draw(st.sampled_from(Dispatcher)),
            bouncer=draw(st.sampled_from(Bouncer)),
            bouncer_queue_length=draw(st.sampled_from([None, None, 1, 3])),
            queue_limit_s=draw(ticks(0, 256)),
            overflows=draw(st.sampled_from([True, True, False])),
            record_requests=True,
            revocable=revocable,
        ),
        kinds,
        draw(st.none() | function_kinds()),
        seed,
        (*start, *changes),
        tuple(arrivals_s.tolist()),
    )


def assert_equal_outcomes(script: Script, *, advance_between: bool = False) -> None:
    expected = simulate(script)
    _, actual = run_engine(script, advance_between=advance_between)
    assert actual.path == expected.path
    np.testing.assert_allclose(actual.response_s, expected.response_s, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(actual.removed_end_s, expected.removed_end_s, rtol=0.0, atol=1e-9)
    assert actual.billed_steps == expected.billed_steps
    assert actual.provisioned_steps == expected.provisioned_steps
    assert actual.cold_starts == expected.cold_starts
    assert actual.warm_starts == expected.warm_starts
    assert actual.throttles == expected.throttles


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts(), advance_between=st.booleans())
def test_engine_and_event_driven_model_agree_on_every_request(
    script: Script, advance_between: bool
) -> None:
    assert_equal_outcomes(script, advance_between=advance_between)


def large_script(dispatcher: Dispatcher, *, bouncer: Bouncer) -> Script:
    """150 servers of three kinds that come and go under a surge, with functions behind them."""
    generator = np.random.default_rng(7)
    kinds = (
        ServerKind((0.21,), service_time_cv=0.1, weight=1.0),
        ServerKind((0.05, 0.06, 0.08, 0.11), wait_s=0.03, service_time_cv=0.2, weight=9.0),
        ServerKind(
            tuple(0.04 + 0.004 * b for b in range(8)),
            wait_s=0.05,
            guard=1.1,
            weight=24.0,
            baseline_share=0.6,
            credit_limit_s=2.0,
            credit_launch_s=0.2,
        ),
    )
    starts = [Change(0.0, "add", int(k)) for k in generator.choice(3, 150, p=[0.85, 0.13, 0.02])]
    times_s = np.sort(generator.uniform(0.0, 3.0, 120))
    verbs = generator.choice(["add", "remove", "remove"], 120)
    later = [
        Change(float(t), str(v), int(generator.integers(3 if v == "add" else 1000)))
        for t, v in zip(times_s, verbs, strict=True)
    ]
    warm = Change(0.5, "provision", 20)
    arrivals_s = np.sort(
        np.concatenate([generator.uniform(0.0, 3.0, 3000), generator.uniform(1.0, 1.5, 2000)])
    )
    return Script(
        EngineSettings(0.3, dispatcher, bouncer=bouncer, queue_limit_s=1.0, record_requests=True),
        kinds,
        FunctionKind(0.2, 0.5, idle_timeout_s=0.7, concurrency_limit=60, service_time_cv=0.1),
        11,
        (*starts, *sorted([*later, warm], key=lambda change: change.time_s)),
        tuple(arrivals_s.tolist()),
    )


@pytest.mark.parametrize("dispatcher", Dispatcher)
@pytest.mark.parametrize("bouncer", Bouncer)
def test_engine_and_event_driven_model_agree_on_a_large_fleet_under_a_surge(
    dispatcher: Dispatcher, bouncer: Bouncer
) -> None:
    script = large_script(dispatcher, bouncer=bouncer)
    assert_equal_outcomes(script)
    used = set(simulate(script).path)
    if bouncer is Bouncer.NONE:
        # Rules that are blind to what servers can carry fill slow ones up to the queue limit.
        assert used in ({Path.INSTANCES}, {Path.INSTANCES, Path.REFUSED})
    else:
        # The surge exhausts the servers and then the functions: every path is taken.
        assert used == {Path.INSTANCES, Path.FUNCTION_WARM, Path.FUNCTION_COLD, Path.REFUSED}


def test_quantile_numbers_are_splitmix64() -> None:
    for seed in (0, 1, 2**32 - 1, 2**62):
        for index in (0, 1, 2, 1_000_003):
            assert draw_index(seed, index) == quantile_number(seed, index)
