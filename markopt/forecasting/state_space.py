"""Filtering and joint forecasts of a linear Gaussian state-space model, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StateSpace:
    """y_t = d + Z a_t,  a_{t+1} = c + T a_t + R e_t,  e_t ~ N(0, Q); one observed series.

    Durbin and Koopman, Time Series Analysis by State Space Methods (2nd ed.), equation 3.1.
    ``design`` Z has shape (k,), ``transition`` T (k, k), ``noise`` R Q R' (k, k),
    ``state_intercept`` c (k,); ``observation_intercept`` d and the variance of the observation
    noise are scalars.
    """

    design: Array
    transition: Array
    noise: Array
    state_intercept: Array
    observation_intercept: float
    observation_variance: float


@final
class Filter:
    """The Kalman filter's prediction of the next state, moved on by one observation at a time."""

    def __init__(self, model: StateSpace, state: Array, covariance: Array) -> None:
        self.model = model
        self.state = state.copy()
        self.covariance = covariance.copy()
        self._loadings = np.empty((0, len(state)))
        self._noise_covariance = np.empty((0, 0))

    def append(self, observed: float) -> None:
        """Take in one observation; NaN only lets time pass."""
        model = self.model
        if not np.isnan(observed):
            gain = self.covariance @ model.design
            variance = float(model.design @ gain) + model.observation_variance
            error = observed - model.observation_intercept - float(model.design @ self.state)
            if variance > 0.0:
                self.state = self.state + gain * (error / variance)
                self.covariance = self.covariance - np.outer(gain, gain) / variance
        transition = model.transition
        self.state = model.state_intercept + transition @ self.state
        moved = transition @ self.covariance @ transition.T + model.noise
        self.covariance = 0.5 * (moved + moved.T)

    def predict(self, horizon: int) -> tuple[Array, Array]:
        """Return mean (horizon,) and joint covariance (horizon, horizon) of the next values."""
        model = self.model
        if len(self._loadings) != horizon:
            self._prepare(horizon)
        mean = np.empty(horizon)
        state = self.state
        for step in range(horizon):
            mean[step] = model.observation_intercept + model.design @ state
            state = model.state_intercept + model.transition @ state
        covariance = self._loadings @ self.covariance @ self._loadings.T + self._noise_covariance
        return mean, covariance

    def _prepare(self, horizon: int) -> None:
        """Compute Z T^i, and what the noise between now and step i adds to the covariance."""
        model = self.model
        loadings = np.empty((horizon, len(self.state)))
        row = model.design
        for step in range(horizon):
            loadings[step] = row
            row = row @ model.transition
        # Noise that enters at step j reaches step i > j with loading Z T^(i-1-j).
        crossed = loadings @ model.noise @ loadings.T
        added = np.zeros((horizon, horizon))
        for step in range(1, horizon):
            added[step:, step:] += crossed[: horizon - step, : horizon - step]
        added[np.diag_indices(horizon)] += model.observation_variance
        self._loadings, self._noise_covariance = loadings, added
