"""statsforecast's models as outside baselines: fitted seldom, forwarded every interval."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.error_paths import PastForecasts
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of

Array = NDArray[np.float64]

MODELS = ("AutoARIMA", "AutoETS", "AutoTheta", "MSTL", "SeasonalNaive")
"""Those that move on without a fit in milliseconds, as a control loop needs."""

_BACKFILLED = 240  # past origins whose forecasts a fit makes up for, evenly over ``errors_s``


@final
class StatsForecast:
    """A model of Nixtla's statsforecast on log(1 + rate), with the joint errors that it made.

    The model is fitted to the last ``window_s`` and then moved on with its own ``forward``, which
    keeps the parameters. MSTL would decompose anew at each ``forward``: here the seasons of the
    last fit are repeated, as its own ``predict`` does, and its trend model moves on. statsforecast
    gives no joint paths: whole error paths of past forecasts are added to its mean. Those from
    before a fit are made with the parameters of that fit and are a little too small for it. Gaps
    are bridged by straight lines in its input, and never count as outcomes.

    Args:
        model: one of ``MODELS``.
        periods_s: seasons, seconds; several for MSTL, one or none otherwise.
        horizon: the longest forecast, intervals.
        window_s: the newest part of the history that a fit uses, seconds.
        forward_s: the newest part of the history that moves the model on, seconds.
        errors_s: how much of the past the error paths are taken from, seconds.
        refit_every: intervals between two fits while updating; None never fits again.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        model: str = "AutoETS",
        periods_s: Sequence[float] = (),
        horizon: int = 30,
        *,
        window_s: float = 86400.0,
        forward_s: float = 21600.0,
        errors_s: float = 86400.0,
        refit_every: int | None = 1440,
    ) -> None:
        if model not in MODELS:
            raise ConfigError(f"forecaster.model: must be one of {', '.join(MODELS)}, got {model}")
        least, most = (0, 1) if model.startswith("Auto") else (1, 1)
        most = len(periods_s) if model == "MSTL" else most
        if not least <= len(periods_s) <= most:
            raise ConfigError(
                f"forecaster.periods_s: {model} needs {least} to {max(most, 1)} periods, got "
                f"{list(periods_s)}"
            )
        if horizon < 1:
            raise ConfigError(f"forecaster.horizon: must be at least 1, got {horizon}")
        if refit_every is not None and refit_every < 1:
            raise ConfigError(
                f"forecaster.refit_every: must be at least 1 or null, got {refit_every}"
            )
        self.model = model
        self.periods_s = periods_s
        self.horizon = horizon
        self.window_s = window_s
        self.forward_s = forward_s
        self.errors_s = errors_s
        self.refit_every = refit_every
        self._history: ObservedHistory | None = None
        self._fitted: _Fitted | None = None
        self._past = PastForecasts(1, horizon)
        self._center: Array = np.empty(0)
        self._since_fit = 0

    def fit(self, history: RateSeries) -> Self:
        """Fit the model and make the forecasts of the recent past.

        Raises:
            ConfigError: statsforecast is not installed, or a span is no multiple of the interval.
            DataError: the window holds fewer than two periods and a horizon of intervals with data.
        """
        window = self._steps("window_s", history.interval_s)
        errors = self._steps("errors_s", history.interval_s)
        self._steps("forward_s", history.interval_s)
        observed = ObservedHistory("StatsForecast", history)
        known, needed = self._known(observed), self._needed(history.interval_s)
        if known < needed:
            raise DataError(
                f"StatsForecast: {self.model} needs a history of at least {needed} intervals with "
                f"data in its window, got {known}"
            )
        self._history = observed
        self._past = PastForecasts(errors, self.horizon)
        self._estimate()
        first = max(len(observed) - errors, len(observed) - window + needed - self.horizon, needed)
        count = min(_BACKFILLED, max(len(observed) - first, 1))
        for origin in np.unique(np.linspace(first, len(observed) - 1, count).astype(int)).tolist():
            if np.isfinite(observed.logs[origin - 1]):
                self._past.remember(origin, self._forwarded(origin))
        return self

    def update(self, observed: RateSeries) -> None:
        """Move the model on interval by interval; fit again when ``refit_every`` have passed."""
        history = require_fitted("StatsForecast", self._history)
        for index in range(len(observed)):
            at = observed.start_s + index * observed.interval_s
            rate = observed.rate_rps[index : index + 1]
            before = len(history)
            history.append(RateSeries(at, observed.interval_s, rate))
            self._past.remember(before, self._center)
            self._since_fit += 1
            due = self.refit_every is not None and self._since_fit >= self.refit_every
            if due and self._known(history) >= self._needed(history.interval_s):
                self._estimate()
            else:  # a window that is mostly gap is no reason to forget what was fitted
                self._center = self._forwarded(len(history))

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            ConfigError: the horizon is longer than the configured one.
            DataError: no past forecast met as many intervals with data.
        """
        history = require_fitted("StatsForecast", self._history)
        require_size("StatsForecast", horizon, samples)
        if horizon > self.horizon:
            raise ConfigError(
                f"forecaster.horizon: forecasts of {horizon} intervals were asked for, got "
                f"{self.horizon}"
            )
        paths = self._past.paths(history, self._center[:horizon], samples, rng)
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def center(self, horizon: int) -> Array:
        """Return the model's mean of log(1 + rate) of the next intervals, (horizon,)."""
        require_fitted("StatsForecast", self._history)
        return self._center[:horizon].copy()

    def _known(self, history: ObservedHistory) -> int:
        window = self._steps("window_s", history.interval_s)
        return int(np.isfinite(history.logs[-window:]).sum())

    def _needed(self, interval_s: float) -> int:
        return 2 * max(self._periods(interval_s)) + self.horizon + 10

    def _steps(self, key: str, interval_s: float) -> int:
        return steps_of("StatsForecast", key, float(getattr(self, key)), interval_s)

    def _periods(self, interval_s: float) -> list[int]:
        periods = [steps_of("StatsForecast", "periods_s", p, interval_s) for p in self.periods_s]
        return periods or [1]

    def _estimate(self) -> None:
        history = require_fitted("StatsForecast", self._history)
        window = min(self._steps("window_s", history.interval_s), len(history))
        first = len(history) - window
        values = _bridged(history.logs[first:])
        self._fitted = _Fitted(self.model, self._periods(history.interval_s), first, values)
        self._center = self._forwarded(len(history))
        self._since_fit = 0

    def _forwarded(self, origin: int) -> Array:
        """Return the mean of the steps after the first ``origin`` intervals."""
        history, fitted = require_fitted("StatsForecast", self._history), self._fitted
        if fitted is None:
            raise ConfigError("StatsForecast: must be fitted before it forecasts, got no history")
        start = fitted.start_before(origin, self._steps("forward_s", history.interval_s))
        values = history.logs[start:origin]
        if not np.any(np.isfinite(values)):
            earlier = history.logs[:start]  # a gap longer than the input: its load is still known
            values = np.full(len(values), earlier[np.isfinite(earlier)][-1])
        return fitted.mean(start, _bridged(values), self.horizon)


