"""What bursts within an interval need: learnt from its bins, and only what exceeds Poisson."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import CarriedRate, LastValue
from markopt.forecasting.burstiness import (
    dispersion,
    equivalent_poisson_rps,
    peak_excess,
    peak_rps,
)
from markopt.workload import MmppWorkload, PoissonWorkload
from tests.forecasting.models import burst_series, part

BIN_S = 5.0
NAN_BIN = float("nan")


def series(index: float = 1.0, count: int = 600, seed: int = 1, burst_index: float | None = None):
    """Return a bursty series whose bins have the given index of dispersion, in bursts another."""
    rates = burst_series(count).rate_rps
    rng = np.random.default_rng(seed)
    of = np.where(rates > 80.0, index if burst_index is None else burst_index, index)[:, None]
    counts = of * rng.poisson(rates[:, None] * BIN_S / of, (count, 12))
    within = counts / BIN_S
    return RateSeries(0.0, 60.0, within.mean(axis=1), within)


def fitted(history: RateSeries, target: str = "carried", **changed: object) -> CarriedRate:
    settings = {"classes": 2, **changed}
    return CarriedRate(LastValue(errors_s=14400.0), target, **settings).fit(history)  # type: ignore[arg-type]


def drawn(forecaster, horizon: int = 5, samples: int = 60, seed: int = 0) -> Forecast:
    return forecaster.forecast(horizon, samples, np.random.default_rng(seed))


def test_poisson_arrivals_have_a_burst_factor_of_one() -> None:
    history = PoissonWorkload(rates_rps=(60.0, 100.0), history_s=86400.0).build().history
    assert np.nanmean(dispersion(history.within_rps, BIN_S)) == pytest.approx(1.0, abs=0.04)
    factors = fitted(history, classes=4).burst_factors()
    np.testing.assert_allclose(factors, 1.0, atol=0.01)


def test_modulated_arrivals_have_a_burst_factor_above_one() -> None:
    load = MmppWorkload(rates_rps=(40.0, 160.0), mean_sojourn_s=(20.0, 20.0), history_s=43200.0)
    forecaster = fitted(load.build().history)
    assert np.all(forecaster.burst_factors() > 1.2)


def test_only_the_excess_over_poisson_is_added() -> None:
    forecaster = fitted(series(index=9.0))
    mean, carried = drawn(forecaster.forecaster).paths_rps, drawn(forecaster).paths_rps
    spread = norm.ppf(0.98) / np.sqrt(BIN_S)
    high = mean + 3.0 * spread * np.sqrt(mean)  # sqrt(9) standard deviations of Poisson's
    assert np.mean(carried + spread * np.sqrt(carried)) == pytest.approx(np.mean(high), rel=0.02)
    assert np.all(carried >= mean - 1e-9)


@given(
    st.floats(0.01, 1e5), st.floats(1.0, 500.0), st.floats(0.5, 60.0), st.sampled_from([0.9, 0.98])
)
def test_the_equivalent_rate_has_the_same_high_quantile(mean, index, bin_s, level) -> None:
    found = float(equivalent_poisson_rps(np.array([mean]), index, bin_s, level)[0])
    z = norm.ppf(level)
    expected = mean + z * np.sqrt(index * mean / bin_s)
    assert found + z * np.sqrt(found / bin_s) == pytest.approx(expected, rel=1e-9)
    assert found >= mean * (1.0 - 1e-9)
    one = equivalent_poisson_rps(np.array([mean]), 1.0, bin_s, level)[0]
    assert one == pytest.approx(mean, rel=1e-9)


def test_bursts_within_an_interval_come_with_the_rates_that_they_came_with() -> None:
    forecaster = fitted(series(index=1.0, burst_index=40.0), classes=6)
    factors = forecaster.burst_factors()
    assert factors[0] == pytest.approx(1.0, abs=0.02)
    assert factors[-1] > 1.15


def test_the_largest_bin_is_forecast_as_often_above_as_it_is_realised() -> None:
    whole = series(index=6.0, count=1200)
    forecaster = fitted(whole.part(0, 600), "max")
    larger = []
    for at in range(600, 900):
        forecast = drawn(forecaster, horizon=1)
        realised = whole.within_rps[at].max()
        larger.append(np.mean(forecast.paths_rps[:, 0] < realised))
        forecaster.update(whole.part(at, at + 1))
    assert forecast.statistic == "max"
    assert np.mean(larger) == pytest.approx(0.5, abs=0.06)


def test_the_peak_of_an_interval_follows_from_its_mean_and_excess() -> None:
    within = np.array([[10.0, 20.0, 30.0]])
    excess = peak_excess(within, BIN_S)
    assert peak_rps(within.mean(axis=1), excess, BIN_S)[0] == pytest.approx(30.0)


def test_the_mean_is_the_wrapped_forecast() -> None:
    history = series(index=9.0)
    wrapper = fitted(history, "mean")
    np.testing.assert_array_equal(drawn(wrapper).paths_rps, drawn(wrapper.forecaster).paths_rps)
    assert drawn(wrapper).statistic == "mean"
    np.testing.assert_array_equal(wrapper.burst_factors(), 1.0)


@pytest.mark.parametrize("target", ["max", "carried"])
def test_without_bins_the_paths_are_the_wrapped_ones_and_bins_may_come_later(target) -> None:
    history = series(index=9.0)
    bare = RateSeries(0.0, 60.0, history.rate_rps)
    forecaster = fitted(bare, target)
    np.testing.assert_array_equal(
        drawn(forecaster).paths_rps, drawn(forecaster.forecaster).paths_rps
    )
    later = series(index=9.0, seed=2).part(0, 60)
    forecaster.update(RateSeries(bare.end_s, 60.0, later.rate_rps, later.within_rps))
    assert drawn(forecaster).paths_rps.mean() > 1.05 * drawn(forecaster.forecaster).paths_rps.mean()


@pytest.mark.parametrize("target", ["max", "carried"])
def test_an_altered_future_changes_no_earlier_forecast(target) -> None:
    whole = series(index=9.0)
    other = whole.within_rps.copy()
    other[485:] *= np.linspace(0.1, 3.0, 12)
    altered = RateSeries(0.0, 60.0, other.mean(axis=1), other)
    one, two = fitted(whole.part(0, 480), target), fitted(altered.part(0, 480), target)
    for at in range(480, 500):
        same = np.array_equal(drawn(one, seed=at).paths_rps, drawn(two, seed=at).paths_rps)
        assert same == (at <= 485)
        one.update(whole.part(at, at + 1))
        two.update(altered.part(at, at + 1))


@pytest.mark.parametrize("target", ["max", "carried"])
def test_missing_bins_and_intervals_leave_what_is_known(target) -> None:
    history = series(index=9.0)
    within = history.within_rps.copy()
    within[100:140] = NAN_BIN
    within[200:300, 3:] = NAN_BIN
    rates = history.rate_rps.copy()
    rates[100:140] = NAN_BIN
    gappy = fitted(RateSeries(0.0, 60.0, rates, within), target)
    gappy.update(RateSeries(history.end_s, 60.0, [NAN_BIN], np.full((1, 12), NAN_BIN)))
    assert np.all(np.isfinite(drawn(gappy).paths_rps))
    whole = fitted(history, target).burst_factors()
    np.testing.assert_allclose(gappy.burst_factors(), whole, rtol=0.03)


@pytest.mark.parametrize("target", ["max", "carried"])
def test_many_updates_of_one_equal_one_of_many(target) -> None:
    whole = series(index=9.0)
    many, one = fitted(whole.part(0, 300), target), fitted(whole.part(0, 300), target)
    for at in range(300, 600):
        many.update(whole.part(at, at + 1))
    one.update(whole.part(300, 600))
    np.testing.assert_array_equal(drawn(many).paths_rps, drawn(one).paths_rps)


def test_what_is_older_than_the_memory_is_forgotten() -> None:
    forecaster = fitted(series(index=40.0), memory=16)
    calm = series(index=1.0, seed=5)
    forecaster.update(RateSeries(36000.0, 60.0, calm.rate_rps, calm.within_rps))
    np.testing.assert_allclose(forecaster.burst_factors(), 1.0, atol=0.05)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"target": "median"}, "target"),
        ({"level": 1.0}, "level"),
        ({"classes": 0}, "classes"),
        ({"memory": 2}, "memory"),
    ],
)
def test_a_setting_out_of_range_is_named(changed, key) -> None:
    with pytest.raises(ConfigError, match=rf"forecaster\.{key}: must .* got"):
        CarriedRate(LastValue(), **changed)


def test_another_target_may_not_be_wrapped() -> None:
    history = series(index=9.0)
    twice = CarriedRate(CarriedRate(LastValue(errors_s=14400.0), "max")).fit(history)
    with pytest.raises(ConfigError, match="must forecast mean rates, got 'max'"):
        drawn(twice)


def test_parts_of_a_series_keep_their_bins() -> None:
    whole = series()
    assert np.array_equal(part(whole, 3, 5).rate_rps, whole.part(3, 5).rate_rps)
    assert np.array_equal(whole.before(120.0).within_rps, whole.within_rps[:2])
    assert np.array_equal(whole.between(60.0, 180.0).within_rps, whole.within_rps[1:3])
    bare = RateSeries(whole.end_s, 60.0, [1.0])
    joined = whole.extended(bare).within_rps
    assert joined is not None
    assert np.isnan(joined[-1]).all()
    assert np.array_equal(joined[:-1], whole.within_rps)
