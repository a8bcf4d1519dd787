"""The engine's borders: what it takes, what it refuses, what it tells."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.engine import (
    Dispatcher,
    EngineSettings,
    FunctionKind,
    Path,
    RequestEngine,
    ServerKind,
)
from markopt.engine.multipliers import service_time_multipliers
from markopt.errors import BackendError, ConfigError, MarkoptError


def engine_of(
    *kinds: ServerKind,
    function: FunctionKind | None = None,
    settings: EngineSettings | None = None,
    seed: int = 0,
) -> RequestEngine:
    return RequestEngine(
        settings or EngineSettings(1.0, record_requests=True),
        kinds,
        function,
        start_s=0.0,
        end_s=100.0,
        seed=seed,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ServerKind(()), "service_times_s needs an entry per batch size"),
        (lambda: ServerKind((0.1, 0.0)), "service_times_s must be finite and positive, got 0.0"),
        (lambda: ServerKind((float("nan"),)), "service_times_s must be finite"),
        (lambda: ServerKind((0.1,), wait_s=-1.0), "wait_s must be finite and at least 0, got -1.0"),
        (lambda: ServerKind((0.1,), service_time_cv=-0.1), "service_time_cv"),
        (lambda: ServerKind((0.1,), guard=0.0), "guard"),
        (lambda: ServerKind((0.1,), weight=0.0), "weight"),
        (lambda: FunctionKind(0.0, 1.0), "service_time_s"),
        (lambda: FunctionKind(0.1, -1.0), "cold_start_s"),
        (lambda: FunctionKind(0.1, 1.0, idle_timeout_s=-1.0), "idle_timeout_s"),
        (lambda: FunctionKind(0.1, 1.0, concurrency_limit=0), "concurrency_limit"),
        (lambda: FunctionKind(0.1, 1.0, billing_step_s=0.0), "billing_step_s"),
        (lambda: EngineSettings(0.0), "rt_max_s"),
        (lambda: EngineSettings(1.0, queue_limit_s=-1.0), "queue_limit_s"),
        (lambda: EngineSettings(1.0, bin_s=0.0), "bin_s"),
        (engine_of, "needs a server kind or a function"),
        (lambda: engine_of(ServerKind((0.1,)), seed=-1), "seed must lie in"),
        (lambda: engine_of(ServerKind((0.1,))).add_server(1, 0.0), r"kind must lie in \[0, 1\)"),
        (
            lambda: engine_of(ServerKind((0.1,), distribution="uniform")),  # type: ignore[arg-type]
            "expected 'lognormal' or 'exponential', got 'uniform'",
        ),
        (
            lambda: RequestEngine(
                EngineSettings(1.0), [ServerKind((1.0,))], None, start_s=5.0, end_s=4.0, seed=0
            ),
            "start_s <= end_s",
        ),
        (
            lambda: engine_of(ServerKind((1.0,)), settings=EngineSettings(1.0)).request_results(),
            "record_requests is off",
        ),
    ],
)
def test_bad_settings_are_refused_with_their_name(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("slot", [-1, 0, 1, 64, 10_000])
def test_removing_a_server_that_is_not_in_service_is_refused(slot: int) -> None:
    engine = engine_of(ServerKind((1.0,)))
    engine.remove_server(engine.add_server(0, 0.0))
    with pytest.raises(BackendError, match=f"server {slot} is not in service"):
        engine.remove_server(slot)


@pytest.mark.parametrize(
    "arrivals_s",
    [[2.0, 1.0], [1.0, float("nan"), 2.0], [float("nan")], [1.0, float("inf")]],
)
def test_arrivals_that_are_not_finite_and_sorted_are_refused(arrivals_s: list[float]) -> None:
    engine = engine_of(ServerKind((1.0,)))
    engine.add_server(0, 0.0)
    with pytest.raises(MarkoptError, match="arrivals must"):
        engine.serve(np.array(arrivals_s))
    assert engine.requests == 0


def test_arrivals_before_what_was_served_are_refused() -> None:
    engine = engine_of(ServerKind((1.0,)))
    engine.add_server(0, 0.0)
    engine.serve(np.array([1.0, 2.0]))
    with pytest.raises(BackendError, match=r"at or after 2\.0 s"):
        engine.serve(np.array([1.5]))
    engine.advance(5.0)
    with pytest.raises(BackendError, match=r"at or after 5\.0 s"):
        engine.serve(np.array([4.0]))
    engine.serve(np.array([5.0]))
    engine.finish()
    with pytest.raises(BackendError, match="at or after inf"):
        engine.serve(np.array([6.0]))


def test_read_only_strided_and_integer_arrivals_are_served_alike() -> None:
    frozen = np.array([1.0, 2.0, 3.0])
    frozen.setflags(write=False)
    forms = (frozen, np.repeat(frozen, 2)[::2], np.array([1, 2, 3]))
    results = []
    for form in forms:
        engine = engine_of(ServerKind((0.9,)))
        engine.add_server(0, 0.0)
        engine.serve(form)
        results.append(engine.request_results()[0].tolist())
    assert results[0] == results[1] == results[2] == pytest.approx([0.9] * 3)


def test_function_seconds_are_billed_in_full_steps_without_the_cold_start() -> None:
    function = FunctionKind(0.25, 3.0, billing_step_s=0.1)
    engine = engine_of(function=function)
    engine.serve(np.array([1.0, 2.0]))
    assert engine.function_billed_s == pytest.approx(0.6)
    assert engine.request_results()[0].tolist() == pytest.approx([3.25, 3.25])
    exact = engine_of(function=FunctionKind(0.3, 0.0, billing_step_s=0.1))
    exact.serve(np.array([1.0]))
    assert exact.function_billed_s == pytest.approx(0.3)


def test_provisioned_functions_outlive_the_idle_timeout_and_others_do_not() -> None:
    function = FunctionKind(0.1, 0.5, idle_timeout_s=2.0)
    engine = engine_of(function=function)
    engine.set_provisioned_functions(1, 0.0)
    assert engine.provisioned_functions == 1
    engine.serve(np.array([10.0, 10.0, 12.0, 12.0, 30.0, 30.0]))
    _, path = engine.request_results()
    warm, cold = Path.FUNCTION_WARM, Path.FUNCTION_COLD
    # At 12 s both are there still; at 30 s the second has been idle for too long.
    assert path.tolist() == [warm, cold, warm, warm, warm, cold]


def test_the_concurrency_limit_caps_provisioned_functions() -> None:
    engine = engine_of(function=FunctionKind(0.1, 0.5, concurrency_limit=3))
    engine.set_provisioned_functions(10, 0.0)
    assert engine.provisioned_functions == 3


def test_without_functions_nothing_is_provisioned_or_billed() -> None:
    engine = engine_of(ServerKind((1.0,)))
    engine.set_provisioned_functions(5, 0.0)
    engine.serve(np.array([1.0]))
    assert engine.provisioned_functions == 0
    assert engine.function_billed_s == 0.0
    assert engine.request_results()[1].tolist() == [Path.REFUSED]


def test_a_batch_leaves_when_it_is_full_or_its_first_request_has_waited() -> None:
    kind = ServerKind((0.1, 0.2, 0.3), wait_s=0.5)
    settings = EngineSettings(2.0, record_requests=True)
    engine = engine_of(kind, settings=settings)
    engine.add_server(0, 0.0)
    engine.serve(np.array([1.0, 1.1, 1.2]))
    assert engine.in_batches == 0
    engine.serve(np.array([3.0, 3.25]))
    assert engine.in_batches == 2
    engine.advance(3.5)
    assert engine.in_batches == 2
    engine.advance(3.6)
    assert engine.in_batches == 0
    response_s, _ = engine.request_results()
    assert response_s.tolist() == pytest.approx([0.5, 0.4, 0.3, 0.7, 0.45])


def test_a_leaving_server_answers_its_batch_at_the_time_it_was_due() -> None:
    engine = engine_of(ServerKind((0.1, 0.2), wait_s=0.5))
    slot = engine.add_server(0, 0.0)
    engine.serve(np.array([1.0]))
    assert engine.remove_server(slot) == pytest.approx(1.6)
    engine.serve(np.array([1.2]))
    response_s, path = engine.request_results()
    assert response_s[0] == pytest.approx(0.6)
    assert path.tolist() == [Path.INSTANCES, Path.REFUSED]


def test_round_robin_turns_pass_on_when_a_bouncer_refuses() -> None:
    settings = EngineSettings(1.0, Dispatcher.WEIGHTED_ROUND_ROBIN, record_requests=True)
    engine = engine_of(ServerKind((1.0,)), settings=settings)
    engine.add_server(0, 0.0)
    engine.add_server(0, 0.0)
    engine.serve(np.array([1.0, 1.0, 1.5, 1.5, 2.0]))
    refused = Path.REFUSED
    assert engine.request_results()[1].tolist() == [0, 0, refused, refused, 0]


def test_least_expected_delay_prefers_the_faster_kind_until_it_is_busy() -> None:
    engine = engine_of(
        ServerKind((0.5,)),
        ServerKind((0.2,)),
        settings=EngineSettings(9.0, record_requests=True),
    )
    engine.add_server(0, 0.0)
    engine.add_server(1, 0.0)
    engine.serve(np.full(4, 1.0))
    # Fast at 0.2 and 0.4 s, then slow at 0.5 s before the fast one's 0.6 s.
    assert engine.request_results()[0].tolist() == pytest.approx([0.2, 0.4, 0.5, 0.6])


def test_same_seed_draws_the_same_service_times_and_another_seed_others() -> None:
    def responses(seed: int) -> list[float]:
        engine = engine_of(ServerKind((0.1,), service_time_cv=0.5), seed=seed)
        engine.add_server(0, 0.0)
        engine.serve(np.arange(1.0, 50.0))
        return list(engine.request_results()[0])

    assert responses(3) == responses(3)
    assert responses(3) != responses(4)


def test_statistics_span_only_the_bins_up_to_their_end() -> None:
    engine = engine_of(ServerKind((0.1,)))
    engine.add_server(0, 0.0)
    engine.serve(np.array([0.0, 4.9, 5.0, 12.0]))
    assert engine.statistics(10.0).arrivals.tolist() == [2, 1]
    assert engine.statistics(12.5).arrivals.tolist() == [2, 1, 1]
    # However short, the last bin that has begun is part of them.
    assert engine.statistics(10.001).arrivals.tolist() == [2, 1, 1]
    assert engine.counts(1, 3)["arrivals"].tolist() == [1, 1]


def test_multiplier_tables_have_mean_one_and_no_spread_without_dispersion() -> None:
    assert (service_time_multipliers(0.0, "lognormal") == 1.0).all()
    for cv in (0.1, 1.0, 3.0):
        table = service_time_multipliers(cv, "lognormal")
        assert table.shape == (4096,)
        assert (np.diff(table) > 0.0).all()
        assert table.mean() == pytest.approx(1.0, abs=1e-12)
