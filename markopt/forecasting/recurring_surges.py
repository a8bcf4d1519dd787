"""A wrapper that lets surges come again: by the clock, and by how long ago the last one was."""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.history import (
    BEYOND_THE_HIGHEST,
    ObservedHistory,
    require_fitted,
    steps_of,
)
from markopt.forecasting.protocol import Forecaster

_WEIGHT = 2.0
"""Intervals that a wider class of intervals counts for in a narrower one's chance."""
_OLDEST = 8
"""Ages of the last surge, in periods, from which on they are one class."""


@final
class RecurringSurges:
    """Adds to another forecaster's paths the surges that their past lets one expect.

    Jobs on a schedule, posts at the half hour, or the end of a broadcast make a load that jumps
    within a minute and is over before instances have booted. A model of rates sees at such a moment
    one quiet value or one large one, and rightly forecasts mostly the quiet one. Here the jump is
    an event with a chance of its own.

    A surge begins where a rate exceeds ``jump`` times its level, the mean of the ``level_s``
    before, and lasts ``length_s``, within which no other begins. Its chance in an interval is the
    share of past intervals alike that began one: alike are those of the same place within
    ``period_s`` and the same age of the last surge in whole periods. Classes with few intervals
    lean on their place within the period, and places on all intervals. Its shape, the rates over
    the level, is drawn from the newest ``memory`` surges. Paths in which one begins follow the
    larger of the wrapped forecaster's rates and the surge's, from the median level before, at most
    twice the highest rate seen: the shape of a spike in a quiet night says nothing of a busy hour.
    A surge that has begun is the wrapped forecaster's. Learning is O(1) per interval.

    Args:
        forecaster: the forecaster that is wrapped, of mean rates.
        period_s: the clock's period, in which surges keep their place.
        jump: rate over level from which on an interval begins a surge.
        level_s: span before an interval that its level is the mean of.
        length_s: how long a surge lasts.
        memory: how many of the newest surges lend their shapes.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        period_s: float = 1800.0,
        *,
        jump: float = 1.6,
        level_s: float = 300.0,
        length_s: float = 600.0,
        memory: int = 60,
    ) -> None:
        if not jump > 1.0:
            raise ConfigError(f"forecaster.jump: must exceed 1, got {jump}")
        if memory < 1:
            raise ConfigError(f"forecaster.memory: must be at least 1, got {memory}")
        self.forecaster = forecaster
        self.period_s = period_s
        self.jump = jump
        self.level_s = level_s
        self.length_s = length_s
        self.memory = memory
        self._history: ObservedHistory | None = None
        self._surges: _Surges | None = None

    def fit(self, history: RateSeries) -> Self:
        """Fit the wrapped forecaster, and count the history's surges.

        Raises:
            ConfigError: a span is no multiple of the interval.
        """
        self.forecaster.fit(history)
        self._history = ObservedHistory(type(self).__name__, history)
        period, level, length = (
            steps_of(type(self).__name__, key, getattr(self, key), history.interval_s)
            for key in ("period_s", "level_s", "length_s")
        )
        self._surges = _Surges(period, level, length, self.jump)
        self._surges.learn(self._history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals, and count their surges."""
        self.forecaster.update(observed)
        history = require_fitted(type(self).__name__, self._history)
        history.append(observed)
        if self._surges is not None:
            self._surges.learn(history)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the wrapped forecaster's paths, some of them with a surge.

        Raises:
            ConfigError: the wrapped forecaster does not forecast mean rates.
        """
        history = require_fitted(type(self).__name__, self._history)
        raw = self.forecaster.forecast(horizon, samples, rng)
        if raw.statistic != "mean":
            raise ConfigError(
                f"forecaster.forecaster: must forecast mean rates, got '{raw.statistic}'"
            )
        surges = self._surges
        if surges is None or not surges.onsets:
            return raw
        shapes = surges.shapes(history, self.memory)
        if not len(shapes):
            return raw
        paths = surges.draw(history, raw, shapes, rng)
        return Forecast(raw.start_s, raw.interval_s, paths, raw.probabilities)

    def chance(self, steps_ahead: int) -> float:
        """Return the chance that the interval so many ahead begins a surge, if none comes before.

        0 is the next interval.
        """
        history = require_fitted(type(self).__name__, self._history)
        surges = self._surges
        if surges is None or not surges.onsets:
            return 0.0
        index = len(history) + steps_ahead
        age = np.array([index - surges.onsets[-1]])
        return float(surges.chances(_clock(history, index), age)[0])


def _clock(history: ObservedHistory, index: int) -> int:
    """Return an interval's number since time 0."""
    return round(history.start_s / history.interval_s) + index


