"""Functions in the simulated cloud: warm price, cold starts, limits and billing steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Actions
from tests.cloud.worlds import Poisson, Times, cloud, function


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 300.0), st.integers(0, 50)), max_size=8),
    st.floats(0.0, 300.0),
)
def test_the_warm_price_is_the_integral_of_the_provisioned_number(
    changes: list[tuple[float, int]], end_s: float
) -> None:
    backend = cloud(function=function(), end_s=300.0)
    changes = sorted((t, n) for t, n in changes if t <= end_s)
    expected, kept, since_s = 0.0, 0, 0.0
    for at, (time_s, number) in enumerate(changes):
        backend.advance(time_s)
        backend.apply(Actions(f"d{at}", warm_functions=number))
        assert backend.observe().warm_functions == number
        expected += kept * (time_s - since_s) * 1e-4
        kept, since_s = number, time_s
    backend.advance(end_s)
    expected += kept * (end_s - since_s) * 1e-4
    assert backend.observe().bill_usd == pytest.approx(expected, abs=1e-12)
    ledger = backend.close()
    assert ledger.cost_usd["warm"] == pytest.approx(expected, abs=1e-12)
    assert ledger.cost_usd["lambda"] == 0.0


def test_the_first_request_meets_a_cold_start_and_the_next_a_warm_environment() -> None:
    backend = cloud(function=function(), arrivals=Times([10.0, 20.0]), record=True)
    backend.advance(60.0)
    response_s, path = backend.request_results()
    np.testing.assert_allclose(response_s, [1.15, 0.15])
    np.testing.assert_array_equal(path, [2, 1])
    statistics = backend.statistics()
    assert statistics.late.sum() == 1
    assert statistics.spilled.sum() == 2


def test_as_many_cold_starts_as_requests_at_once() -> None:
    backend = cloud(function=function(), arrivals=Times([10.0] * 5 + [20.0] * 7), record=True)
    backend.advance(60.0)
    _, path = backend.request_results()
    np.testing.assert_array_equal(path, [2] * 5 + [1] * 5 + [2] * 2)


def test_provisioned_environments_spare_the_cold_start_once_they_are_warm() -> None:
    backend = cloud(function=function(), arrivals=Times([10.0] * 5), record=True)
    backend.apply(Actions("d", warm_functions=4))
    backend.advance(60.0)
    _, path = backend.request_results()
    np.testing.assert_array_equal(path, [1] * 4 + [2])


def test_an_environment_that_idles_too_long_is_lost_unless_it_is_provisioned() -> None:
    times = Times([10.0, 500.0])
    kept = cloud(function=function(idle_timeout_s=300.0), arrivals=times, record=True)
    lost = cloud(function=function(idle_timeout_s=300.0), arrivals=times, record=True)
    kept.apply(Actions("d", warm_functions=1))
    for backend in (kept, lost):
        backend.advance(600.0)
    np.testing.assert_array_equal(kept.request_results()[1], [1, 1])
    np.testing.assert_array_equal(lost.request_results()[1], [2, 2])


def test_requests_beyond_the_concurrency_limit_are_refused_and_not_billed() -> None:
    limited = function(concurrency_limit=3)
    backend = cloud(function=limited, arrivals=Times([10.0] * 5))
    backend.advance(60.0)
    seen = backend.observe()
    assert seen.refused.sum() == 2
    assert seen.spilled.sum() == 3
    assert backend.close().cost_usd["lambda"] == pytest.approx(3 * limited.price_usd(0.15))


@pytest.mark.parametrize(("step_s", "billed_s"), [(0.1, 0.2), (0.001, 0.15)])
def test_a_request_is_billed_in_the_steps_of_its_era(step_s: float, billed_s: float) -> None:
    backend = cloud(function=function(billing_step_s=step_s), arrivals=Poisson(20.0), end_s=120.0)
    backend.advance(120.0)
    count = backend.statistics().requests
    ledger = backend.close()
    assert count > 2000
    assert ledger.cost_usd["lambda"] == pytest.approx(count * (1e-6 + billed_s * 1e-4), rel=1e-9)


def test_a_cloud_without_functions_refuses_to_warm_any() -> None:
    backend = cloud()
    report = backend.apply(Actions("d", warm_functions=3))
    assert report.refused == ("warm 3 functions: no function is on offer",)
    assert backend.apply(Actions("e", warm_functions=0)).refused == ()
    assert "warm" not in backend.close().cost_usd
