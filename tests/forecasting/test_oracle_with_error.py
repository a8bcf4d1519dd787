"""Foresight with an error of known size."""

from __future__ import annotations

import numpy as np
import pytest

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Oracle, OracleWithError
from tests.forecasting.models import HISTORY, burst_series, part

LONG = 4000


def at(forecaster: OracleWithError | Oracle, series: RateSeries, interval: int) -> np.ndarray:
    forecaster.fit(part(series, 0, interval))
    return forecaster.forecast(6, 400, np.random.default_rng(1)).paths_rps


def test_without_an_error_it_is_the_oracle() -> None:
    series = burst_series()
    exact = at(OracleWithError(0.0, rates=series), series, HISTORY)
    np.testing.assert_allclose(exact, at(Oracle(series), series, HISTORY))


def test_an_interval_has_the_same_error_however_early_it_is_forecast() -> None:
    series = burst_series()
    early = at(OracleWithError(0.3, admitted=0.0, rates=series), series, HISTORY)
    late = at(OracleWithError(0.3, admitted=0.0, rates=series), series, HISTORY + 2)
    np.testing.assert_allclose(early[:, 2:], late[:, :-2])


def test_the_error_has_the_size_and_persistence_asked_for() -> None:
    flat = RateSeries(0.0, 60.0, np.full(LONG, 50.0))
    forecaster = OracleWithError(0.3, persistence=0.8, admitted=0.0, rates=flat)
    forecaster.fit(part(flat, 0, 1))
    path = forecaster.forecast(LONG - 1, 1, np.random.default_rng(0)).paths_rps[0]
    errors = np.log(path / 50.0)
    assert errors.std() == pytest.approx(0.3, rel=0.1)
    assert np.corrcoef(errors[1:], errors[:-1])[0, 1] == pytest.approx(0.8, abs=0.04)


def test_an_admitted_error_is_covered_as_often_as_said_and_a_hidden_one_never() -> None:
    flat = RateSeries(0.0, 60.0, np.full(LONG, 50.0))
    honest = OracleWithError(0.3, persistence=0.0, rates=flat)
    hidden = OracleWithError(0.3, persistence=0.0, admitted=0.0, rates=flat)
    covered = []
    for forecaster in (honest, hidden):
        forecaster.fit(part(flat, 0, 1))
        paths = forecaster.forecast(LONG - 1, 200, np.random.default_rng(0)).paths_rps
        low, high = np.quantile(paths, [0.05, 0.95], axis=0)
        covered.append(float(np.mean((low <= 50.0) & (high >= 50.0))))
    assert covered[0] == pytest.approx(0.9, abs=0.03)
    assert covered[1] < 0.01


@pytest.mark.parametrize(
    "wrong", [{"error": -0.1}, {"error": 0.1, "admitted": -1.0}, {"error": 0.1, "persistence": 1.0}]
)
def test_a_value_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        OracleWithError(**wrong)


def test_it_needs_the_rates() -> None:
    with pytest.raises(ConfigError, match="realised rates"):
        OracleWithError(0.1).fit(part(burst_series(), 0, 10))
