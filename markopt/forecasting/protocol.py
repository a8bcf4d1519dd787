"""The forecaster protocol: fit once, append what was observed, draw joint sample paths."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import numpy as np

from markopt.core import Forecast, RateSeries


class Forecaster(Protocol):
    """Predicts the arrival rate of the next intervals as joint sample paths.

    Constructor arguments are hyper-parameters, stored unchanged. All rates are on the grid of the
    series that ``fit`` was given.
    """

    def fit(self, history: RateSeries) -> Self:
        """Learn from the past; may be slow."""
        ...

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since; cheap, no refit. NaN means "no data"."""
        ...

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return ``samples`` joint paths of the next ``horizon`` intervals."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A forecaster that is told the future, for bounds and ablations: an oracle."""

    def with_rates(self, rates: RateSeries) -> Forecaster:
        """Return such a forecaster that knows the realised rates."""
        ...
