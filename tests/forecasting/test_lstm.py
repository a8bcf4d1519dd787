"""The LSTM forecaster: accuracy on a small series, joint paths, cache, gaps, settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting import LastValue, Lstm, lstm_network
from markopt.forecasting.lstm_features import Scaling, features, future_targets, held
from markopt.forecasting.scores import pinball_loss
from markopt.forecasting.weight_cache import default_folder
from tests.forecasting.models import HISTORY, INTERVAL_S, burst_series, part, small_lstm


def loss_of(forecaster: Lstm | LastValue, series: RateSeries) -> float:
    """Return the mean pinball loss of log(1 + rate), six steps, over the rest of the series."""
    forecaster.fit(part(series, 0, HISTORY))
    rng, losses = np.random.default_rng(0), []
    for at in range(HISTORY, len(series) - 6):
        paths = forecaster.forecast(6, 60, rng).paths_rps
        losses.append(pinball_loss(np.log1p(paths), np.log1p(series.rate_rps[at : at + 6])))
        forecaster.update(part(series, at, at + 1))
    return float(np.mean(losses))


def test_the_lstm_halves_the_loss_of_last_value_on_bursts_that_have_a_clock(tmp_path: Path) -> None:
    series = burst_series()
    assert loss_of(small_lstm(tmp_path), series) < 0.5 * loss_of(LastValue(14400.0), series)


def test_without_calendar_phases_the_loss_is_larger(tmp_path: Path) -> None:
    series = burst_series(seed=5)
    context = {"context_s": 600.0}  # too short to see the last burst: only the clock tells
    with_clock = loss_of(small_lstm(tmp_path, **context), series)
    without = loss_of(small_lstm(tmp_path, **context, periods_s=()), series)
    assert with_clock < without


def test_paths_follow_the_trained_quantiles(tmp_path: Path) -> None:
    series = burst_series()
    forecaster = small_lstm(tmp_path).fit(part(series, 0, HISTORY))
    paths = forecaster.forecast(6, 4000, np.random.default_rng(0)).paths_rps
    quantiles = forecaster.quantiles_rps()
    middle = forecaster.levels.index(0.5)
    np.testing.assert_allclose(np.median(paths, axis=0), quantiles[:, middle], rtol=0.01)
    assert np.all(np.diff(quantiles, axis=1) >= 0.0)


def test_weights_are_cached_by_content_and_a_damaged_file_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, trained = part(burst_series(), 0, HISTORY), []
    real = lstm_network.train
    monkeypatch.setattr(lstm_network, "train", lambda *a: (trained.append(1), real(*a)))

    def drawn(series: RateSeries, **changed: object) -> np.ndarray:
        forecaster = small_lstm(tmp_path / "cache", epochs=3, **changed).fit(series)
        return forecaster.forecast(3, 5, np.random.default_rng(0)).paths_rps

    first = drawn(history)
    np.testing.assert_array_equal(drawn(history), first)
    assert len(trained) == 1
    files = list((tmp_path / "cache").iterdir())
    assert [file.suffix for file in files] == [".npz"]
    files[0].write_bytes(b"damaged")
    np.testing.assert_array_equal(drawn(history), first)
    assert len(trained) == 2
    drawn(history, seed=1)
    drawn(RateSeries(0.0, INTERVAL_S, history.rate_rps + 1.0))
    assert len(trained) == 4
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    forecaster = small_lstm(blocked, epochs=2).fit(part(burst_series(), 0, HISTORY))
    assert forecaster.forecast(2, 2, np.random.default_rng(0)).horizon == 2


def test_the_environment_names_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKOPT_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("MARKOPT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "markopt"


def test_training_leaves_torchs_generator_and_threads_alone(tmp_path: Path) -> None:
    torch.manual_seed(11)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    small_lstm(tmp_path, epochs=2).fit(part(burst_series(), 0, HISTORY))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_more_members_average_their_quantiles(tmp_path: Path) -> None:
    history = part(burst_series(), 0, HISTORY)
    one = small_lstm(tmp_path, epochs=5).fit(history).quantiles_rps()
    both = small_lstm(tmp_path, epochs=5, members=2).fit(history).quantiles_rps()
    assert one.shape == both.shape
    assert not np.allclose(one, both)


def test_targets_without_data_do_not_enter_the_loss() -> None:
    quantiles = torch.tensor([[[[1.0, 3.0], [5.0, 5.0]]]])
    wanted = torch.tensor([[[2.0, float("nan")]]])
    levels = torch.tensor([0.25, 0.75])
    # 0.25 * (2 - 1) and (0.75 - 1) * (2 - 3), averaged over the levels of the one known target.
    assert lstm_network.masked_pinball(quantiles, wanted, levels).item() == pytest.approx(0.25)


def test_gaps_hold_the_value_before_them_and_are_masked() -> None:
    scaling = Scaling(1.0, 2.0, 9.0)
    logs = np.array([np.nan, 5.0, np.nan, np.nan, 3.0])
    np.testing.assert_allclose(held(logs, np.array([7.0, np.nan]), scaling), [3, 2, 2, 2, 1])
    np.testing.assert_allclose(held(logs, np.array([]), scaling), [0, 2, 2, 2, 1])
    inputs = features(held(logs, logs[:0], scaling), np.isnan(logs), np.arange(5.0), (4.0,), 1)
    np.testing.assert_allclose(inputs[:, 1], [1, 0, 1, 1, 0])
    np.testing.assert_allclose(inputs[:, 2], [0, 1, 0, -1, 0], atol=1e-6)


def test_targets_are_the_values_that_follow() -> None:
    targets = future_targets(np.array([0.0, 1.0, 2.0, 3.0]), 2)
    np.testing.assert_array_equal(targets, [[1, 2], [2, 3], [3, np.nan], [np.nan, np.nan]])


def test_a_horizon_beyond_the_trained_one_is_a_config_error(tmp_path: Path) -> None:
    forecaster = small_lstm(tmp_path, epochs=2).fit(part(burst_series(), 0, HISTORY))
    with pytest.raises(ConfigError, match=r"forecasts of 7 intervals .* got 6"):
        forecaster.forecast(7, 2, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs: must be at least 1, got 0"),
        ({"levels": (0.5, 0.1)}, "levels: must rise strictly"),
        ({"validation_share": 0.0}, "validation_share"),
    ],
)
def test_settings_out_of_range_are_config_errors(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        small_lstm(tmp_path, **changed)


def test_a_history_shorter_than_training_needs_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 96 intervals, got 90"):
        small_lstm(tmp_path, validation_share=0.1).fit(part(burst_series(), 0, 90))
