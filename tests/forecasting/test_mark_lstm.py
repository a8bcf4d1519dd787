"""MArk's LSTM: one lag, differences, squared errors; spread by its past errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import MarkLstm
from markopt.forecasting.mark_lstm import DifferenceNetwork
from tests.forecasting.models import INTERVAL_S, burst_series, part


def small(folder: Path, **changed: object) -> MarkLstm:
    settings: dict[str, object] = {"units": 8, "steps": 5, "epochs": 5, "cache_folder": str(folder)}
    return MarkLstm(**{**settings, **changed})  # type: ignore[arg-type]


def test_it_sees_nothing_but_the_last_rate_and_the_last_difference(tmp_path: Path) -> None:
    series = burst_series(220)
    altered = series.rate_rps.copy()
    model = small(tmp_path).fit(part(series, 0, 200))
    other = small(tmp_path).fit(part(series, 0, 200))
    altered[200:208] *= 2.0
    model.update(part(series, 200, 210))
    other.update(part(RateSeries(0.0, INTERVAL_S, altered), 200, 210))
    np.testing.assert_array_equal(model.point_rps(), other.point_rps())


def test_a_difference_that_predicts_the_next_is_learned(tmp_path: Path) -> None:
    # Up and down by 10 in turn: the next differences follow from the last.
    rates = 100.0 + 5.0 * (-1.0) ** np.arange(400)
    model = small(tmp_path, epochs=20, learning_rate=1e-2).fit(RateSeries(0.0, INTERVAL_S, rates))
    np.testing.assert_allclose(model.point_rps(), [105.0, 95.0, 105.0, 95.0, 105.0], atol=0.7)


def test_the_mean_of_noise_is_the_mean_difference(tmp_path: Path) -> None:
    rates = 500.0 + np.cumsum(np.random.default_rng(0).choice([-1.0, 2.0], 400))
    model = small(tmp_path, epochs=10, learning_rate=5e-3).fit(RateSeries(0.0, INTERVAL_S, rates))
    steps = np.arange(1, 6)
    np.testing.assert_allclose(model.point_rps(), rates[-1] + 0.5 * steps, atol=1.5)


def test_a_network_is_a_function_of_one_number() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DifferenceNetwork(8, 5)
    together = network(torch.tensor([0.1, -0.3, 0.1]))
    assert together.shape == (3, 5)
    torch.testing.assert_close(together[0], together[2])
    torch.testing.assert_close(together[1], network(torch.tensor([-0.3]))[0])


def test_paths_are_the_point_forecast_with_whole_past_errors(tmp_path: Path) -> None:
    series = burst_series(200)
    model = small(tmp_path).fit(part(series, 0, 150))
    centers = {}
    for at in range(150, 200):
        centers[at] = np.log1p(model.point_rps())
        model.update(part(series, at, at + 1))
    logs = np.log1p(series.rate_rps)
    fresh = small(tmp_path, errors_s=40 * INTERVAL_S).fit(part(series, 0, 150))
    fresh.update(part(series, 150, 200))
    now = np.log1p(fresh.point_rps())
    drawn = np.log1p(fresh.forecast(5, 40, np.random.default_rng(0)).paths_rps) - now
    errors = np.array([logs[at : at + 5] - centers[at] for at in range(160, 196)])
    possible = np.maximum(now + errors, 0.0) - now
    for path in drawn:
        assert np.abs(possible - path).max(axis=1).min() < 1e-4


def test_a_gap_stands_for_the_last_rate_unchanged(tmp_path: Path) -> None:
    series = burst_series(150)
    held, gap = small(tmp_path).fit(series), small(tmp_path).fit(series)
    held.update(RateSeries(series.end_s, INTERVAL_S, np.repeat(series.rate_rps[-1], 3)))
    gap.update(RateSeries(series.end_s, INTERVAL_S, np.full(3, np.nan)))
    np.testing.assert_array_equal(gap.point_rps(), held.point_rps())


def test_training_is_cached_and_the_seed_changes_it(tmp_path: Path) -> None:
    series = burst_series(150)
    first = small(tmp_path).fit(series).point_rps()
    stored = list(tmp_path.iterdir())
    np.testing.assert_array_equal(small(tmp_path).fit(series).point_rps(), first)
    assert list(tmp_path.iterdir()) == stored
    assert not np.array_equal(small(tmp_path, seed=1).fit(series).point_rps(), first)


def test_a_horizon_beyond_the_steps_is_a_config_error(tmp_path: Path) -> None:
    model = small(tmp_path).fit(burst_series(150))
    with pytest.raises(ConfigError, match=r"forecaster\.steps: forecasts of 6"):
        model.forecast(6, 1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="units: must be at least 1"):
        MarkLstm(units=0)
