"""A wrapper that keeps the levels of any forecaster honest, online."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.history import BEYOND_THE_HIGHEST
from markopt.forecasting.level_tracking import LevelTracker
from markopt.forecasting.protocol import Forecaster
from markopt.forecasting.score_map import (
    KNOT_SCORES,
    LevelMap,
    at_scores,
    claimed_scores,
    quantile_knots,
    score_bounds,
)

Array = NDArray[np.float64]

_ERROR_MEMORY = 50.0

DEFAULT_LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.98)


@final
class Calibrated:
    """Moves another forecaster's paths so that every level is exceeded as often as it claims.

    Each step of the horizon has a rising map from claimed to real levels, known at ``levels`` (the
    bands of 50, 80, 90 and 95 %, and the upper 98 % that planners use), which ``LevelTracker``
    learns from the outcomes. Within a step the paths keep their order, so that their joint
    correlation over the horizon stays. Feedback on step h comes h intervals late and is compared
    with what had been said then; an interval without data teaches nothing. Forecasts must have been
    asked for at the time: nothing is recomputed.

    Rates that are whole multiples of one unit in the whole history, as counts are, stay so: paths
    are rounded to it, and an outcome that is shared by many paths counts for all levels that it
    spans, evenly (the randomised probability integral transform of Czado, Gneiting and Held,
    Biometrics 65, 2009, without its noise). Otherwise no band of a service with two requests a
    minute could ever hold 90 %.

    No path is moved beyond twice the highest rate seen so far: where the wrapped forecaster is far
    off, levels lie at scores that its quantiles have to be drawn out to, and in logarithms a line
    drawn out is an explosion. What the wrapped forecaster itself says may lie higher.

    Args:
        forecaster: the forecaster that is wrapped.
        levels: levels that are kept honest, rising, within (0, 1).
        gains: step sizes of the experts, per outcome, in widths of the score. Large ones follow a
            change sooner, small ones wander less; which to trust is learnt.
        window: outcomes over which the experts are judged.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        levels: Sequence[float] = DEFAULT_LEVELS,
        gains: Sequence[float] = (0.002, 0.01, 0.1),
        window: int = 240,
    ) -> None:
        self.forecaster = forecaster
        self.levels = levels
        self.gains = gains
        self.window = window
        self._check_settings()
        self._highest_rps = 0.0
        self._start(0, 0.0, 0.0)

    def fit(self, history: RateSeries) -> Self:
        """Fit the wrapped forecaster; every level starts as it claims."""
        self.forecaster.fit(history)
        known = history.rate_rps[np.isfinite(history.rate_rps)]
        highest_rps = float(known.max()) if len(known) else 0.0
        self._start(len(history), counting_unit_rps(history.rate_rps), highest_rps)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals, and learn from those that earlier forecasts spoke of."""
        self.forecaster.update(observed)
        for rate_rps in observed.rate_rps.tolist():
            if not np.isnan(rate_rps):
                self._learn(rate_rps)
                self._highest_rps = max(self._highest_rps, rate_rps)
            self._seen += 1

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the wrapped forecaster's paths, moved."""
        raw = self.forecaster.forecast(horizon, samples, rng)
        self._extend(horizon)
        logs = np.log1p(raw.paths_rps)
        knots = quantile_knots(logs, raw.probabilities, self._error[:horizon])
        experts = self._tracker.experts(horizon)
        scores = self._tracker.combined(experts)
        slot = self._seen % len(self._origin)
        self._origin[slot] = self._seen
        self._steps[slot] = horizon
        self._knots[slot, :horizon] = knots
        self._experts[slot, :horizon] = experts
        self._combined[slot, :horizon] = scores
        claimed = claimed_scores(logs, raw.probabilities, rng)
        wanted = LevelMap(ndtri(self.levels), scores).real(claimed.T).T
        most = np.maximum(np.log1p(BEYOND_THE_HIGHEST * self._highest_rps), logs.max(axis=0))
        paths = np.expm1(np.clip(at_scores(knots, wanted), 0.0, most))
        if self._unit_rps > 0.0:
            paths = self._unit_rps * np.rint(paths / self._unit_rps)
        return Forecast(raw.start_s, raw.interval_s, paths, raw.probabilities, raw.statistic)

    def scores(self, horizon: int) -> Array:
        """Return the normal score that each level now lies at, (horizon, levels)."""
        self._extend(horizon)
        return self._tracker.combined(self._tracker.experts(horizon))

    def _learn(self, rate_rps: float) -> None:
        """Compare the newest interval with every forecast that spoke of it."""
        lead = np.arange(len(self._origin))
        slot = (self._seen - lead) % max(len(self._origin), 1)
        spoken = (self._origin[slot] == self._seen - lead) & (lead < self._steps[slot])
        steps, slot = lead[spoken], slot[spoken]
        if not len(steps):
            return
        knots = self._knots[slot, steps]
        half = 0.5 * self._unit_rps
        low = np.log1p(rate_rps - half) if rate_rps > half else -np.inf
        high = np.log1p(rate_rps + half)
        bounds = score_bounds(knots, np.full(len(steps), low), np.full(len(steps), high))
        combined = self._combined[slot, steps]
        outcome = LevelMap(ndtri(self.levels), combined).tied(*bounds)
        self._tracker.learn(steps, outcome, self._experts[slot, steps], combined)
        miss = np.abs(np.log1p(rate_rps) - knots[:, len(KNOT_SCORES) // 2])
        self._error[steps] += (miss - self._error[steps]) / _ERROR_MEMORY

    def _start(self, seen: int, unit_rps: float, highest_rps: float) -> None:
        self._seen = seen
        self._highest_rps = highest_rps
        self._unit_rps = unit_rps
        self._tracker = LevelTracker(self.levels, self.gains, self.window)
        self._error = np.zeros(0)
        self._room(0)

    def _room(self, horizon: int) -> None:
        """Make room for the last ``horizon`` forecasts, whose outcomes are still to come."""
        count, experts = len(self.levels), len(self.gains) + 1
        self._origin = np.full(horizon, -1)
        self._steps = np.zeros(horizon, dtype=np.int64)
        self._knots = np.zeros((horizon, horizon, len(KNOT_SCORES)))
        self._experts = np.zeros((horizon, horizon, count, experts))
        self._combined = np.zeros((horizon, horizon, count))

    def _extend(self, horizon: int) -> None:
        known = len(self._origin)
        if horizon <= known:
            return
        old = (self._origin, self._steps, self._knots, self._experts, self._combined)
        self._room(horizon)
        for from_slot, origin in enumerate(old[0]):
            if origin < 0:
                continue
            slot = origin % horizon
            self._origin[slot], self._steps[slot] = origin, old[1][from_slot]
            self._knots[slot, :known] = old[2][from_slot]
            self._experts[slot, :known] = old[3][from_slot]
            self._combined[slot, :known] = old[4][from_slot]
        self._tracker.extend(horizon)
        last = self._error[-1] if known else 0.0
        self._error = np.concatenate([self._error, np.full(horizon - known, last)])

    def _check_settings(self) -> None:
        levels = list(self.levels)
        if len(levels) < 2 or levels != sorted(set(levels)) or not 0 < levels[0] < levels[-1] < 1:
            raise ConfigError(
                f"forecaster.levels: must rise strictly within (0, 1), two or more, got {levels}"
            )
        gains = list(self.gains)
        if not gains or not all(0.0 < gain <= 1.0 for gain in gains):
            raise ConfigError(f"forecaster.gains: must lie in (0, 1], one or more, got {gains}")
        if self.window < 2:
            raise ConfigError(f"forecaster.window: must be at least 2, got {self.window}")


def counting_unit_rps(rates_rps: Array) -> float:
    """Return the unit of which all rates are whole multiples, 0 where there is none.

    The least positive rate is taken for it: a count of one, or whatever the counts share.
    """
    known = rates_rps[np.isfinite(rates_rps)]
    positive = known[known > 0.0]
    if len(positive) == 0 or len(np.unique(positive)) < 2:
        return 0.0
    unit = float(positive.min())
    multiples = positive / unit
    whole = np.abs(multiples - np.rint(multiples)) <= 1e-6 * multiples
    return unit if bool(np.all(whole)) and float(multiples.max()) < 1e6 else 0.0
