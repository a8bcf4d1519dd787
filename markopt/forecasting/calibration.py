"""A wrapper that keeps the bands of any forecaster honest, online."""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.protocol import Forecaster
from markopt.forecasting.scores import path_quantiles

_LARGEST_LOG_FACTOR = 1.5
_LARGEST_LOG_RATE = 25.0


@final
class Calibrated:
    """Rescales another forecaster's paths so that their central band covers what it claims.

    Deviations from the median, in log(1 + rate), are multiplied by a factor per step of the
    horizon and side. After each interval, a factor whose edge was exceeded grows and one whose
    edge held shrinks, so that in the long run each edge is exceeded in (1 - share)/2 of intervals:
    adaptive conformal inference (Gibbs and Candes, NeurIPS 2021, equation 2, on the width instead
    of the level). Work per interval is O(horizon), whatever the past. Forecasts must have been
    asked for at the time: nothing is recomputed.

    Args:
        forecaster: the forecaster that is wrapped.
        share: probability that the central band should hold.
        gain: how fast factors move, per interval, in logarithms. Larger follows a
            change of regime sooner and lets the width wander more: about 8 % at 0.05.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(self, forecaster: Forecaster, share: float = 0.9, gain: float = 0.05) -> None:
        if not 0.0 < share < 1.0:
            raise ConfigError(f"forecaster.share: must lie within (0, 1), got {share}")
        if not 0.0 < gain <= 1.0:
            raise ConfigError(f"forecaster.gain: must lie in (0, 1], got {gain}")
        self.forecaster = forecaster
        self.share = share
        self.gain = gain
        self._log_factors = np.zeros((2, 0))
        self._bands: dict[int, NDArray[np.float64]] = {}
        self._seen = 0

    def fit(self, history: RateSeries) -> Self:
        """Fit the wrapped forecaster; all factors start at one."""
        self.forecaster.fit(history)
        self._log_factors = np.zeros((2, 0))
        self._bands = {}
        self._seen = len(history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals, and learn from those that an earlier forecast spoke of."""
        self.forecaster.update(observed)
        for log_rate in np.log1p(observed.rate_rps):
            self._learn(float(log_rate))

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the wrapped forecaster's paths, rescaled."""
        raw = self.forecaster.forecast(horizon, samples, rng)
        below, above = self.factors(horizon)
        logs = np.log1p(raw.paths_rps)
        low, middle, high = path_quantiles(
            logs, ((1.0 - self.share) / 2.0, 0.5, (1.0 + self.share) / 2.0)
        )
        deviations = logs - middle
        scaled = middle + np.where(deviations < 0.0, below, above) * deviations
        self._bands[self._seen] = np.stack(
            [middle + below * (low - middle), middle + above * (high - middle)]
        )
        paths = np.expm1(np.clip(scaled, 0.0, _LARGEST_LOG_RATE))
        return Forecast.equally_likely(raw.start_s, raw.interval_s, paths, raw.statistic)

    def factors(self, horizon: int) -> NDArray[np.float64]:
        """Return the factors below and above the median by step, (2, horizon)."""
        known = self._log_factors.shape[1]
        if horizon > known:
            # Steps not asked for before start with what is known of the longest one.
            last = self._log_factors[:, -1:] if known else np.zeros((2, 1))
            added = np.repeat(last, horizon - known, axis=1)
            self._log_factors = np.concatenate([self._log_factors, added], axis=1)
        return np.exp(self._log_factors[:, :horizon])

    def _learn(self, log_rate: float) -> None:
        steps = self._log_factors.shape[1]
        allowed = (1.0 - self.share) / 2.0
        for step in range(steps):
            band = self._bands.get(self._seen - step)
            if band is None or step >= band.shape[1] or np.isnan(log_rate):
                continue
            exceeded = np.array([log_rate < band[0, step], log_rate > band[1, step]])
            moved = self._log_factors[:, step] + self.gain * (exceeded - allowed)
            self._log_factors[:, step] = np.clip(moved, -_LARGEST_LOG_FACTOR, _LARGEST_LOG_FACTOR)
        self._bands.pop(self._seen - steps + 1, None)
        self._seen += 1
