"""A wrapper that forecasts what must be carried: the mean rate and how bursty its intervals are."""

from __future__ import annotations

from typing import Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.burstiness import (
    dispersion,
    equivalent_poisson_rps,
    peak_excess,
    peak_rps,
)
from markopt.forecasting.protocol import Forecaster

Target = Literal["mean", "max", "carried"]
_TARGETS: tuple[Target, ...] = ("mean", "max", "carried")
_ENOUGH = 8
"""Intervals of a class, from which on it is not judged by all classes together."""


@final
class CarriedRate:
    """Turns another forecaster's mean rates into a rate that has the bursts within intervals in it.

    - ``mean``: the wrapped forecaster's paths as they are.
    - ``max``: the largest bin of each interval, as MArk predicts it.
    - ``carried``: the rate of Poisson arrivals that swing as high within an interval, see
      ``equivalent_poisson_rps``. Where the past does not differ from Poisson arrivals by more than
      two standard errors, that is the mean.

    How bursty an interval is, is learnt by the mean rate: of every class of rates the newest
    intervals are remembered, and each rate of each path draws one of its class, independently of
    the others. So bursts within an interval come with the rates that they came with. Learning is
    O(1) per interval. What is shorter than a bin (5 s) is not seen; without any bins the paths are
    the wrapped forecaster's.

    Args:
        forecaster: the forecaster that is wrapped, of mean rates.
        target: what of an interval is forecast.
        level: share of an interval's bins whose load should be carried.
        classes: number of classes of rates; their edges are quantiles of the fitted history.
        memory: how many of the newest intervals each class remembers.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        target: Target = "carried",
        level: float = 0.98,
        classes: int = 8,
        memory: int = 512,
    ) -> None:
        if target not in _TARGETS:
            raise ConfigError(f"forecaster.target: must be one of {_TARGETS}, got {target!r}")
        if not 0.5 <= level < 1.0:
            raise ConfigError(f"forecaster.level: must lie in [0.5, 1), got {level}")
        for key, value, least in (("classes", classes, 1), ("memory", memory, _ENOUGH)):
            if value < least:
                raise ConfigError(f"forecaster.{key}: must be at least {least}, got {value}")
        self.forecaster = forecaster
        self.target: Target = target
        self.level = level
        self.classes = classes
        self.memory = memory
        self._past: _Past | None = None

    def fit(self, history: RateSeries) -> Self:
        """Fit the wrapped forecaster, and learn from the bins of the history where it has them."""
        self.forecaster.fit(history)  # refuses a history without data
        known = history.rate_rps[np.isfinite(history.rate_rps)]
        shares = np.arange(1, self.classes) / self.classes
        self._past = _Past(np.quantile(known, shares), self.memory)
        self._learn(history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals, and learn from their bins."""
        self.forecaster.update(observed)
        self._learn(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the wrapped forecaster's paths, turned into the target.

        Raises:
            ConfigError: the wrapped forecaster does not forecast mean rates.
        """
        raw = self.forecaster.forecast(horizon, samples, rng)
        if raw.statistic != "mean":
            raise ConfigError(
                f"forecaster.forecaster: must forecast mean rates, got '{raw.statistic}'"
            )
        past = self._fitted()
        if self.target == "mean":
            return raw
        paths: NDArray[np.float64] = raw.paths_rps
        if past.bin_s is not None:
            drawn = past.draw(raw.paths_rps, rng, poisson=self._poisson)
            paths = self._target_rps(raw.paths_rps, drawn, past.bin_s)
        return Forecast(raw.start_s, raw.interval_s, paths, raw.probabilities, self.target)

    def burst_factors(self) -> NDArray[np.float64]:
        """Return what the target is on average, as a multiple of the mean, by class of rates.

        Shape (classes,), lowest rates first; 1 for a class that no interval with bins fell into.
        """
        past = self._fitted()
        factors = np.ones(self.classes)
        for row in range(self.classes):
            if past.bin_s is None or self.target == "mean" or not len(past.of(row)):
                continue
            means = past.rates_of(row)
            drawn = past.usable(row, poisson=self._poisson)
            target = self._target_rps(means[:, None], drawn[None, :], past.bin_s)
            factors[row] = float(np.mean(target / np.maximum(means[:, None], 1e-12)))
        return factors

    @property
    def _poisson(self) -> float | None:
        """What burstiness Poisson arrivals have, where only the excess over it counts."""
        return 1.0 if self.target == "carried" else None

    def _target_rps(
        self, means_rps: NDArray[np.float64], drawn: NDArray[np.float64], bin_s: float
    ) -> NDArray[np.float64]:
        if self.target == "max":
            return peak_rps(means_rps, drawn, bin_s)
        return equivalent_poisson_rps(means_rps, drawn, bin_s, self.level)

    def _learn(self, observed: RateSeries) -> None:
        past, within = self._fitted(), observed.within_rps
        if within is None or within.shape[1] < 2:
            return
        past.bin_s = observed.interval_s / within.shape[1]
        of = peak_excess if self.target == "max" else dispersion
        past.add(observed.rate_rps, of(within, past.bin_s))

    def _fitted(self) -> _Past:
        if self._past is None:
            raise ConfigError("CarriedRate: must be fitted before update or forecast")
        return self._past


@final
class _Past:
    """The newest burstinesses of every class of rates, in rings; ``edges_rps`` part the classes."""

    def __init__(self, edges_rps: NDArray[np.float64], memory: int) -> None:
        self.bin_s: float | None = None
        self._edges_rps = edges_rps
        self._values = np.zeros((len(edges_rps) + 1, memory))
        self._rates_rps = np.zeros_like(self._values)
        self._seen = np.zeros(len(edges_rps) + 1, dtype=np.int64)

    def add(self, rates_rps: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Remember intervals, in their order; those without data are left out."""
        known = np.isfinite(rates_rps) & np.isfinite(values)
        rows = self._class_of(rates_rps[known])
        for row, rate_rps, value in zip(rows, rates_rps[known], values[known], strict=True):
            place = self._seen[row] % self._values.shape[1]
            self._values[row, place] = value
            self._rates_rps[row, place] = rate_rps
            self._seen[row] += 1

    def of(self, row: int) -> NDArray[np.float64]:
        """Return a class's burstinesses, shape (n,)."""
        return self._values[row, : self._kept(row)]

    def rates_of(self, row: int) -> NDArray[np.float64]:
        """Return the rates that a class's burstinesses came with, shape (n,)."""
        return self._rates_rps[row, : self._kept(row)]

    def usable(self, row: int, *, poisson: float | None) -> NDArray[np.float64]:
        """Return what a class may draw from, never nothing.

        That of a class with few intervals is what all classes have seen. With ``poisson``, what
        lies below it counts as it, and so does all where the mean does not exceed it by two
        standard errors.
        """
        values = self.of(row)
        if len(values) < _ENOUGH:
            values = np.concatenate([self.of(k) for k in range(len(self._values))])
        if poisson is None:
            return values if len(values) else np.zeros(1)
        if len(values) < _ENOUGH:
            return np.full(1, poisson)
        error = values.std(ddof=1) / np.sqrt(len(values))
        if values.mean() - 2.0 * error <= poisson:
            return np.full(1, poisson)
        return np.maximum(values, poisson)

    def draw(
        self, rates_rps: NDArray[np.float64], rng: np.random.Generator, *, poisson: float | None
    ) -> NDArray[np.float64]:
        """Return a burstiness for every rate (any shape), drawn from its class."""
        rows, places = self._class_of(rates_rps), rng.random(rates_rps.shape)
        drawn = np.empty(rates_rps.shape)
        for row in np.unique(rows):
            chosen, values = rows == row, self.usable(int(row), poisson=poisson)
            drawn[chosen] = values[(places[chosen] * len(values)).astype(np.int64)]
        return drawn

    def _kept(self, row: int) -> int:
        return int(min(self._seen[row], self._values.shape[1]))

    def _class_of(self, rates_rps: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.searchsorted(self._edges_rps, rates_rps, side="right")
