"""MArk's LSTM as released: one lag of differences in, fifty steps out, least squares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.error_paths import PastForecasts
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of
from markopt.forecasting.weight_cache import cached_arrays, content_key

Array = NDArray[np.float64]


@final
class DifferenceNetwork(nn.Module):
    """LSTM over one scaled difference, a linear layer that gives the next ``steps``."""

    def __init__(self, units: int, steps: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, units, batch_first=True)
        self.head = nn.Linear(units, steps)

    def forward(self, differences: Tensor) -> Tensor:
        """Return the next differences, (n, steps), after each of (n,), all scaled."""
        states, _ = self.lstm(differences[:, None, None])
        ahead: Tensor = self.head(states[:, -1])
        return ahead


@final
class MarkLstm:
    """The predictor of MArk's released code (github.com/marcoszh/MArk-Project): a baseline.

    The rate is differenced once and scaled to [-1, 1]; an LSTM of ``units`` sees one lag of it and
    gives the next ``steps`` differences, which are summed up from the last rate; mean squared
    error, Adam at 1e-3, 50 epochs. That is a point forecast. So that it fits the protocol, the
    spread is ours: whole error paths that the same network made in the past, in log(1 + rate);
    those of the history are of data that it was trained on. Ours too, as the release was not run
    here, are the batch size (assumed), and that states start at zero for every forecast. After an
    interval without data the last known rate and a difference of zero stand in.

    Args:
        units: of the LSTM; 32 or 64 in the release.
        steps: the longest forecast, intervals.
        epochs: passes over the history.
        batch_size: differences per training step.
        learning_rate: of Adam.
        errors_s: how much of the past the error paths are taken from, seconds.
        seed: of weights and training order.
        cache_folder: of trained weights; None: ``$MARKOPT_CACHE``, else ``~/.cache/markopt``.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        units: int = 64,
        steps: int = 50,
        epochs: int = 50,
        *,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        errors_s: float = 604800.0,
        seed: int = 0,
        cache_folder: str | None = None,
    ) -> None:
        self.units = units
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.errors_s = errors_s
        self.seed = seed
        self.cache_folder = cache_folder
        for key in ("units", "steps", "epochs", "batch_size"):
            if getattr(self, key) < 1:
                raise ConfigError(f"forecaster.{key}: must be at least 1, got {getattr(self, key)}")
        self._history: ObservedHistory | None = None
        self._network = DifferenceNetwork(1, 1)
        self._range = (0.0, 1.0)
        self._rate, self._difference = 0.0, 0.0
        self._known = False
        self._center: Array = np.empty(0)
        self._past = PastForecasts(1, steps)

    def fit(self, history: RateSeries) -> Self:
        """Train, or load what was trained on the same data with the same settings.

        Raises:
            DataError: fewer than ten gapless stretches of two intervals and ``steps``.
            ConfigError: ``errors_s`` is not a multiple of the interval.
        """
        memory = steps_of("MarkLstm", "errors_s", self.errors_s, history.interval_s)
        observed = ObservedHistory("MarkLstm", history)
        changes = np.diff(observed.rates)
        inputs, targets = _examples(changes, self.steps)
        if len(inputs) < 10:
            raise DataError(
                f"MarkLstm: {self.steps} steps need a history of at least 10 stretches of "
                f"{self.steps + 2} intervals with data, got {len(inputs)} in {len(history)} "
                "intervals"
            )
        low, high = float(np.nanmin(changes)), float(np.nanmax(changes))
        self._range = (low, high if high > low else low + 1.0)
        settings = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        del settings["cache_folder"], settings["errors_s"]  # neither changes a weight
        key = content_key(history, settings, (__file__,), torch.__version__)
        with _one_thread():
            arrays = cached_arrays(
                self.cache_folder,
                f"mark-lstm-{key}",
                lambda: self._trained(self._scaled(inputs), self._scaled(targets)),
            )
            with torch.random.fork_rng(devices=[]):
                self._network = DifferenceNetwork(self.units, self.steps)
            self._network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        self._history = observed
        self._recall(memory)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since, one by one."""
        history = require_fitted("MarkLstm", self._history)
        before = len(history)
        history.append(observed)
        for index in range(before, len(history)):
            self._past.remember(index, self._center)
            self._observe(float(history.rates[index]))
            self._center = self._centers(np.array([self._difference]), np.array([self._rate]))[0]

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            ConfigError: the horizon is longer than ``steps``.
            DataError: no past forecast met as many intervals with data.
        """
        history = require_fitted("MarkLstm", self._history)
        require_size("MarkLstm", horizon, samples)
        if horizon > self.steps:
            raise ConfigError(
                f"forecaster.steps: forecasts of {horizon} intervals need a network trained for as "
                f"many, got {self.steps}"
            )
        paths = self._past.paths(history, self._center[:horizon], samples, rng)
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def point_rps(self) -> Array:
        """Return the network's own forecast of the next rates, (steps,)."""
        require_fitted("MarkLstm", self._history)
        return np.asarray(np.expm1(self._center))

    def _observe(self, rate_rps: float) -> None:
        """Take in one interval."""
        if isnan(rate_rps):
            self._difference, self._known = 0.0, False
            return
        self._difference = rate_rps - self._rate if self._known else 0.0
        self._rate, self._known = rate_rps, True

    def _recall(self, memory: int) -> None:
        """Make the forecasts of the newest ``memory`` origins, and that of now."""
        history = require_fitted("MarkLstm", self._history)
        self._rate, self._difference, self._known = 0.0, 0.0, False
        inputs = np.empty((len(history), 2))
        for index, rate in enumerate(history.rates.tolist()):
            self._observe(rate)
            inputs[index] = self._difference, self._rate
        first = max(len(history) - memory - 1, int(np.argmax(np.isfinite(history.rates))))
        centers = self._centers(inputs[first:, 0], inputs[first:, 1])
        self._past = PastForecasts(memory, self.steps)
        for offset in range(len(centers) - 1):
            self._past.remember(first + offset + 1, centers[offset])
        self._center = centers[-1]

    def _centers(self, differences: Array, rates: Array) -> Array:
        """Return forecasts of log(1 + rate), (n, steps), after differences and rates (n,)."""
        with _one_thread(), torch.inference_mode():
            ahead = self._network(torch.from_numpy(self._scaled(differences))).numpy()
        low, high = self._range
        changes = low + (ahead.astype(np.float64) + 1.0) * (high - low) / 2.0
        logs: Array = np.log1p(np.maximum(rates[:, None] + np.cumsum(changes, axis=1), 0.0))
        return logs

    def _scaled(self, differences: Array) -> NDArray[np.float32]:
        low, high = self._range
        return (2.0 * (differences - low) / (high - low) - 1.0).astype(np.float32)

    def _trained(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float32]
    ) -> dict[str, NDArray[Any]]:
        """Return trained weights; torch's own generator is left as it was found."""
        given, wanted = torch.from_numpy(inputs), torch.from_numpy(targets)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = DifferenceNetwork(self.units, self.steps)
        generator = torch.Generator().manual_seed(self.seed + 1)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        for _ in range(self.epochs):
            for rows in torch.split(
                torch.randperm(len(given), generator=generator), self.batch_size
            ):
                loss = nn.functional.mse_loss(network(given[rows]), wanted[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return {key: weights.numpy().copy() for key, weights in network.state_dict().items()}


def _examples(changes: Array, steps: int) -> tuple[Array, Array]:
    """Return each difference, (n,), and the ``steps`` after it, (n, steps), where all have data."""
    if len(changes) <= steps:
        return np.empty(0), np.empty((0, steps))
    windows = np.lib.stride_tricks.sliding_window_view(changes, steps + 1)
    whole = windows[np.isfinite(windows).all(axis=1)]
    return whole[:, 0], whole[:, 1:]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch with one thread, which is fastest for so small a network, and repeatable."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
