"""Launch delays: distributions, one fate per launch whatever else happens, launches that fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.cloud.simulated import LaunchDelay, LaunchSettings, SimulationSettings
from markopt.cloud.simulated.boot import LaunchDraws
from markopt.core import Actions, InstanceState
from markopt.errors import ConfigError
from tests.cloud.worlds import CONSTANT, Poisson, cloud, launches, offer

NAME = "c5.large/on_demand"
LEVELS = (np.arange(20_000) + 0.5) / 20_000


@pytest.mark.parametrize("distribution", ["lognormal", "gamma"])
@pytest.mark.parametrize("cv", [0.05, 0.3, 1.0])
def test_delays_have_mean_one_and_the_dispersion_that_was_asked_for(
    distribution: str, cv: float
) -> None:
    delay = LaunchDelay(distribution, cv=cv)
    factors = np.array([delay.factor(level) for level in LEVELS])
    assert factors.mean() == pytest.approx(1.0, rel=2e-3)
    assert factors.std() == pytest.approx(cv, rel=2e-2)
    assert np.all(np.diff(factors) > 0.0)
    # Skewness tells the two apart: 2 cv for gamma, 3 cv + cv^3 for lognormal.
    skewness = np.mean((factors - factors.mean()) ** 3) / factors.std() ** 3
    expected = 2.0 * cv if distribution == "gamma" else 3.0 * cv + cv**3
    assert skewness == pytest.approx(expected, rel=0.15)


def test_empirical_delays_pass_through_their_quantiles_scaled_to_mean_one() -> None:
    delay = LaunchDelay("empirical", quantiles=(60.0, 80.0, 100.0, 400.0))
    mean = (70.0 + 90.0 + 250.0) / 3.0
    assert delay.factor(1e-12) == pytest.approx(60.0 / mean)
    assert delay.factor(1.0 / 3.0) == pytest.approx(80.0 / mean)
    assert delay.factor(5.0 / 6.0) == pytest.approx(250.0 / mean)
    factors = [delay.factor(level) for level in LEVELS]
    assert np.mean(factors) == pytest.approx(1.0, rel=1e-4)


@given(st.floats(1e-9, 1.0 - 1e-9))
def test_without_dispersion_every_delay_is_the_mean(level: float) -> None:
    assert LaunchDelay("constant").factor(level) == 1.0
    assert LaunchDelay("lognormal", cv=0.0).factor(level) == 1.0
    assert LaunchDelay("gamma", cv=0.0).factor(level) == 1.0


def test_an_offers_distribution_is_its_own_or_its_types_or_the_common_one() -> None:
    common, of_type, of_offer = LaunchDelay(), LaunchDelay("gamma"), LaunchDelay("constant")
    settings = LaunchSettings(common, by_type={"c5.large": of_type, "c5.large/spot": of_offer})
    assert settings.delay_of(offer("c5.large/spot")) is of_offer
    assert settings.delay_of(offer("c5.large/on_demand")) is of_type
    assert settings.delay_of(offer("p2.xlarge/on_demand")) is common


def draws(names: list[str], settings: LaunchSettings | None = None) -> dict[str, list[float]]:
    drawn = LaunchDraws(settings or LaunchSettings(), np.random.SeedSequence(5))
    got: dict[str, list[float]] = {}
    for name in names:
        got.setdefault(name, []).append(drawn.next(offer(name)).delay_s)
    return got


@given(st.lists(st.sampled_from([NAME, "c5.large/spot", "p2.xlarge/spot"]), max_size=20))
def test_the_kth_launch_of_an_offer_draws_the_same_delay_whatever_else_is_launched(
    names: list[str],
) -> None:
    for name, delays_s in draws(names).items():
        assert delays_s == draws([name] * len(delays_s))[name]


def test_a_higher_failure_share_changes_no_delay_of_those_that_do_not_fail() -> None:
    sure = draws([NAME] * 200)[NAME]
    risky = draws([NAME] * 200, LaunchSettings(failure_share=0.3, failure_found_s=1e6))[NAME]
    same = [a == b for a, b in zip(sure, risky, strict=True)]
    assert set(np.array(risky)[~np.array(same)]) == {1e6}
    assert sum(same) == pytest.approx(140, abs=25)


def ready_times_s(name: str, *, also: int) -> list[float | None]:
    backend = cloud([offer(), offer("p2.xlarge/on_demand")], seed=3, end_s=600.0)
    backend.apply(Actions("other", launch={"p2.xlarge/on_demand": also}))
    for at in range(4):
        backend.advance(at * 50.0)
        backend.apply(Actions(f"d{at}", launch={name: 1}))
    backend.advance(600.0)
    return [life.ready_s for life in backend.lives() if life.offer == name]


def test_what_else_a_policy_launches_does_not_move_an_instances_boot() -> None:
    assert ready_times_s(NAME, also=0) == ready_times_s(NAME, also=7)


def test_a_failed_launch_boots_for_ever_and_is_billed_until_it_is_found_out() -> None:
    settings = SimulationSettings(
        launch=launches(failure_share=1.0, failure_found_s=250.0, pending_s=20.0)
    )
    backend = cloud([offer()], arrivals=Poisson(5.0), settings=settings)
    backend.apply(Actions("d", launch={NAME: 3}))
    backend.advance(249.0)
    seen = backend.observe()
    assert [i.state for i in seen.instances] == [InstanceState.BOOTING] * 3
    assert {i.ready_in_s for i in seen.instances} == {1.0}
    backend.advance(250.0)
    assert backend.observe().instances == ()
    statistics = backend.statistics()
    np.testing.assert_array_equal(statistics.refused, statistics.arrivals)
    ledger = backend.close()
    assert ledger.billed_s[NAME] == pytest.approx(3 * 230.0)
    assert ledger.launches == 3
    assert all(life.ready_s is None for life in backend.lives())


def test_a_failed_launch_that_is_called_off_is_billed_until_then() -> None:
    settings = SimulationSettings(launch=launches(failure_share=1.0, failure_found_s=250.0))
    backend = cloud([offer()], settings=settings)
    ids = backend.apply(Actions("up", launch={NAME: 1})).launched[NAME]
    backend.advance(100.0)
    backend.apply(Actions("down", terminate=ids))
    backend.advance(600.0)
    assert backend.close().billed_s[NAME] == pytest.approx(100.0)


def test_the_failure_share_is_kept() -> None:
    settings = SimulationSettings(launch=LaunchSettings(failure_share=0.2, failure_found_s=300.0))
    backend = cloud([offer()], settings=settings, end_s=600.0)
    backend.apply(Actions("d", launch={NAME: 1000}))
    backend.advance(600.0)
    failed = sum(life.ready_s is None for life in backend.lives())
    assert failed == pytest.approx(200, abs=3 * np.sqrt(160))


def test_the_least_billed_boot_is_less_than_what_nearly_every_launch_takes() -> None:
    for settings in (
        LaunchSettings(pending_s=10.0),
        LaunchSettings(LaunchDelay("gamma", cv=0.4)),
        LaunchSettings(LaunchDelay("empirical", quantiles=(50.0, 100.0, 120.0))),
    ):
        drawn = LaunchDraws(settings, np.random.SeedSequence(1))
        boots_s = [drawn.next(offer()).delay_s - settings.pending_s for _ in range(5000)]
        least_s = settings.least_boot_s(offer())
        assert 0.0 < least_s <= min(boots_s)
    assert CONSTANT.least_boot_s(offer()) == 100.0
    assert launches(pending_s=200.0).least_boot_s(offer()) == 0.0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: LaunchDelay("normal"), "distribution: expected one of"),
        (lambda: LaunchDelay(cv=-0.1), "cv: must not be negative"),
        (lambda: LaunchDelay(cv=float("nan")), "cv: must not be negative"),
        (lambda: LaunchDelay("empirical"), "quantiles: must be at least two"),
        (lambda: LaunchDelay("empirical", quantiles=(3.0, 2.0)), "quantiles: must be at least two"),
        (lambda: LaunchDelay("empirical", quantiles=(0.0, 0.0)), "quantiles: must be at least two"),
        (lambda: LaunchSettings(pending_s=-1.0), "pending_s: must not be negative"),
        (lambda: LaunchSettings(failure_share=1.5), r"failure_share: must lie in \[0, 1\]"),
        (lambda: LaunchSettings(by_type={"c5.large": 0.3}), r"by_type.c5.large: must be a"),
    ],
)
def test_a_launch_setting_out_of_range_is_an_error_that_names_it(make, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"cloud\.launch.*{expected}"):
        make()
