"""The online calibration brings coverage to what is claimed."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Calibrated, Forecaster, LastValue
from tests.forecasting.models import INTERVAL_S, burst_series, part


class TooNarrow:
    """Log-normal paths around 100 whose deviation is ``claimed``, whatever is observed."""

    def __init__(self, claimed: float) -> None:
        self.claimed = claimed
        self.end_s = 0.0

    def fit(self, history: RateSeries) -> Self:
        self.end_s = history.end_s
        return self

    def update(self, observed: RateSeries) -> None:
        self.end_s = observed.end_s

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        logs = np.log(100.0) + self.claimed * rng.standard_normal((samples, horizon))
        return Forecast.equally_likely(self.end_s, INTERVAL_S, np.exp(logs))


def covered(forecaster: Forecaster, rates: np.ndarray, horizon: int = 3) -> np.ndarray:
    """Return whether each step was within the 90 % band, (origins, horizon)."""
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster.fit(part(series, 0, 20))
    rng, inside = np.random.default_rng(0), []
    for at in range(20, len(rates) - horizon):
        paths = forecaster.forecast(horizon, 100, rng).paths_rps
        low, high = np.quantile(paths, (0.05, 0.95), axis=0)
        inside.append((rates[at : at + horizon] >= low) & (rates[at : at + horizon] <= high))
        forecaster.update(part(series, at, at + 1))
    return np.array(inside)


@pytest.mark.parametrize("claimed", [0.05, 0.4])
def test_bands_that_are_too_narrow_or_too_wide_come_to_hold_their_share(claimed: float) -> None:
    rates = 100.0 * np.exp(0.15 * np.random.default_rng(1).standard_normal(2200))
    raw = covered(TooNarrow(claimed), rates)[700:].mean()
    calibrated = covered(Calibrated(TooNarrow(claimed)), rates)[700:].mean(axis=0)
    assert abs(raw - 0.9) > 0.08
    np.testing.assert_allclose(calibrated, 0.9, atol=0.03)


def test_coverage_recovers_within_two_hours_of_a_change_of_regime() -> None:
    rng = np.random.default_rng(2)
    deviation = np.where(np.arange(1500) < 1000, 0.1, 0.2)
    rates = 100.0 * np.exp(deviation * rng.standard_normal(1500))
    inside = covered(Calibrated(TooNarrow(0.1), gain=0.1), rates)
    first = 1000 - 20
    assert inside[first : first + 15].mean() < 0.8
    assert inside[first + 120 :].mean() > 0.86


def test_a_gap_teaches_nothing() -> None:
    series = burst_series(60, gaps=(slice(40, 50),))
    forecaster = Calibrated(LastValue(1800.0)).fit(part(series, 0, 40))
    before = forecaster.factors(3)
    np.testing.assert_array_equal(before, 1.0)
    for at in range(40, 50):
        forecaster.forecast(3, 20, np.random.default_rng(at))
        forecaster.update(part(series, at, at + 1))
    np.testing.assert_array_equal(forecaster.factors(3), before)


def test_settings_out_of_range_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="share: must lie within"):
        Calibrated(LastValue(), share=1.0)
    with pytest.raises(ConfigError, match="gain: must lie in"):
        Calibrated(LastValue(), gain=0.0)
