"""Forecasts recorded once and replayed, since they do not depend on the policy that uses them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from markopt.core import Forecast, RateSeries
from markopt.errors import DataError
from markopt.forecasting.protocol import Forecaster


@dataclass(frozen=True, eq=False)
class ForecastTape:
    """The forecasts of one evaluated span, one per interval, and the rates observed in between.

    ``forecasts[k]`` was made at the start of interval k, after ``observed.rate_rps[:k]`` had been
    seen; ``wall_s[k]`` is what it took (a clock reading, never part of a result).
    """

    observed: RateSeries
    forecasts: tuple[Forecast, ...]
    wall_s: tuple[float, ...]


def record_tape(
    forecaster: Forecaster,
    realized: RateSeries,
    *,
    horizon: int,
    samples: int,
    rng: np.random.Generator,
    on_step: Callable[[], None] | None = None,
) -> ForecastTape:
    """Forecast at the start of each interval of ``realized``, appending each as it ends.

    The calls are those of the control loop, in its order, so that a replay changes no result.
    ``forecaster`` has been fitted on a history that ends where ``realized`` starts.
    """
    forecasts: list[Forecast] = []
    wall_s: list[float] = []
    for k in range(len(realized)):
        began = time.perf_counter()
        if k:
            forecaster.update(realized.part(k - 1, k))
        forecasts.append(forecaster.forecast(horizon, samples, rng))
        wall_s.append(time.perf_counter() - began)
        if on_step is not None:
            on_step()
    return ForecastTape(realized, tuple(forecasts), tuple(wall_s))


class RecordedForecaster:
    """Replays a tape: a forecaster that answers from what another one said at the same moment.

    It refuses to go on where the observed rates differ from the recorded ones, since the recorded
    forecasts would then rest on another past.
    """

    def __init__(self, tape: ForecastTape) -> None:
        self.tape = tape
        self._position = 0

    def fit(self, history: RateSeries) -> Self:
        """Return itself at the tape's start; what was learnt is in the tape."""
        self._position = 0
        return self

    def update(self, observed: RateSeries) -> None:
        """Move on by the observed intervals.

        Raises:
            DataError: a rate differs from the one on the tape.
        """
        first = self._position
        recorded = self.tape.observed.rate_rps[first : first + len(observed)]
        if len(recorded) != len(observed) or not np.allclose(
            recorded, observed.rate_rps, rtol=1e-9, atol=1e-9, equal_nan=True
        ):
            raise DataError(
                f"Forecast tape at {observed.start_s} s: expected the recorded rates "
                f"{recorded.tolist()}, got {observed.rate_rps.tolist()}"
            )
        self._position = first + len(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the recorded forecast of this moment; ``rng`` was used when it was recorded.

        Raises:
            DataError: the tape has ended or holds another shape.
        """
        if self._position >= len(self.tape.forecasts):
            raise DataError(
                f"Forecast tape: holds {len(self.tape.forecasts)} intervals, "
                f"asked for interval {self._position}"
            )
        recorded = self.tape.forecasts[self._position]
        if recorded.horizon != horizon or recorded.samples != samples:
            raise DataError(
                f"Forecast tape: holds {recorded.samples} paths of {recorded.horizon} intervals, "
                f"asked for {samples} of {horizon}"
            )
        return recorded