@final
class _Fitted:
    """A fitted model, and where its input started: seasonal states belong to that phase."""

    def __init__(self, name: str, periods: list[int], first: int, values: Array) -> None:
        try:
            from statsforecast import models
        except ImportError:
            raise ConfigError(
                f"forecaster.model: {name} needs statsforecast, which is not installed (pip "
                "install 'markopt[baselines]')"
            ) from None
        self._name = name
        self._first = first
        self._period = max(periods)
        self._seasons: list[Array] = []
        if name == "MSTL":
            decomposed = models.MSTL(season_length=periods)
            _quietly(decomposed.fit, values)
            self._seasons = _last_seasons(decomposed.model_, sorted(periods))
            self._model: Any = decomposed.trend_forecaster.new()
            _quietly(self._model.fit, values - self._seasonal(first, len(values)))
        else:
            self._model = getattr(models, name)(season_length=self._period)
            _quietly(self._model.fit, values)

    def start_before(self, origin: int, steps: int) -> int:
        """Return where input of ``steps`` or more begins: at the phase at which the fit's did."""
        start = origin - max(steps, 2 * self._period)
        start -= (start - self._first) % self._period
        return start if start >= 0 else self._first % self._period

    def mean(self, start: int, values: Array, horizon: int) -> Array:
        """Return the mean forecast behind ``values``, which begin at interval ``start``."""
        rest = values - self._seasonal(start, len(values))
        # SeasonalNaive has no parameters, and no ``forward``: its forecast needs no fit.
        moved_on = self._model.forecast if self._name == "SeasonalNaive" else self._model.forward
        mean = np.asarray(_quietly(moved_on, rest, horizon)["mean"], dtype=np.float64)
        if not np.all(np.isfinite(mean)):
            mean = np.full(horizon, rest[-1])
        return mean + self._seasonal(start + len(values), horizon)

    def _seasonal(self, start: int, count: int) -> Array:
        total = np.zeros(count)
        for season in self._seasons:
            total += season[(start - self._first + np.arange(count)) % len(season)]
        return total


def _last_seasons(components: Any, periods: list[int]) -> list[Array]:
    """Return the last season of each period, from the phase at which the input started."""
    seasons = []
    for period in periods:
        name = f"seasonal{period}" if f"seasonal{period}" in components else "seasonal"
        seasonal = np.asarray(components[name], dtype=np.float64)
        seasons.append(np.roll(seasonal[-period:], len(seasonal) % period))
    return seasons


def _bridged(logs: Array) -> Array:
    """Return the logs with straight lines over gaps, which hold the nearest value at the ends."""
    known = np.flatnonzero(np.isfinite(logs))
    if len(known) == len(logs):
        return logs.copy()
    return np.interp(np.arange(len(logs)), known, logs[known])


def _quietly(call: Any, *arguments: Any) -> Any:
    """Call statsforecast without its warnings on failed candidates and poor starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments)
