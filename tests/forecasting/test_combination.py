"""The combination follows its best member, recovers after changes, and keeps to its bound."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Combination, Ewma, Forecaster, LastValue
from tests.forecasting.models import INTERVAL_S, burst_series, part


class Guess:
    """Paths around one rate, whatever is observed: right while the rate is near it."""

    def __init__(self, rate_rps: float, deviation: float = 0.05) -> None:
        self.rate_rps = rate_rps
        self.deviation = deviation
        self.end_s = 0.0

    def fit(self, history: RateSeries) -> Self:
        self.end_s = history.end_s
        return self

    def update(self, observed: RateSeries) -> None:
        self.end_s = observed.end_s

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        logs = np.log1p(self.rate_rps) + self.deviation * rng.standard_normal((samples, 1))
        paths = np.expm1(np.repeat(logs, horizon, axis=1))
        return Forecast.equally_likely(self.end_s, INTERVAL_S, paths)


def run(model: Combination, rates: np.ndarray, horizon: int = 1) -> list[dict[str, float]]:
    """Forecast and update through the rates; return the weights after each."""
    series = RateSeries(0.0, INTERVAL_S, np.concatenate([[50.0], rates]))
    model.fit(part(series, 0, 1))
    rng, weights = np.random.default_rng(0), []
    for at in range(1, len(series)):
        model.forecast(horizon, 40, rng)
        model.update(part(series, at, at + 1))
        weights.append(model.weights)
    return weights


def guesses(*rates_rps: float) -> dict[str, Forecaster]:
    return {f"at_{rate:g}": Guess(rate) for rate in rates_rps}


def switching(run_length: int, runs: int, seed: int = 0) -> np.ndarray:
    """Return rates that change between 40 and 60 at every run's end, with a little noise."""
    levels = np.repeat(np.where(np.arange(runs) % 2, 60.0, 40.0), run_length)
    return levels * np.exp(0.03 * np.random.default_rng(seed).standard_normal(len(levels)))


@pytest.mark.parametrize("runs", [1, 4, 10])
def test_the_loss_stays_within_the_bound_of_the_best_sequence_of_members(runs: int) -> None:
    model = Combination(guesses(40.0, 60.0, 90.0), 4.0, INTERVAL_S * 600 / runs)
    rates = switching(600 // runs, runs)
    run(model, rates)
    assert model.regret.intervals == 600
    total = model.regret.combination * 600
    # What the best sequence loses: each member in the intervals that are its own.
    sequence = 0.0
    for level in (40.0, 60.0):
        own = rates[np.abs(np.log(rates / level)) < 0.2]
        if len(own):
            right = Combination({"one": Guess(level), "same": Guess(level)})
            run(right, own)
            sequence += right.regret.members["one"] * len(own)
    assert total <= sequence + model.bound(switches=runs - 1)
    assert model.regret.per_interval * 600 <= model.bound()
    if runs > 1:  # following the changes beats every single member by far
        assert total < 0.5 * min(model.regret.members.values()) * 600


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.floats(0.5, 20.0), st.floats(120.0, 36000.0))
def test_no_rates_make_the_mixture_lose_more_than_the_bound(
    seed: int, learning_rate: float, switch_s: float
) -> None:
    random = np.random.default_rng(seed)
    rates = random.choice([30.0, 45.0, 60.0], 80) * np.exp(0.1 * random.standard_normal(80))
    model = Combination(guesses(30.0, 45.0, 60.0), learning_rate, switch_s, largest_loss=2.0)
    run(model, rates)
    # 40 paths stand for the mixture, which costs a little beside the exact one.
    assert model.regret.per_interval * 80 <= model.bound() + 0.002 * 80


def test_an_adversary_that_punishes_the_heaviest_member_gains_no_more_than_the_bound() -> None:
    model = Combination(guesses(30.0, 60.0), learning_rate=2.0, largest_loss=1.0)
    model.fit(RateSeries(0.0, INTERVAL_S, np.array([50.0])))
    rng = np.random.default_rng(0)
    for at in range(1, 201):
        model.forecast(1, 40, rng)
        heavier = max(model.weights, key=lambda name: model.weights[name])
        rate = 60.0 if heavier == "at_30" else 30.0
        model.update(RateSeries(at * INTERVAL_S, INTERVAL_S, np.array([rate])))
    regret = model.regret
    assert min(regret.members.values()) * 200 > 20.0  # both members lose a lot
    assert regret.per_interval * 200 <= model.bound() + 0.002 * 200


def test_after_a_change_the_new_best_member_leads_within_an_hour() -> None:
    weights = run(Combination(guesses(40.0, 60.0), 4.0, 21600.0), switching(300, 2))
    assert weights[299]["at_40"] > 0.95
    assert weights[305]["at_40"] > 0.5
    assert weights[359]["at_60"] > 0.9


def test_the_best_member_and_its_loss_are_reported() -> None:
    model = Combination(guesses(40.0, 60.0))
    run(model, switching(50, 1), horizon=3)
    regret = model.regret
    assert regret.best_member == "at_40"
    assert regret.members["at_40"] < regret.combination < regret.members["at_60"]
    assert regret.per_interval == regret.combination - regret.members["at_40"]


def test_paths_are_those_of_the_members_in_proportion_to_the_weights() -> None:
    model = Combination(guesses(40.0, 60.0), learning_rate=0.5)
    weights = run(model, switching(30, 1), horizon=3)[-1]
    for samples in (1, 7, 100):
        paths = model.forecast(3, samples, np.random.default_rng(1)).paths_rps
        share = float((paths[:, 0] < 50.0).sum())
        assert abs(share - weights["at_40"] * samples) <= 1.0
        # A path stays with its member: these are level from the first step to the last.
        np.testing.assert_array_equal(paths, np.repeat(paths[:, :1], 3, axis=1))


def test_a_thinned_member_keeps_its_distribution() -> None:
    model = Combination({"one": Guess(50.0, 0.3), "same": Guess(50.0, 0.3)})
    model.fit(RateSeries(0.0, INTERVAL_S, np.array([50.0])))
    logs = np.log1p(model.forecast(1, 2000, np.random.default_rng(0)).paths_rps)
    assert logs.mean() == pytest.approx(np.log(51.0), abs=0.02)
    assert logs.std() == pytest.approx(0.3, rel=0.05)


def test_a_gap_or_an_interval_that_nobody_forecast_teaches_nothing() -> None:
    series = burst_series(60, gaps=(slice(40, 50),))
    model = Combination({"ewma": Ewma(), "last_value": LastValue()}).fit(part(series, 0, 40))
    start = model.weights
    for at in range(40, 50):
        model.forecast(3, 20, np.random.default_rng(at))
        model.update(part(series, at, at + 1))
    assert model.weights == start
    assert model.regret.intervals == 0
    model.update(part(series, 50, 51))  # forecast at 48 and 49
    assert model.weights != start
    model.update(part(series, 51, 60))  # 51 was forecast at 49, the others never
    assert model.regret.intervals == 2


def test_settings_out_of_range_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="at least 2 members"):
        Combination({"one": Guess(1.0)})
    with pytest.raises(ConfigError, match="learning_rate: must be positive"):
        Combination(guesses(1.0, 2.0), learning_rate=0.0)
    with pytest.raises(ConfigError, match="switch_s: must be longer"):
        Combination(guesses(1.0, 2.0), switch_s=60.0).fit(burst_series())
