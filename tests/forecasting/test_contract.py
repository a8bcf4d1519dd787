"""What every forecaster promises, checked on each."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting import Forecaster
from tests.forecasting.models import HISTORY, INTERVAL_S, MAKERS, burst_series, part

HORIZON = 6
SAMPLES = 25
HONEST = sorted(set(MAKERS) - {"oracle", "oracle_with_error"})
EVERY = sorted(MAKERS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def fitted(name: str, series: RateSeries, cache: Path) -> Forecaster:
    return MAKERS[name](series, cache).fit(part(series, 0, HISTORY))


def paths(forecaster: Forecaster, seed: int = 0) -> np.ndarray:
    return forecaster.forecast(HORIZON, SAMPLES, np.random.default_rng(seed)).paths_rps


@pytest.mark.parametrize("name", EVERY)
def test_a_forecast_starts_where_the_history_ends_and_has_the_shape_asked_for(
    name: str, cache: Path
) -> None:
    series = burst_series()
    forecaster = fitted(name, series, cache)
    for horizon, samples in ((HORIZON, SAMPLES), (1, 1), (3, 7)):
        forecast = forecaster.forecast(horizon, samples, np.random.default_rng(0))
        assert forecast.paths_rps.shape == (samples, horizon)
        assert forecast.start_s == HISTORY * INTERVAL_S
        assert forecast.interval_s == INTERVAL_S
        np.testing.assert_allclose(forecast.probabilities, 1.0 / samples)
    forecaster.update(part(series, HISTORY, HISTORY + 2))
    assert forecaster.forecast(2, 2, np.random.default_rng(0)).start_s == (HISTORY + 2) * INTERVAL_S


@pytest.mark.parametrize("name", EVERY)
def test_fit_returns_the_forecaster_itself(name: str, cache: Path) -> None:
    series = burst_series()
    forecaster = MAKERS[name](series, cache)
    assert forecaster.fit(part(series, 0, HISTORY)) is forecaster


@pytest.mark.parametrize("name", EVERY)
def test_the_same_generator_gives_the_same_paths_and_another_one_others(
    name: str, cache: Path
) -> None:
    forecaster = fitted(name, burst_series(), cache)
    first = paths(forecaster, 1)
    np.testing.assert_array_equal(first, paths(forecaster, 1))
    if name != "oracle":
        assert not np.array_equal(first, paths(forecaster, 2))


@pytest.mark.parametrize("name", EVERY)
def test_one_update_of_many_equals_many_updates_of_one(name: str, cache: Path) -> None:
    series = burst_series(gaps=(slice(500, 505),))
    many, one = fitted(name, series, cache), fitted(name, series, cache)
    for at in range(HISTORY, HISTORY + 40):
        many.update(part(series, at, at + 1))
    one.update(part(series, HISTORY, HISTORY + 40))
    np.testing.assert_array_equal(paths(many), paths(one))


@pytest.mark.parametrize("name", HONEST)
def test_an_altered_future_changes_no_earlier_forecast(name: str, cache: Path) -> None:
    series = burst_series()
    altered_rates = series.rate_rps.copy()
    altered_rates[HISTORY + 5 :] *= 3.0
    altered = RateSeries(series.start_s, INTERVAL_S, altered_rates)
    one, other = fitted(name, series, cache), fitted(name, altered, cache)
    for at in range(HISTORY, HISTORY + 5):
        np.testing.assert_array_equal(paths(one, at), paths(other, at))
        one.update(part(series, at, at + 1))
        other.update(part(altered, at, at + 1))
    np.testing.assert_array_equal(paths(one), paths(other))


@pytest.mark.parametrize("name", EVERY)
def test_gaps_in_the_history_are_never_taken_for_zero_load(name: str, cache: Path) -> None:
    gaps = (slice(0, 3), slice(200, 220), slice(HISTORY - 4, HISTORY + 4))
    series = burst_series(gaps=gaps)
    forecaster = fitted(name, series, cache)
    for at in range(HISTORY, HISTORY + 4):
        forecaster.update(part(series, at, at + 1))
        drawn = paths(forecaster)
        assert np.all(np.isfinite(drawn))
        # The least rate of the series is above 30; a level below 20 would be load made of gaps.
        assert np.all(np.median(drawn, axis=0) > 20.0)


@pytest.mark.parametrize("name", EVERY)
def test_paths_stay_finite_and_not_negative_on_a_series_with_zeros_and_jumps(
    name: str, cache: Path
) -> None:
    rng = np.random.default_rng(5)
    rates = np.where(rng.random(HISTORY + 3) < 0.4, 0.0, rng.pareto(1.5, HISTORY + 3) * 50.0)
    series = RateSeries(0.0, INTERVAL_S, rates)
    forecaster = fitted(name, series, cache)
    forecaster.update(part(series, HISTORY, HISTORY + 3))
    drawn = paths(forecaster)
    assert np.all(np.isfinite(drawn))
    assert np.all(drawn >= 0.0)


@pytest.mark.parametrize("name", HONEST)
def test_too_short_a_history_says_what_was_required_and_received(name: str, cache: Path) -> None:
    series = burst_series()
    with pytest.raises(DataError, match=r"need.* got ") as caught:
        MAKERS[name](series, cache).fit(part(series, 0, 4)).forecast(
            HORIZON, 2, np.random.default_rng(0)
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_history_without_data_is_refused(name: str, cache: Path) -> None:
    empty = RateSeries(0.0, INTERVAL_S, np.full(HISTORY, np.nan))
    with pytest.raises(DataError, match="data"):
        MAKERS[name](empty, cache).fit(empty)


@pytest.mark.parametrize("name", EVERY)
def test_an_update_that_does_not_follow_the_history_is_refused(name: str, cache: Path) -> None:
    series = burst_series()
    forecaster = fitted(name, series, cache)
    with pytest.raises(DataError, match="must start at"):
        forecaster.update(part(series, HISTORY + 1, HISTORY + 2))


@pytest.mark.parametrize("name", EVERY)
def test_forecasting_before_fitting_or_of_nothing_is_a_config_error(name: str, cache: Path) -> None:
    series = burst_series()
    with pytest.raises(ConfigError, match="must be fitted"):
        MAKERS[name](series, cache).forecast(1, 1, np.random.default_rng(0))
    forecaster = fitted(name, series, cache)
    for horizon, samples in ((0, 1), (1, 0)):
        with pytest.raises(ConfigError, match="must be at least 1"):
            forecaster.forecast(horizon, samples, np.random.default_rng(0))


_SCRIPT = """
import hashlib, pathlib, sys
import numpy as np
from tests.forecasting.models import HISTORY, MAKERS, burst_series, part
series = burst_series()
digest = hashlib.sha256()
for name in sorted(MAKERS):
    forecaster = MAKERS[name](series, pathlib.Path(sys.argv[1])).fit(part(series, 0, HISTORY))
    forecaster.update(part(series, HISTORY, HISTORY + 2))
    digest.update(forecaster.forecast(6, 25, np.random.default_rng(0)).paths_rps.tobytes())
print(digest.hexdigest())
"""


def test_another_process_that_trains_anew_draws_the_same_bytes(cache: Path, tmp_path: Path) -> None:
    series = burst_series()
    digest = hashlib.sha256()
    for name in EVERY:
        forecaster = fitted(name, series, cache)
        forecaster.update(part(series, HISTORY, HISTORY + 2))
        digest.update(paths(forecaster).tobytes())
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == digest.hexdigest()


def test_importing_the_package_loads_no_library_before_its_model_is_fitted() -> None:
    """Save for the networks, whose classes derive from torch's: theirs is loaded by name."""
    code = (
        "import sys, markopt.forecasting as f\n"
        "[getattr(f, n)() for n in f.__all__ if n not in "
        "('Calibrated', 'CarriedRate', 'Combination', 'Forecaster', 'Lstm', 'MarkLstm', "
        "'OracleWithError', 'RecurringSurges')]\n"
        "print(sorted({'torch', 'statsmodels', 'statsforecast'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_every_public_name_exists_and_an_unknown_one_is_an_attribute_error() -> None:
    import markopt.forecasting as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Prophet'"):
        package.Prophet  # noqa: B018