@final
class _Surges:
    """Where surges began, and how many intervals of each class did and did not begin one."""

    def __init__(self, period: int, level: int, length: int, jump: float) -> None:
        self.onsets: list[int] = []
        self._period, self._level, self._length, self._jump = period, level, length, jump
        self._seen = 0
        self._begun = np.zeros((period, _OLDEST + 1))
        self._open = np.zeros((period, _OLDEST + 1))

    def learn(self, history: ObservedHistory) -> None:
        """Take the intervals in that have come since."""
        for index in range(max(self._seen, self._level), len(history)):
            age = index - self.onsets[-1] if self.onsets else None
            if age is not None and age < self._length:
                continue
            level = self._level_before(history, index)
            rate = float(history.rates[index])
            if not (np.isfinite(level) and np.isfinite(rate)):
                continue
            begins = rate > self._jump * level
            if age is not None:
                place = self._class(_clock(history, index), np.array([age]))
                self._open[place] += 1.0
                self._begun[place] += begins
            if begins:
                self.onsets.append(index)
        self._seen = len(history)

    def chances(self, clock: int, ages: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the chance that an interval begins a surge, by the age of the last one."""
        place, age = self._class(clock, ages)
        overall = self._begun.sum() / max(self._open.sum(), 1.0)
        there = (self._begun[place].sum() + _WEIGHT * overall) / (self._open[place].sum() + _WEIGHT)
        found: NDArray[np.float64] = (self._begun[place, age] + _WEIGHT * there) / (
            self._open[place, age] + _WEIGHT
        )
        return np.where(ages < self._length, 0.0, found)

    def shapes(self, history: ObservedHistory, memory: int) -> NDArray[np.float64]:
        """Return the newest whole surges' rates over their levels, shape (surges, length)."""
        found = []
        for onset in reversed(self.onsets):
            rates = history.rates[onset : onset + self._length]
            shape = rates / max(self._level_before(history, onset), 1e-9)
            if len(shape) == self._length and np.isfinite(shape).all():
                found.append(shape)
            if len(found) == memory:
                break
        return np.array(found).reshape(len(found), self._length)

    def draw(
        self,
        history: ObservedHistory,
        raw: Forecast,
        shapes: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the paths with surges drawn into them, shape (samples, horizon)."""
        paths = np.array(raw.paths_rps)
        medians = np.median(raw.paths_rps, axis=0)
        level = self._level_before(history, len(history))
        last = np.full(raw.samples, self.onsets[-1])
        most_rps = BEYOND_THE_HIGHEST * np.nanmax(history.rates)
        for step in range(raw.horizon):
            index = len(history) + step
            if step:
                level = float(medians[step - 1])
            chances = self.chances(_clock(history, index), index - last)
            begins = rng.random(raw.samples) < chances
            chosen = shapes[rng.integers(len(shapes), size=raw.samples)]
            if not begins.any() or not np.isfinite(level):
                continue
            until = min(step + self._length, raw.horizon)
            surge = np.minimum(level * chosen[begins, : until - step], most_rps)
            paths[begins, step:until] = np.maximum(paths[begins, step:until], surge)
            last[begins] = index
        return paths

    def _level_before(self, history: ObservedHistory, index: int) -> float:
        return float(np.mean(history.rates[max(index - self._level, 0) : index]))

    def _class(self, clock: int, ages: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        """Return an interval's place within the period, and its ages in whole periods."""
        periods = np.minimum((ages + self._period // 2) // self._period, _OLDEST)
        return clock % self._period, periods
