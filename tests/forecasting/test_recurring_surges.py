"""Surges come again where the clock and the last one's age let one expect them."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import CarriedRate, LastValue, RecurringSurges
from tests.forecasting.models import INTERVAL_S, PERIOD, burst_series, part

QUIET_RPS = 40.0
ONSET, LENGTH = 10, 5
"""Where in a half hour the bursts of ``burst_series`` begin, and how long they last."""


class Flat:
    """Forecasts a quiet load without any spread."""

    def __init__(self, rate_rps: float = QUIET_RPS) -> None:
        self.rate_rps = rate_rps

    def fit(self, history: RateSeries) -> Self:
        self.end_s = history.end_s
        return self

    def update(self, observed: RateSeries) -> None:
        self.end_s = observed.end_s

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        paths = np.full((samples, horizon), self.rate_rps)
        return Forecast.equally_likely(self.end_s, INTERVAL_S, paths)


def fitted(history: RateSeries, **changed: float) -> RecurringSurges:
    made = {"length_s": LENGTH * INTERVAL_S, **changed}
    return RecurringSurges(Flat(), PERIOD * INTERVAL_S, **made).fit(history)  # type: ignore[arg-type]


def forecast_of(forecaster: RecurringSurges, horizon: int = 12, samples: int = 200) -> Forecast:
    return forecaster.forecast(horizon, samples, np.random.default_rng(0))


def every_second_half_hour(count: int = 1200) -> RateSeries:
    clock = np.arange(count) % (2 * PERIOD)
    bursts = (clock >= ONSET) & (clock < ONSET + LENGTH)
    return RateSeries(0.0, INTERVAL_S, np.where(bursts, 120.0, QUIET_RPS))


def test_a_surge_of_every_half_hour_is_foreseen_to_the_minute() -> None:
    forecaster = fitted(part(burst_series(), 0, 480 + 5))
    chances = [forecaster.chance(step) for step in range(PERIOD)]
    assert np.argmax(chances) == ONSET - 5
    assert chances[ONSET - 5] > 0.85
    assert sum(chances) - max(chances) < 0.5
    mean_rps = forecast_of(forecaster).mean_rps()
    assert mean_rps[ONSET - 5 : ONSET - 5 + LENGTH] == pytest.approx(120.0, rel=0.15)
    assert mean_rps[: ONSET - 5] == pytest.approx(QUIET_RPS, rel=0.15)


def test_where_every_second_half_hour_is_quiet_the_last_surge_tells_which() -> None:
    series = every_second_half_hour()
    turn = 1140  # of its hour the minute 0: a burst comes in this half hour, and none in the next
    before_burst = fitted(part(series, 0, turn))
    before_quiet = fitted(part(series, 0, turn + PERIOD))
    assert before_burst.chance(ONSET) > 0.85
    assert before_quiet.chance(ONSET) < 0.15


def test_a_drawn_surge_follows_a_past_one_from_the_level_of_today() -> None:
    history = every_second_half_hour(1140)
    forecaster = RecurringSurges(Flat(10.0), PERIOD * INTERVAL_S, length_s=LENGTH * INTERVAL_S).fit(
        history
    )
    paths_rps = forecast_of(forecaster, horizon=ONSET + LENGTH + 2).paths_rps
    surging = paths_rps[paths_rps[:, ONSET] > 10.0]
    assert len(surging) > 0.8 * len(paths_rps)
    np.testing.assert_allclose(surging[:, ONSET : ONSET + LENGTH], 30.0)
    np.testing.assert_allclose(surging[:, ONSET + LENGTH :], 10.0)


def test_the_shape_of_a_quiet_night_does_not_multiply_a_busy_hour_without_bound() -> None:
    quiet = every_second_half_hour(1140).rate_rps / 100.0
    history = RateSeries(0.0, INTERVAL_S, np.concatenate([quiet[:-6], np.full(6, 1000.0)]))
    forecaster = RecurringSurges(
        Flat(1000.0), PERIOD * INTERVAL_S, length_s=LENGTH * INTERVAL_S
    ).fit(history)
    paths_rps = forecast_of(forecaster, horizon=2 * PERIOD + ONSET + LENGTH).paths_rps
    assert paths_rps.max() == 2000.0  # three times the level would be 3000


def test_while_a_surge_lasts_no_other_begins() -> None:
    forecaster = fitted(part(burst_series(), 0, 480 + ONSET + 2))
    assert [forecaster.chance(step) for step in range(LENGTH - 2)] == [0.0] * (LENGTH - 2)


def test_a_load_without_surges_is_forecast_as_by_the_forecaster_inside() -> None:
    rates = QUIET_RPS * np.exp(0.05 * np.random.default_rng(1).standard_normal(600))
    forecaster = fitted(RateSeries(0.0, INTERVAL_S, rates))
    np.testing.assert_array_equal(forecast_of(forecaster).paths_rps, QUIET_RPS)
    assert forecaster.chance(3) == 0.0


def test_what_is_appended_counts_as_what_was_fitted() -> None:
    series = burst_series()
    whole, grown = fitted(series), fitted(part(series, 0, 300))
    for first in range(300, len(series), 25):
        grown.update(part(series, first, first + 25))
    np.testing.assert_array_equal(forecast_of(whole).paths_rps, forecast_of(grown).paths_rps)


def test_missing_data_neither_begins_a_surge_nor_speaks_against_one() -> None:
    gap = slice(300 + ONSET - 1, 300 + ONSET + LENGTH)
    without = fitted(part(burst_series(gaps=(gap,)), 0, 480))
    assert fitted(part(burst_series(), 0, 480)).chance(ONSET) == pytest.approx(
        without.chance(ONSET), abs=0.05
    )
    assert np.isfinite(forecast_of(without).paths_rps).all()


@settings(max_examples=25, deadline=None)
@given(
    rates=st.lists(st.floats(0.0, 1e4) | st.just(float("nan")), min_size=40, max_size=200),
    horizon=st.integers(1, 20),
)
def test_any_past_gives_chances_and_no_path_below_the_one_inside(
    rates: list[float], horizon: int
) -> None:
    history = RateSeries(0.0, INTERVAL_S, np.array([*rates, 1.0]))
    forecaster = fitted(history)
    chances = [forecaster.chance(step) for step in range(40)]
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    found = forecast_of(forecaster, horizon, samples=20)
    assert found.paths_rps.shape == (20, horizon)
    assert (found.paths_rps >= QUIET_RPS).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"jump": 1.0}, "jump"), ({"memory": 0}, "memory"), ({"level_s": 90.0}, "level_s")],
)
def test_a_wrong_setting_is_named(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fitted(burst_series(), **changed)


def test_only_mean_rates_can_be_wrapped() -> None:
    inner = CarriedRate(LastValue(errors_s=14400.0), "max")
    forecaster = RecurringSurges(inner).fit(burst_series())
    with pytest.raises(ConfigError, match="mean rates"):
        forecaster.forecast(3, 5, np.random.default_rng(0))
