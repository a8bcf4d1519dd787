"""The rolling run: origins, gaps, refits, no look-ahead, and what it measures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.evaluation.backtest import (
    BacktestSettings,
    Load,
    backtest,
    measured,
    measured_load,
    origins,
    read_backtest,
    roll,
    write_backtest,
)
from markopt.evaluation.backtest.rolling import equal_paths
from markopt.evaluation.backtest.summary import document, rounded, step_rows, stretch_rows
from markopt.forecasting import LastValue, Oracle, SeasonalNaive, scores
from markopt.workload import PoissonWorkload, ReplayWorkload, TraceWorkload
from tests.forecasting.models import HISTORY, INTERVAL_S, MAKERS, TOTAL, burst_series

SMALL = BacktestSettings(("any",), horizon=6, samples=20, stride=3)
HONEST = sorted(
    set(MAKERS) - {"oracle", "oracle_with_error", "carried_rate"}
)  # of the mean, from the past


def load_of(series: RateSeries, first: int = HISTORY) -> Load:
    return Load("toy", series, first)


def nothing() -> None:
    pass


class Told:
    """A forecaster that writes down what it is told, and forecasts its newest rate."""

    def __init__(self, statistic="mean"):
        self.statistic = statistic
        self.fits, self.updates, self.asked, self.draws = [], [], [], []

    def fit(self, history):
        self.fits.append(len(history))
        self.seen = history
        return self

    def update(self, observed):
        self.updates.append(len(observed))
        self.seen = self.seen.extended(observed)

    def forecast(self, horizon, samples, rng):
        self.asked.append(len(self.seen))
        self.draws.append(rng.random())
        paths = np.full((samples, horizon), self.seen.rate_rps[-1])
        return Forecast.equally_likely(self.seen.end_s, INTERVAL_S, paths, self.statistic)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@settings(max_examples=50, deadline=None)
@given(
    tested=st.integers(1, 60),
    horizon=st.integers(1, 12),
    stride=st.integers(1, 7),
    refit_every=st.none() | st.integers(1, 20),
)
def test_a_forecaster_knows_all_that_has_ended_and_nothing_else(
    tested, horizon, stride, refit_every
):
    rates = np.arange(40.0 + tested)
    load = load_of(RateSeries(0.0, INTERVAL_S, rates), 40)
    how = BacktestSettings(("any",), None, None, horizon, 2, stride, refit_every)
    if tested < horizon:
        with pytest.raises(DataError, match="needs a test at least as long"):
            origins(load, horizon, stride)
        return
    told = Told()
    found, clock = roll(told, load, how, 0, nothing)
    starts = list(range(40, 40 + tested - horizon + 1, stride))
    assert told.asked == starts
    assert set(told.updates) <= {1}
    # It forecast the newest rate that it was told: exactly the one before the origin.
    np.testing.assert_allclose(found.band_rps[:, 0, 1], np.array(starts) - 1.0)
    np.testing.assert_allclose(
        found.mae_rps, np.tile(np.arange(1.0, horizon + 1), (len(starts), 1))
    )
    refits = (
        [] if refit_every is None else list(range(40 + refit_every, starts[-1] + 1, refit_every))
    )
    assert told.fits == [40, *refits]
    assert len(clock.fit_s) == len(told.fits)
    assert len(clock.update_s) == len(told.updates) == starts[-1] - 40 - len(refits)
    assert len(clock.forecast_s) == len(starts)


@pytest.mark.parametrize("name", HONEST)
def test_altering_the_future_changes_no_earlier_forecast(name, cache):
    series = burst_series(HISTORY + 48)
    turn = HISTORY + 30
    rates = series.rate_rps.copy()
    rates[turn:] = 7.0 * rates[turn:] + 100.0
    rates[turn + 4] = np.nan
    altered = RateSeries(0.0, INTERVAL_S, rates)

    def bands(of):
        return roll(MAKERS[name](of, cache), load_of(of), SMALL, 5, nothing)[0].band_rps

    one, other = bands(series), bands(altered)
    earlier = turn - HISTORY  # origins up to here have seen nothing of what was altered
    before = np.arange(len(one)) * SMALL.stride <= earlier
    np.testing.assert_array_equal(one[before], other[before])
    assert before.sum() > 5
    assert not np.array_equal(one[~before], other[~before])


def test_a_forecaster_that_looks_ahead_is_found_out():
    series = burst_series()
    rates = series.rate_rps.copy()
    rates[HISTORY + 30 :] *= 2.0
    altered = RateSeries(0.0, INTERVAL_S, rates)
    one, other = (
        roll(Oracle(of), load_of(of), SMALL, 5, nothing)[0].band_rps for of in (series, altered)
    )
    assert not np.array_equal(one[9], other[9])  # from interval 27 on, three before the change


def test_what_a_forecaster_is_given_cannot_be_followed_into_the_future():
    load = load_of(burst_series())
    given_part = load.part(0, HISTORY)
    assert not np.shares_memory(given_part.rate_rps, load.series.rate_rps)


@pytest.mark.parametrize("name", ["calibrated", "last_value", "oracle"])
def test_every_forecaster_is_measured_from_the_same_origins(name, cache):
    series = burst_series(gaps=(slice(HISTORY + 20, HISTORY + 24),))
    makers = {name: lambda: MAKERS[name](series, cache)}
    how = BacktestSettings((name,), horizon=6, samples=20, stride=4)
    result = backtest(makers, load_of(series), how, 0)
    assert result.refused == {}
    assert len(result.measures[name].mae_rps) == len(range(HISTORY, TOTAL - 6 + 1, 4))
    entry = document(result)["forecasters"][name]
    assert 0.0 <= entry["coverage"]["90"] <= 1.0
    assert sum(entry["pit"]) == pytest.approx(1.0, abs=1e-4)
    if name == "oracle":
        assert entry["mae_rps"] == entry["peak_error"] == 0.0
        for key in ("pinball_log", "crps_rps", "energy_log"):
            assert entry[key] == pytest.approx(0.0, abs=1e-9)


def test_draws_depend_on_seed_and_origin_alone():
    def draws(stride, seed=0):
        told = Told()
        how = BacktestSettings(("any",), horizon=2, samples=2, stride=stride)
        roll(told, load_of(burst_series(60), 40), how, seed, nothing)
        return dict(zip(told.asked, told.draws, strict=True))

    every, third = draws(1), draws(3)
    assert {at: every[at] for at in third} == third
    assert len(set(every.values())) == len(every)
    assert draws(3, seed=1)[40] != third[40]


def test_intervals_without_data_are_left_out_of_every_score():
    rates = np.full(60, 10.0)
    rates[50:55] = np.nan
    load = load_of(RateSeries(0.0, INTERVAL_S, rates), 40)
    found, _ = roll(
        LastValue(errors_s=1800.0),
        load,
        BacktestSettings(("any",), horizon=3, samples=5),
        0,
        nothing,
    )
    spoken = np.arange(40, 58)[:, None] + np.arange(3)
    unknown = (spoken >= 50) & (spoken < 55)
    for name in ("pinball_log", "crps_rps", "mae_log", "pit_low", "pit_high"):
        np.testing.assert_array_equal(np.isnan(getattr(found, name)), unknown)
    assert np.isnan(found.covered[unknown]).all()
    np.testing.assert_array_equal(np.isnan(found.energy_log), unknown.any(axis=1))
    assert load.missing() == (0, 5)


def test_measures_are_those_of_the_scores():
    rng = np.random.default_rng(0)
    paths, realized = rng.gamma(2.0, 20.0, (5, 30, 4)), rng.gamma(2.0, 20.0, (5, 4))
    realized[1, 2] = np.nan
    found = measured(paths, realized)
    logs, log_truth = np.log1p(paths), np.log1p(realized)
    np.testing.assert_allclose(found.pinball_log, scores.pinball_loss(logs, log_truth))
    np.testing.assert_allclose(found.pinball_rps, scores.pinball_loss(paths, realized))
    np.testing.assert_allclose(found.crps_log, scores.crps(logs, log_truth))
    np.testing.assert_allclose(found.mae_rps, np.abs(np.median(paths, axis=1) - realized))
    for at, share in enumerate((0.5, 0.8, 0.9, 0.95)):
        np.testing.assert_array_equal(
            found.covered[..., at], scores.covered(paths, realized, share)
        )
    level = scores.LEVELS.index(0.9)
    below = realized <= scores.path_quantiles(paths, [0.9])[0]
    known = ~np.isnan(realized)
    np.testing.assert_array_equal(found.below[..., level][known], below[known])


def test_unequal_probabilities_are_resampled_to_what_they_say():
    paths = np.array([[1.0], [2.0], [3.0], [4.0]])
    forecast = Forecast(0.0, 60.0, paths, np.array([0.5, 0.0, 0.25, 0.25]))
    np.testing.assert_array_equal(equal_paths(forecast)[:, 0], [1.0, 1.0, 3.0, 4.0])


def test_a_forecaster_that_refuses_is_named_and_the_others_go_on():
    series = burst_series(HISTORY + 40)
    makers = {
        "fine": lambda: LastValue(errors_s=14400.0),
        "short": lambda: SeasonalNaive(period_s=864000.0),
        "largest": lambda: Told("max"),
    }
    result = backtest(makers, load_of(series), SMALL, 0)
    assert list(result.measures) == ["fine"]
    assert "history" in result.refused["short"] or "need" in result.refused["short"]
    assert "'max'" in result.refused["largest"]
    with pytest.raises(DataError, match="every forecaster refused; short: "):
        backtest({"short": makers["short"]}, load_of(series), SMALL, 0)


def test_a_load_without_history_is_refused():
    with pytest.raises(DataError, match="history to learn from"):
        origins(load_of(burst_series(), 0), 6, 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"forecasters": ()}, "at least one"),
        ({"forecasters": ("a", "a")}, "each once"),
        ({"horizon": 0}, r"backtest\.horizon: must be at least 1, got 0"),
        ({"samples": 1}, r"backtest\.samples: must be at least 2"),
        ({"stride": 0}, r"backtest\.stride"),
        ({"refit_every": 0}, r"backtest\.refit_every"),
        ({"train_s": -1.0}, r"backtest\.train_s: must be positive"),
        ({"test_s": 0.0}, r"backtest\.test_s"),
    ],
)
def test_a_setting_out_of_range_is_named(changed, message):
    with pytest.raises(ConfigError, match=message):
        BacktestSettings(**{"forecasters": ("a",), **changed})


def test_a_trace_is_measured_over_what_was_recorded_and_nothing_is_filled_in(tmp_path):
    path = tmp_path / "holes.csv"
    # Seconds 0..299 at 5 a second; 60..74 (a quarter) and 130..179 (most of a minute) are missing.
    kept = [s for s in range(300) if not (60 <= s < 75 or 130 <= s < 180)]
    path.write_text("second,requests\n" + "".join(f"{s},5\n" for s in kept))
    spans = {"history_s": 180.0, "evaluate_s": 120.0}
    load = measured_load(TraceWorkload(str(path), "hold", scale=2.0, **spans), 0)
    np.testing.assert_allclose(load.series.rate_rps, [10.0, 10.0, np.nan, 10.0, 10.0])
    assert (load.first, load.start_s, load.missing()) == (3, 180.0, (1, 0))
    with pytest.raises(DataError, match="gap of 15 s"):
        measured_load(TraceWorkload(str(path), "error", **spans), 0)
    split = TraceWorkload(str(path), "split", history_s=60.0, evaluate_s=60.0)
    np.testing.assert_allclose(measured_load(split, 0).series.rate_rps, [5.0, 5.0])


def test_generated_loads_and_single_requests_are_counted(tmp_path):
    workload = PoissonWorkload([40.0], 3600.0, history_s=3600.0, evaluate_s=1800.0)
    one, same, other = (measured_load(workload, seed) for seed in (0, 0, 1))
    assert (one.first, len(one.series)) == (60, 90)
    np.testing.assert_array_equal(one.series.rate_rps, same.series.rate_rps)
    assert not np.array_equal(one.series.rate_rps, other.series.rate_rps)
    assert one.series.rate_rps.mean() == pytest.approx(40.0, rel=0.05)
    path = tmp_path / "requests.csv"
    path.write_text("arrival_s\n" + "".join(f"{s}\n" for s in np.arange(0.0, 240.0, 0.5)))
    replay = ReplayWorkload(str(path), history_s=120.0, evaluate_s=120.0)
    np.testing.assert_allclose(measured_load(replay, 0).series.rate_rps, [2.0] * 4)


@pytest.fixture
def result():
    series = burst_series(gaps=(slice(HISTORY + 20, HISTORY + 24),))
    makers = {
        "last": lambda: LastValue(errors_s=14400.0),
        "seasonal": lambda: SeasonalNaive(period_s=1800.0),
    }
    return backtest(makers, load_of(series), SMALL, 0)


def test_rows_are_means_over_origins_and_the_stretch_holds_the_peak(result):
    rows = step_rows(result)
    assert [(row["forecaster"], row["step"]) for row in rows] == [
        (name, step) for name in ("last", "seasonal") for step in range(1, 7)
    ]
    found = result.measures["seasonal"].mae_rps
    assert rows[6]["mae_rps"] == rounded(np.nanmean(found[:, 0]))
    assert rows[6]["forecasts"] == np.isfinite(found[:, 0]).sum()
    assert rows[-1]["lead_s"] == 6 * INTERVAL_S
    told = stretch_rows(result)
    rates = result.load.series.rate_rps
    spoken = np.array(result.starts) + 2
    assert max(r["realized_rps"] or 0.0 for r in told) == rounded(np.nanmax(rates[spoken]))
    for row in told:
        at = HISTORY + round(row["time_s"] / INTERVAL_S)
        assert row["realized_rps"] == rounded(rates[at])
        assert row["p05_rps"] <= row["p50_rps"] <= row["p95_rps"]


def test_the_seasonal_forecaster_wins_where_bursts_have_a_clock(result):
    found = document(result)["forecasters"]
    assert found["seasonal"]["pinball_log"] < 0.5 * found["last"]["pinball_log"]
    assert found["seasonal"]["energy_log"] < found["last"]["energy_log"]


def test_what_was_written_is_read_back_and_damage_is_named(result, tmp_path):
    write_backtest(result, {"seed": 0}, tmp_path)
    files = read_backtest(tmp_path)
    written = {**document(result), "config": {"seed": 0}, "provenance": {}}
    assert files.document == json.loads(json.dumps(written))
    assert len(files.steps) == 12
    assert set(files.timing) == {"last", "seasonal"}
    assert files.timing["last"]["interval_s"] > 0.0
    (tmp_path / "backtest.csv").write_text("forecaster,step\nlast,one\n")
    with pytest.raises(DataError, match=r"backtest\.csv, line 2: expected a row"):
        read_backtest(tmp_path)
    (tmp_path / "summary.json").write_text('{"schema": "markopt.backtest/0"}')
    with pytest.raises(DataError, match=r"this version reads 'markopt\.backtest/2'"):
        read_backtest(tmp_path)
    (tmp_path / "summary.json").unlink()
    with pytest.raises(DataError, match=r"summary\.json: a result file is missing"):
        read_backtest(tmp_path)
