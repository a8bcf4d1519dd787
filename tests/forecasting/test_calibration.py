"""Calibrated levels hold what they claim, recover after changes, and keep the paths' order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import spearmanr

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Calibrated, LastValue, SeasonalNaive
from markopt.forecasting.calibration import counting_unit_rps
from markopt.forecasting.fair_coverage import fairly_covered, level_bounds
from markopt.forecasting.level_tracking import LevelTracker
from tests.forecasting.models import INTERVAL_S, burst_series, part

FIRST = 60


class Fixed:
    """Forecasts exp(normal) around 100 with the given deviation; steps share half their noise."""

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation

    def fit(self, history: RateSeries) -> Fixed:
        self.end_s = history.end_s
        return self

    def update(self, observed: RateSeries) -> None:
        self.end_s = observed.end_s

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        noise = rng.standard_normal((samples, horizon)) + rng.standard_normal((samples, 1))
        paths = 100.0 * np.exp(self.deviation * noise / np.sqrt(2.0))
        return Forecast.equally_likely(self.end_s, INTERVAL_S, paths)


class Constant(Fixed):
    """Forecasts one value, ``deviation`` requests/s."""

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        paths = np.full((samples, horizon), self.deviation)
        return Forecast.equally_likely(self.end_s, INTERVAL_S, paths)


def coverage_of(forecaster, rates, *, first=FIRST, horizon=2, samples=40, share=0.9):
    """Return the fair coverage of each forecast and step, (forecasts, horizon)."""
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster.fit(part(series, 0, first))
    rng, inside = np.random.default_rng(0), []
    for at in range(first, len(rates) - horizon):
        paths = forecaster.forecast(horizon, samples, rng).paths_rps
        inside.append(fairly_covered(paths, rates[at : at + horizon], share))
        forecaster.update(part(series, at, at + 1))
    return np.array(inside)


def iid(count, seed=1):
    return 100.0 * np.exp(0.15 * np.random.default_rng(seed).standard_normal(count))


def heteroscedastic(count, seed=1):
    clock = 0.1 + 0.08 * np.sin(2.0 * np.pi * np.arange(count) / 300.0)
    return 100.0 * np.exp(clock * np.random.default_rng(seed).standard_normal(count))


def autocorrelated(count, seed=1):
    noise = 0.1 * np.random.default_rng(seed).standard_normal(count)
    for at in range(1, count):
        noise[at] += 0.7 * noise[at - 1]
    return 100.0 * np.exp(noise)


@pytest.mark.parametrize("process", [iid, heteroscedastic, autocorrelated])
@pytest.mark.parametrize("deviation", [0.05, 0.4])
def test_bands_too_narrow_or_too_wide_come_to_hold_their_share(process, deviation):
    rates = process(1100)
    raw = coverage_of(Fixed(deviation), rates)[400:].mean()
    calibrated = coverage_of(Calibrated(Fixed(deviation)), rates)[400:].mean(axis=0)
    assert abs(raw - 0.9) > 0.06
    # Three standard deviations of a binomial share of 0.9 (of a third as many where outcomes are
    # correlated): 0.036 and 0.063.
    bound = 3.0 * np.sqrt(0.9 * 0.1 / (638 / (3 if process is autocorrelated else 1)))
    np.testing.assert_allclose(calibrated, 0.9, atol=bound)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_every_band_holds_its_share_not_one_alone(share):
    inside = coverage_of(Calibrated(Fixed(0.08)), iid(1100), share=share)[300:]
    bound = 3.0 * np.sqrt(share * (1.0 - share) / len(inside))
    np.testing.assert_allclose(inside.mean(axis=0), share, atol=bound)


def test_the_upper_level_of_planners_is_exceeded_by_two_in_a_hundred():
    rates, horizon = iid(1300), 1
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster = Calibrated(Fixed(0.05)).fit(part(series, 0, FIRST))
    rng, above = np.random.default_rng(0), []
    for at in range(FIRST, len(rates) - horizon):
        paths = forecaster.forecast(horizon, 100, rng).paths_rps
        above.append(rates[at : at + horizon] > np.quantile(paths, 0.98, axis=0, method="hazen"))
        forecaster.update(part(series, at, at + 1))
    assert 0.008 < np.mean(above[300:]) < 0.035


@pytest.mark.parametrize("mean", [0.1, 0.7, 2.5])
def test_counts_of_a_few_a_minute_are_covered_fairly_and_stay_counts(mean):
    rates = np.random.default_rng(3).poisson(mean, 1200) / 60.0
    forecaster = Calibrated(SeasonalNaive(period_s=600.0))
    inside = coverage_of(forecaster, rates, first=400)
    # Three standard deviations of a binomial share of 0.9, of a third of 598 correlated outcomes.
    assert abs(inside[200:].mean() - 0.9) < 0.064
    paths = forecaster.forecast(3, 40, np.random.default_rng(0)).paths_rps
    np.testing.assert_allclose(60.0 * paths, np.rint(60.0 * paths), atol=1e-9)


CHANGE = 700


def _changed(kind, seed):
    rng = np.random.default_rng(seed)
    at = np.arange(CHANGE + 130)
    after = at >= CHANGE
    noise = rng.standard_normal(len(at))
    if kind == "variance":
        return 100.0 * np.exp(np.where(after, 0.2, 0.1) * noise)  # four times the variance
    if kind == "level":
        return np.where(after, 250.0, 100.0) * np.exp(0.1 * noise)
    return 100.0 * np.where(after & (at % 12 < 3), 3.0, 1.0) * np.exp(0.1 * noise)


@pytest.mark.parametrize("kind", ["variance", "level", "bursts"])
def test_coverage_is_back_in_the_hour_after_the_first_hour_of_a_new_regime(kind):
    hours = np.zeros((3, 2))
    for seed in range(3):
        inside = coverage_of(Calibrated(LastValue()), _changed(kind, seed), first=500)
        start = CHANGE - 500
        hours[seed] = [inside[start + 60 * k : start + 60 * k + 60].mean() for k in (0, 1)]
    first, second = hours.mean(axis=0)
    assert 0.85 < second < 0.95
    if kind != "level":  # the last value itself follows a level at once
        assert first < 0.85


def test_coverage_recovers_within_the_hour_after_the_variance_has_grown_fourfold():
    inside = np.mean(
        [
            coverage_of(Calibrated(LastValue()), _changed("variance", seed), first=500)
            for seed in range(6)
        ],
        axis=0,
    )[CHANGE - 500 :]
    assert inside[:20].mean() < 0.75
    assert 0.86 < inside[40:60].mean() < 0.95


def alarmed(outcomes, levels=(0.05, 0.5, 0.95), horizon=4):
    """Return the quickest expert's weights of a tracker that saw normal scores, by step."""
    tracker = LevelTracker(levels, gains=(0.002, 0.1), window=240)
    tracker.extend(horizon)
    for score in outcomes:
        said = tracker.experts(horizon)[:1]
        outcome = np.array([[score]])
        tracker.learn(np.array([0]), outcome, said, ndtri(np.array([levels])))
    return tracker.weights[..., -1]


