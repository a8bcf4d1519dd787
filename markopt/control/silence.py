"""Silence that is not believed at once: a stalled metric reads zero, as an idle service does."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from markopt.core import Forecast, RateSeries


@final
class SilenceWatch:
    """Tells silence that nobody expected from that of a service that idles.

    An interval without a request is suspicious where its chance is below ``chance`` by both of:
    the forecast made at its start, the mean over paths of exp(-rate x length) (a Poisson process
    around each); and the service's past, the share of intervals with data that brought no request.
    The suspicion lasts while the silence does, for ``suspect_s`` at most: then it is believed,
    until requests come again. With ``suspect_s`` 0 every silence is believed at once.
    """

    def __init__(self, history: RateSeries, *, suspect_s: float, chance: float) -> None:
        known = history.rate_rps[np.isfinite(history.rate_rps)]
        self._intervals = len(known)
        self._silent = int((known == 0.0).sum())
        self._suspect_s = suspect_s
        self._chance = chance
        self._since_s: float | None = None

    def suspicion(
        self, start_s: float, end_s: float, requests: int, rate_rps: float, forecast: Forecast
    ) -> str:
        """Return why an interval's silence is not believed, or '' where it is, or is none.

        ``rate_rps`` is what was observed, NaN where there is no data; ``requests`` all counts that
        came with the interval. Call once per interval, in order.
        """
        if math.isnan(rate_rps):
            return ""
        if rate_rps > 0.0 or requests > 0:
            self._since_s = None
            self._intervals += 1
            return ""
        if self._since_s is None:
            self._since_s = start_s
            if not self._unlikely(end_s - start_s, forecast):
                self._since_s = -math.inf
        if end_s - self._since_s > self._suspect_s + 1e-6:
            self._intervals += 1
            self._silent += 1
            return ""
        expected = forecast.mean_rps()[0] * (end_s - start_s)
        return (
            f"no request since {self._since_s:g} s where {expected:.0f} per interval were "
            f"forecast, taken for no data for {self._suspect_s:g} s"
        )

    def _unlikely(self, length_s: float, forecast: Forecast) -> bool:
        by_forecast = float(forecast.probabilities @ np.exp(-length_s * forecast.paths_rps[:, 0]))
        by_past = self._silent / max(self._intervals, 1)
        return max(by_forecast, by_past) < self._chance
