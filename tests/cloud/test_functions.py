"""Functions in the simulated cloud: warm price, cold starts, limits and billing steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.capacity import OfferSelection, build_function
from markopt.catalog import load_catalog, load_profiles
from markopt.cloud.simulated import SimulatedCloud, SimulationSettings
from markopt.core import Actions, Service, Slo
from markopt.engine import Path
from markopt.errors import ConfigError
from tests.cloud.worlds import Poisson, Times, cloud, function, offer


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


def weighted(**changes: object) -> SimulatedCloud:
    rules = SimulationSettings(data_plane="weighted", **changes)
    return cloud(
        [offer()],
        arrivals=Poisson(50.0),
        function=function(cold_start_s=0.0),
        fleet={"c5.large/on_demand": 1},
        end_s=600.0,
        record=True,
        settings=rules,
    )


def test_with_fixed_shares_functions_get_their_share_and_overflow_is_refused() -> None:
    backend = weighted()
    backend.apply(Actions("d1", function_share=0.3))
    backend.advance(600.0)
    backend.close()
    _, path = backend.request_results()
    shares = np.bincount(path, minlength=5) / len(path)
    assert shares[Path.FUNCTION_WARM] + shares[Path.FUNCTION_COLD] == pytest.approx(0.3, abs=0.01)
    # One server of 10 requests/s is offered 35: most of them are turned away, none is sent on.
    assert shares[Path.INSTANCES] < 0.21
    assert shares[Path.REFUSED] > 0.45


def test_requests_drawn_for_functions_do_not_depend_on_the_fleet() -> None:
    drawn = []
    for count in (1, 7):
        backend = weighted()
        backend.apply(Actions("d1", {"c5.large/on_demand": count}, function_share=0.3))
        backend.advance(600.0)
        backend.close()
        path = backend.request_results()[1]
        drawn.append((path == Path.FUNCTION_WARM) | (path == Path.FUNCTION_COLD))
    np.testing.assert_array_equal(*drawn)


def test_a_share_needs_the_weighted_data_plane() -> None:
    with pytest.raises(ConfigError, match="data_plane=weighted"):
        cloud([offer()], function=function()).apply(Actions("d1", function_share=0.3))
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1\]"):
        weighted().apply(Actions("d1", function_share=1.3))


def test_requests_beyond_the_burst_limit_are_throttled_and_counted() -> None:
    limited = function(burst=3.0, burst_per_s=0.5)
    times = Times([10.0] * 5 + [12.0] * 5 + [14.0] * 5)
    backend = cloud(function=limited, arrivals=times, record=True)
    backend.advance(60.0)
    path = backend.request_results()[1]
    cold, warm, no = Path.FUNCTION_COLD, Path.FUNCTION_WARM, Path.REFUSED
    # Three at once; two seconds later one more; and another one after two more seconds.
    np.testing.assert_array_equal(path[:5], [cold] * 3 + [no] * 2)
    np.testing.assert_array_equal(path[5:10], [warm] * 3 + [cold] + [no])
    np.testing.assert_array_equal(path[10:], [warm] * 4 + [cold])
    statistics = backend.statistics()
    assert statistics.throttled == statistics.refused.sum() == 3


def test_refusals_where_no_function_is_on_offer_are_no_throttles() -> None:
    backend = cloud(arrivals=Times([10.0] * 5))
    backend.advance(60.0)
    statistics = backend.statistics()
    assert statistics.refused.sum() == 5
    assert statistics.throttled == 0


def test_provisioned_environments_in_use_are_billed_at_their_own_price() -> None:
    offered = function(warm_use_price_usd_per_gb_s=6e-5)
    # Two are provisioned: of five requests at once two run on them, three are ordinary.
    times = Times([50.0] * 5 + [80.0])
    backend = cloud(function=offered, arrivals=times, end_s=100.0)
    backend.apply(Actions("d", warm_functions=2))
    backend.advance(100.0)
    cost = backend.close().cost_usd
    # 0.15 s are billed as 0.2 s; the sixth request finds a provisioned one again.
    assert cost["lambda"] == pytest.approx(6 * 1e-6 + 3 * 0.2 * 6e-5 + 3 * 0.2 * 1e-4)
    assert cost["warm"] == pytest.approx(2 * 100.0 * 1e-4)


def test_environments_kept_warm_by_calls_are_billed_at_the_ordinary_price() -> None:
    backend = cloud(function=function(), arrivals=Times([50.0] * 5), end_s=100.0)
    backend.apply(Actions("d", warm_functions=2))
    backend.advance(100.0)
    assert backend.close().cost_usd["lambda"] == pytest.approx(5 * (1e-6 + 0.2 * 1e-4))


def sold(era: str, memory_mb: int):
    """Return the function of a shipped catalogue that runs Inception-BN at a memory size."""
    return build_function(
        Service("inception_bn", Slo(0.5, 0.98)),
        load_catalog(f"catalog/aws-us-east-1-{era}.yaml"),
        load_profiles("profiles").of("inception_bn"),
        OfferSelection(function_memory_mb=memory_mb, warm_up="provisioned"),
    )


@pytest.mark.parametrize(("era", "billed_s"), [("2019", 0.2), ("2026", 0.144)])
def test_a_bill_of_each_era_is_what_its_price_list_says(era: str, billed_s: float) -> None:
    offered = sold(era, 3008)
    assert offered is not None
    assert offered.service_time_s == 0.144
    exact = replace(offered, service_time_cv=0.0)
    backend = cloud(function=exact, arrivals=Times(np.arange(1000) * 1.0), end_s=1100.0)
    backend.advance(1100.0)
    # 1000 requests at 3008 MB: GB-seconds at 0.0000166667 USD, and 0.20 USD per million.
    expected_usd = 1000 * (billed_s * 3008 / 1024 * 0.0000166667 + 0.2e-6)
    assert backend.close().cost_usd["lambda"] == pytest.approx(expected_usd, rel=1e-9)


@pytest.mark.parametrize(("memory_mb", "cold_start_s"), [(1024, 4.0), (2048, 2.5)])
def test_the_catalogues_cold_start_of_a_memory_size_is_what_a_first_request_meets(
    memory_mb: int, cold_start_s: float
) -> None:
    offered = sold("2019", memory_mb)
    assert offered is not None
    exact = replace(offered, service_time_cv=0.0)
    backend = cloud(function=exact, arrivals=Times([10.0, 30.0]), record=True)
    backend.advance(60.0)
    cold_s, warm_s = backend.request_results()[0]
    assert warm_s == pytest.approx(exact.service_time_s)
    assert cold_s == pytest.approx(cold_start_s + exact.service_time_s)


@pytest.mark.parametrize(("era", "burst", "per_s"), [("2019", 3000, 500 / 60), ("2026", 1000, 100)])
def test_each_era_has_its_burst_limit(era: str, burst: float, per_s: float) -> None:
    offered = sold(era, 3008)
    assert offered is not None
    assert offered.burst == burst
    assert offered.burst_per_s == pytest.approx(per_s, rel=1e-4)
    assert offered.provisioned_price_usd_per_gb_s == 0.0000097222