def test_misses_of_the_first_step_leave_all_steps_to_the_quickest_expert():
    calm = np.random.default_rng(2).standard_normal(400)
    before = alarmed(calm)
    np.testing.assert_allclose(before[1:], 1.0 / 3.0)  # no outcome of theirs yet, no alarm
    assert (alarmed([*calm, *[3.0, -3.0] * 4])[1:] > 0.8).all()
    assert (alarmed([*calm, *[1.0, -1.0] * 4])[1:] < 0.4).all()


def test_a_band_that_claims_half_never_alarms():
    weights = alarmed([5.0] * 40, levels=(0.25, 0.5, 0.75))
    np.testing.assert_allclose(weights[1:], 1.0 / 3.0)


def test_a_forecast_of_one_value_gets_a_width_of_its_own():
    inside = coverage_of(Calibrated(Constant(100.0)), iid(900))
    assert inside[:20].mean() < 0.6
    np.testing.assert_allclose(inside[400:].mean(axis=0), 0.9, atol=0.05)


def test_a_gap_teaches_nothing():
    series = burst_series(60, gaps=(slice(40, 50),))
    forecaster = Calibrated(LastValue(1800.0)).fit(part(series, 0, 40))
    before = forecaster.scores(3)
    np.testing.assert_allclose(before, np.tile(ndtri(forecaster.levels), (3, 1)))
    for at in range(40, 50):
        forecaster.forecast(3, 20, np.random.default_rng(at))
        forecaster.update(part(series, at, at + 1))
    np.testing.assert_array_equal(forecaster.scores(3), before)
    forecaster.update(part(series, 50, 51))
    assert not np.array_equal(forecaster.scores(3), before)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(st.just(np.nan), st.just(0.0), st.floats(0.0, 1e7)), min_size=12, max_size=30
    ),
    st.sampled_from([0.0, 1e-3, 0.3, 3.0]),
    st.integers(0, 50),
)
def test_paths_keep_their_order_and_stay_bounded_whatever_happens(rates, deviation, seed):
    series = RateSeries(0.0, INTERVAL_S, np.array([1.0, 2.5, *rates]))
    raw, calibrated = Fixed(deviation), Calibrated(Fixed(deviation))
    for forecaster in (raw, calibrated):
        forecaster.fit(part(series, 0, 2))
    for at in range(2, len(series)):
        before = raw.forecast(4, 15, np.random.default_rng(seed)).paths_rps
        after = calibrated.forecast(4, 15, np.random.default_rng(seed)).paths_rps
        assert np.all(np.isfinite(after))
        assert np.all(after >= 0.0)
        for step in range(4):
            moved = after[np.argsort(before[:, step], kind="stable"), step]
            if deviation:
                assert np.all(np.diff(moved) >= -1e-9 * moved.max())
        scores = calibrated.scores(4)
        assert np.all(np.diff(scores, axis=1) >= 0.0)
        assert np.all(np.abs(scores) <= 12.0)
        for forecaster in (raw, calibrated):
            forecaster.update(part(series, at, at + 1))


