"""The adapter gives what statsforecast gives, moved on without a fit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from statsforecast import models

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import StatsForecast
from tests.forecasting.models import INTERVAL_S, burst_series, part

HOUR_S = 3600.0
SERIES = burst_series(220)
LOGS = np.log1p(SERIES.rate_rps)


def adapter(model: str, periods_s: tuple[float, ...] = (), **changed: float) -> StatsForecast:
    spans: dict[str, float] = {"window_s": 3 * HOUR_S, "forward_s": HOUR_S, "errors_s": 2 * HOUR_S}
    return StatsForecast(model, periods_s, 6, refit_every=None, **{**spans, **changed})


@pytest.mark.parametrize("name", ["AutoETS", "AutoTheta"])
def test_after_a_fit_the_mean_is_that_of_predict_and_then_that_of_forward(name: str) -> None:
    ours = adapter(name, window_s=3 * HOUR_S, forward_s=3 * HOUR_S).fit(part(SERIES, 0, 180))
    theirs = getattr(models, name)(season_length=1).fit(LOGS[:180])
    np.testing.assert_allclose(ours.center(6), theirs.predict(6)["mean"], atol=1e-6)
    ours.update(part(SERIES, 180, 200))
    np.testing.assert_allclose(ours.center(6), theirs.forward(LOGS[20:200], 6)["mean"], atol=1e-9)


def test_auto_arima_is_the_one_that_statsforecast_chooses() -> None:
    random = np.random.default_rng(0)
    logs = np.full(120, 5.0)
    for at in range(1, 120):
        logs[at] = 5.0 + 0.8 * (logs[at - 1] - 5.0) + 0.1 * random.standard_normal()
    series = RateSeries(0.0, INTERVAL_S, np.expm1(logs))
    ours = adapter("AutoARIMA", window_s=2 * HOUR_S, forward_s=2 * HOUR_S).fit(series)
    theirs = models.AutoARIMA(season_length=1).fit(logs)
    np.testing.assert_allclose(ours.center(6), theirs.predict(6)["mean"], atol=1e-6)


def test_the_seasonal_naive_repeats_the_last_period_at_its_phase() -> None:
    ours = adapter("SeasonalNaive", (1800.0,)).fit(part(SERIES, 0, 180))
    np.testing.assert_allclose(ours.center(6), LOGS[150:156])
    ours.update(part(SERIES, 180, 187))
    np.testing.assert_allclose(ours.center(6), LOGS[157:163])


@pytest.mark.parametrize("count", [180, 191])
def test_mstl_carries_its_seasons_to_the_right_phase(count: int) -> None:
    ours = adapter("MSTL", (1800.0,)).fit(part(SERIES, 0, 175))
    ours.update(part(SERIES, 175, count))
    clock = np.arange(count, count + 6) % 30
    burst = (clock >= 10) & (clock < 15)
    np.testing.assert_allclose(ours.center(6)[burst], np.log(121.0), atol=0.25)
    np.testing.assert_allclose(ours.center(6)[~burst], np.log(41.0), atol=0.25)


def test_a_seasonal_model_sees_its_input_from_the_phase_of_its_fit() -> None:
    ours = adapter("AutoETS", (600.0,)).fit(part(SERIES, 0, 187))
    for at in range(187, 193):
        ours.update(part(SERIES, at, at + 1))
        start = ours._fitted.start_before(at + 1, 60)  # type: ignore[union-attr]
        assert (start - 7) % 10 == 0
        assert at + 1 - start >= 60


def test_paths_are_the_mean_with_whole_errors_of_past_forecasts() -> None:
    ours = adapter("AutoETS", errors_s=1200.0).fit(part(SERIES, 0, 180))
    centers = {}
    for at in range(180, 220):
        centers[at] = ours.center(6)
        ours.update(part(SERIES, at, at + 1))
    drawn = np.log1p(ours.forecast(4, 30, np.random.default_rng(0)).paths_rps)
    possible = ours.center(4) + np.array(
        [LOGS[at : at + 4] - centers[at][:4] for at in range(200, 217)]
    )
    for path in drawn:
        assert np.abs(possible - path).max(axis=1).min() < 1e-9


def test_a_gap_longer_than_the_input_holds_the_last_known_load() -> None:
    ours = adapter("AutoETS").fit(part(SERIES, 0, 180))
    ours.update(RateSeries(180 * INTERVAL_S, INTERVAL_S, np.full(100, np.nan)))
    assert np.all(np.expm1(ours.center(6)) > 30.0)


def test_a_refit_comes_on_schedule() -> None:
    ours = StatsForecast(
        "AutoETS", (), 6, window_s=HOUR_S, forward_s=HOUR_S, errors_s=HOUR_S, refit_every=5
    )
    ours.fit(part(SERIES, 0, 180))
    fitted = ours._fitted
    ours.update(part(SERIES, 180, 184))
    assert ours._fitted is fitted
    ours.update(part(SERIES, 184, 185))
    assert ours._fitted is not fitted
    fresh = models.AutoETS(season_length=1).fit(LOGS[125:185])
    np.testing.assert_allclose(ours.center(6), fresh.predict(6)["mean"], atol=1e-6)


def test_settings_out_of_range_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="model: must be one of AutoARIMA"):
        StatsForecast("Prophet")
    with pytest.raises(ConfigError, match="MSTL needs 1"):
        StatsForecast("MSTL")
    with pytest.raises(ConfigError, match="AutoETS needs 0 to 1 periods"):
        StatsForecast("AutoETS", (60.0, 120.0))
    with pytest.raises(ConfigError, match=r"forecaster\.horizon: forecasts of 7"):
        adapter("AutoETS").fit(part(SERIES, 0, 180)).forecast(7, 1, np.random.default_rng(0))


def test_without_statsforecast_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['statsforecast'] = None\n"
        "import numpy as np\n"
        "from markopt.core import RateSeries\n"
        "from markopt.errors import ConfigError\n"
        "from markopt.forecasting import StatsForecast\n"
        "try: StatsForecast(window_s=7200.0).fit(RateSeries(0.0, 60.0, np.ones(200)))\n"
        "except ConfigError as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "markopt[baselines]" in answer.stdout
