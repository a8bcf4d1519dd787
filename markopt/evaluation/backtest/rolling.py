"""The rolling run: fitted once, then forecast, judged and told of the next interval, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast
from markopt.errors import ConfigError
from markopt.evaluation.backtest.load import Load, origins
from markopt.evaluation.backtest.measures import Measures, measured
from markopt.evaluation.backtest.settings import BacktestSettings
from markopt.evaluation.seeds import seed_sequence
from markopt.forecasting.protocol import Forecaster

P = ParamSpec("P")
T = TypeVar("T")
Reading = tuple[float, float]
BATCH = 64
"""Forecasts that are scored at once."""


@dataclass
class Clock:
    """Clock readings of one forecaster, seconds; never part of a result that is to repeat.

    Each is a pair: elapsed time, and CPU time of this process (which a busy machine lengthens far
    less).
    """

    fit_s: list[Reading] = field(default_factory=list)
    update_s: list[Reading] = field(default_factory=list)
    forecast_s: list[Reading] = field(default_factory=list)


def equal_paths(forecast: Forecast) -> NDArray[np.float64]:
    """Return as many equally likely paths; unequal probabilities are resampled systematically."""
    count = forecast.samples
    if np.allclose(forecast.probabilities, 1.0 / count, rtol=1e-6):
        return np.asarray(forecast.paths_rps)
    cumulative = np.cumsum(forecast.probabilities)
    chosen = np.searchsorted(cumulative, (np.arange(count) + 0.5) / count * cumulative[-1])
    return np.asarray(forecast.paths_rps[np.minimum(chosen, count - 1)])


def generator_at(seed: int, origin: int) -> np.random.Generator:
    """Return the generator of the forecast that starts with an interval, whoever makes it."""
    stream = seed_sequence(seed, "backtest")
    key = (*stream.spawn_key, origin)
    return np.random.default_rng(np.random.SeedSequence(stream.entropy, spawn_key=key))


def roll(
    forecaster: Forecaster,
    load: Load,
    settings: BacktestSettings,
    seed: int,
    on_step: Callable[[], None],
) -> tuple[Measures, Clock]:
    """Return a forecaster's measures over all origins, and what it took.

    It is given copies of what has ended, and nothing else of the load.

    Raises:
        ConfigError: it forecasts the largest rate of an interval, or was not made for the horizon.
        DataError: the history does not suffice for it.
    """
    starts = origins(load, settings.horizon, settings.stride)
    clock = Clock()
    rates = load.series.rate_rps
    found: list[Measures] = []
    paths: list[NDArray[np.float64]] = []
    realized: list[NDArray[np.float64]] = []

    def score() -> None:
        if paths:
            found.append(measured(np.stack(paths), np.stack(realized)))
            paths.clear()
            realized.clear()

    _timed(clock.fit_s, forecaster.fit, load.part(0, load.first))
    for position in range(load.first, starts[-1] + 1):
        age = position - load.first
        if age and settings.refit_every and age % settings.refit_every == 0:
            _timed(clock.fit_s, forecaster.fit, load.part(0, position))
        elif age:
            _timed(clock.update_s, forecaster.update, load.part(position - 1, position))
        if age % settings.stride:
            continue
        size = (settings.horizon, settings.samples)
        rng = generator_at(seed, position)
        forecast = _timed(clock.forecast_s, forecaster.forecast, *size, rng)
        if forecast.statistic != "mean":
            raise ConfigError(
                f"backtest: judges forecasts of an interval's mean rate, got its "
                f"'{forecast.statistic}'"
            )
        paths.append(equal_paths(forecast))
        realized.append(rates[position : position + settings.horizon])
        if len(paths) == BATCH:
            score()
        on_step()
    score()
    return Measures.joined(found), clock


def _timed(readings: list[Reading], work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    began, began_cpu = time.perf_counter(), time.process_time()
    result = work(*args, **more)
    readings.append((time.perf_counter() - began, time.process_time() - began_cpu))
    return result