def test_the_rank_correlation_of_the_paths_over_the_horizon_stays():
    rates = iid(400)
    series = RateSeries(0.0, INTERVAL_S, rates)
    raw, calibrated = Fixed(0.05), Calibrated(Fixed(0.05)).fit(part(series, 0, FIRST))
    raw.fit(part(series, 0, 400))
    for at in range(FIRST, 400):
        calibrated.forecast(4, 50, np.random.default_rng(at))
        calibrated.update(part(series, at, at + 1))
    before = raw.forecast(4, 200, np.random.default_rng(0)).paths_rps
    after = calibrated.forecast(4, 200, np.random.default_rng(0)).paths_rps
    np.testing.assert_allclose(spearmanr(before)[0], spearmanr(after)[0], atol=1e-12)
    assert after.std() > 2.0 * before.std()


def test_a_forecaster_far_off_is_not_drawn_out_beyond_twice_the_highest_rate():
    """As the World Cup's evenings met an LSTM that had learnt from quiet weeks."""
    rates = 100.0 * np.exp(np.linspace(0.0, 2.5, 240)) * iid(240) / 100.0
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster = Calibrated(Fixed(0.05), gains=(0.1,))
    forecaster.fit(part(series, 0, FIRST))
    rng = np.random.default_rng(0)
    for at in range(FIRST, 230):
        paths = forecaster.forecast(8, 100, rng).paths_rps
        assert paths.max() <= 2.0 * rates[:at].max() * (1.0 + 1e-9)
        forecaster.update(part(series, at, at + 1))
    assert 0.8 < np.median(paths[:, 0]) / rates[229] < 1.3  # it still follows, ten times as high
    high = Calibrated(Fixed(3.0))
    high.fit(part(series, 0, FIRST))
    wide = high.forecast(8, 100, np.random.default_rng(1)).paths_rps
    assert wide.max() > 2.0 * rates[:FIRST].max()  # what the wrapped one says itself stays


def test_state_and_work_do_not_grow_with_the_past():
    """The state has one size, and an update looks at one outcome per step of the horizon."""
    rates = iid(500)
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster = Calibrated(Fixed(0.1)).fit(part(series, 0, FIRST))
    rows: list[int] = []
    learn = forecaster._tracker.learn

    def counting(steps, *rest):
        rows.append(len(steps))
        learn(steps, *rest)

    forecaster._tracker.learn = counting  # type: ignore[method-assign]
    sizes = []
    for at in range(FIRST, 500):
        forecaster.forecast(6, 20, np.random.default_rng(at))
        forecaster.update(part(series, at, at + 1))
        states = [*vars(forecaster).values(), *vars(forecaster._tracker).values()]
        sizes.append(sum(value.nbytes for value in states if isinstance(value, np.ndarray)))
    assert len(set(sizes)) == 1
    assert rows[:6] == [1, 2, 3, 4, 5, 6]
    assert set(rows[6:]) == {6}


def test_only_what_was_forecast_in_time_is_learnt_from_and_horizons_may_differ():
    series = burst_series(120)
    forecaster = Calibrated(LastValue(1800.0)).fit(part(series, 0, 60))
    for at in range(60, 100):
        forecaster.forecast(3 if at % 2 else 6, 20, np.random.default_rng(at))
        forecaster.update(part(series, at, at + 1))
    learnt = forecaster.scores(6)
    forecaster.update(part(series, 100, 110))  # the last forecast speaks of six of these
    assert not np.array_equal(forecaster.scores(6), learnt)
    learnt = forecaster.scores(6)
    forecaster.update(part(series, 110, 120))
    np.testing.assert_array_equal(forecaster.scores(6), learnt)


def test_a_unit_is_found_in_counts_and_not_in_rates():
    counts = np.array([0.0, 3.0, 1.0, np.nan, 7.0])
    assert counting_unit_rps(counts * 1.8 / 60.0) == pytest.approx(0.03)
    assert counting_unit_rps(np.array([1.0, 2.5, 3.7])) == 0.0
    assert counting_unit_rps(np.array([5.0, 5.0])) == 0.0
    assert counting_unit_rps(np.array([np.nan, 0.0])) == 0.0


def test_ties_count_by_the_share_of_their_levels_that_lies_in_the_band():
    paths = np.array([0.0] * 97 + [1.0] * 3)[:, None]
    low, high = level_bounds(paths, [0.0])
    assert (float(low[0]), float(high[0])) == (0.0, 0.975)
    assert fairly_covered(paths, [0.0])[0] == pytest.approx(0.9 / 0.975)
    assert fairly_covered(paths, [2.0])[0] == 0.0
    assert np.isnan(fairly_covered(paths, [np.nan])[0])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"levels": [0.5]}, "levels: must rise strictly"),
        ({"levels": [0.9, 0.1]}, "levels: must rise strictly"),
        ({"gains": []}, "gains: must lie in"),
        ({"gains": [0.0, 0.1]}, "gains: must lie in"),
        ({"window": 1}, "window: must be at least 2"),
    ],
)
def test_settings_out_of_range_are_config_errors(setting, message):
    with pytest.raises(ConfigError, match=message):
        Calibrated(LastValue(), **setting)
