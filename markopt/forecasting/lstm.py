"""The LSTM forecaster: quantiles of every step from the last hours, joined by a copula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting import lstm_features, quantile_copula
from markopt.forecasting import lstm_network as net
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of
from markopt.forecasting.lstm_features import Scaling, features, future_targets, held
from markopt.forecasting.quantile_copula import QuantileCopula
from markopt.forecasting.weight_cache import cached_arrays, content_key

DEFAULT_LEVELS = (
    *(0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98),
)

# A change in any of these makes old weights unusable: their text is part of the cache's key.
_SOURCES = (__file__, net.__file__, lstm_features.__file__, quantile_copula.__file__)


@final
class Lstm:
    """Quantile LSTM on log(1 + rate) with calendar phases and masked gaps.

    One pass over the last ``context_s`` gives the quantiles of all steps. Joint paths come from a
    Gaussian copula; its correlation and the spread of the quantiles are set on the newest
    ``validation_share`` of the history, which the network is not trained on. Trained weights are
    cached on disk by data, settings and code.

    Args:
        horizon: the longest forecast, intervals.
        context_s: the past that a forecast looks at, seconds.
        hidden: units of the LSTM.
        head: units of the head's hidden layer.
        levels: quantile levels, rising, within (0, 1).
        periods_s: periods of the calendar phases, seconds since the trace's start; those shorter
            than two intervals are left out.
        harmonics: sine and cosine of so many multiples of each phase.
        members: networks, from different random starts, whose quantiles are averaged.
        epochs: passes over the history.
        batch_size: stretches of the history per step; each gives a forecast every few intervals.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of AdamW.
        dropout: share of the head's inputs left out while training.
        validation_share: share of the history for copula and spread, in (0, 0.5].
        seed: of weights and training order.
        threads: torch's threads in here; small networks are fastest, and repeatable, with one.
            None keeps torch's setting.
        cache_folder: of trained weights; None: ``$MARKOPT_CACHE``, else ``~/.cache/markopt``.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        horizon: int = 30,
        context_s: float = 10800.0,
        hidden: int = 64,
        head: int = 128,
        *,
        levels: Sequence[float] = DEFAULT_LEVELS,
        periods_s: Sequence[float] = (86400.0, 7200.0, 3600.0, 1800.0),
        harmonics: int = 2,
        members: int = 2,
        epochs: int = 200,
        batch_size: int = 16,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.1,
        dropout: float = 0.1,
        validation_share: float = 0.1,
        seed: int = 0,
        threads: int | None = 1,
        cache_folder: str | None = None,
    ) -> None:
        self.horizon = horizon
        self.context_s = context_s
        self.hidden = hidden
        self.head = head
        self.levels = levels
        self.periods_s = periods_s
        self.harmonics = harmonics
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.validation_share = validation_share
        self.seed = seed
        self.threads = threads
        self.cache_folder = cache_folder
        self._check_settings()
        self._history: ObservedHistory | None = None
        self._networks: list[net.QuantileNetwork] = []
        self._copula: QuantileCopula | None = None
        self._scaling = Scaling(0.0, 1.0, 0.0)

    def fit(self, history: RateSeries) -> Self:
        """Train, or load what was trained on the same data with the same settings.

        Raises:
            DataError: the history is shorter than twice context and horizon, and validation.
            ConfigError: ``context_s`` is not a multiple of the interval.
        """
        context = steps_of("Lstm", "context_s", self.context_s, history.interval_s)
        split = self._split(len(history), context)
        observed = ObservedHistory("Lstm", history)
        self._scaling = Scaling.of(observed.logs[:split], observed.logs)
        settings = {k: v for k, v in self._settings().items() if k != "cache_folder"}
        key = content_key(history, settings, _SOURCES, torch.__version__)
        with self._own_threads():
            arrays = cached_arrays(
                self.cache_folder, f"lstm-{key}", lambda: self._train(observed, split, context)
            )
            self._restore(arrays, observed)
        self._history = observed
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        require_fitted("Lstm", self._history).append(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            ConfigError: the horizon is longer than the trained one.
        """
        history = require_fitted("Lstm", self._history)
        require_size("Lstm", horizon, samples)
        if horizon > self.horizon:
            raise ConfigError(
                f"forecaster.horizon: forecasts of {horizon} intervals need a network trained for "
                f"as many, got {self.horizon}"
            )
        if self._copula is None:
            raise ConfigError("Lstm: must be fitted before update or forecast, got no history")
        quantiles = self._quantiles(history)[:horizon]
        logs = self._copula.paths(quantiles, samples, rng)
        paths = np.expm1(np.clip(logs, 0.0, self._scaling.largest))
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def quantiles_rps(self) -> NDArray[np.float64]:
        """Return the network's own quantiles of the next steps, (horizon, levels), rising.

        These are not yet widened to the coverage that validation measured; paths are.
        """
        quantiles = self._quantiles(require_fitted("Lstm", self._history))
        return np.asarray(np.expm1(np.clip(quantiles, 0.0, self._scaling.largest)))

    def _quantiles(self, history: ObservedHistory) -> NDArray[np.float64]:
        """Return quantiles of log(1 + rate) of the next steps, (horizon, levels), rising."""
        context = steps_of("Lstm", "context_s", self.context_s, history.interval_s)
        first = max(len(history) - context, 0)
        inputs = self._inputs(history, first)
        newest = range(len(inputs) - 1, len(inputs))
        with self._own_threads():
            offsets = net.predict(self._networks, inputs, newest, context)[0].astype(np.float64)
        scaled: NDArray[np.float64] = offsets + float(inputs[-1, 0])
        return self._scaling.mean + self._scaling.deviation * scaled

    def _inputs(self, history: ObservedHistory, first: int) -> NDArray[np.float32]:
        logs = history.logs[first:]
        start_s = history.start_s + first * history.interval_s
        before = history.logs[:first]
        return features(
            held(logs, before, self._scaling),
            np.isnan(logs),
            np.asarray(start_s + history.interval_s * np.arange(1.0, len(logs) + 1.0)),
            [p for p in self.periods_s if p >= 2.0 * history.interval_s],
            self.harmonics,
        )

    def _train(self, history: ObservedHistory, split: int, context: int) -> dict[str, NDArray[Any]]:
        """Return weights, copula correlation and spread, trained anew."""
        inputs = self._inputs(history, 0)
        scaled = (history.logs - self._scaling.mean) / self._scaling.deviation
        targets = future_targets(scaled, self.horizon)
        levels = np.asarray(self.levels, dtype=np.float64)
        plan = net.TrainingPlan(
            epochs=self.epochs,
            batch_size=self.batch_size,
            chunk=min(2 * context, split - self.horizon - 1),
            warm_up=max(context // 3, 1),
            stride=3,
            peak_learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        data = net.TrainingData(inputs, targets, split)
        networks = [self._trained(data, levels, plan, member) for member in range(self.members)]
        offsets = net.predict(networks, inputs, range(split, len(inputs)), context)
        quantiles = offsets.astype(np.float64) + inputs[split:, :1, None]
        copula = QuantileCopula.estimate(levels, quantiles, targets[split:])
        arrays: dict[str, NDArray[Any]] = {
            f"{member}:{key}": weights.numpy().copy()
            for member, network in enumerate(networks)
            for key, weights in network.state_dict().items()
        }
        return {**arrays, "correlation": copula.correlation, "spread": copula.spread}

    def _trained(
        self,
        data: net.TrainingData,
        levels: NDArray[np.float64],
        plan: net.TrainingPlan,
        member: int,
    ) -> net.QuantileNetwork:
        """Return one trained network; torch's own generator is left as it was found."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * self.seed + member)
            network = self._new_network(data.inputs.shape[1])
            generator = torch.Generator().manual_seed(1000 * self.seed + 500 + member)
            net.train(network, data, levels, plan, generator)
        return network

    def _restore(self, arrays: dict[str, NDArray[Any]], history: ObservedHistory) -> None:
        """Take over weights and copula, trained now or before."""
        width = self._inputs(history, len(history) - 1).shape[1]
        self._networks = []
        for member in range(self.members):
            prefix = f"{member}:"
            with torch.random.fork_rng(devices=[]):
                network = self._new_network(width)
            network.load_state_dict(
                {
                    key.removeprefix(prefix): torch.from_numpy(weights)
                    for key, weights in arrays.items()
                    if key.startswith(prefix)
                }
            )
            self._networks.append(network.eval())
        levels = np.asarray(self.levels, dtype=np.float64)
        self._copula = QuantileCopula(ndtri(levels), arrays["correlation"], arrays["spread"])

    def _new_network(self, width: int) -> net.QuantileNetwork:
        return net.QuantileNetwork(
            width,
            hidden=self.hidden,
            head=self.head,
            horizon=self.horizon,
            levels=len(self.levels),
            dropout=self.dropout,
        )

    def _split(self, count: int, context: int) -> int:
        """Return where validation starts: it holds four horizons at least."""
        held_out = max(round(self.validation_share * count), 4 * self.horizon)
        needed = 2 * (context + self.horizon) + held_out
        if count < needed:
            raise DataError(
                f"Lstm: a context of {context} and a horizon of {self.horizon} intervals need a "
                f"history of at least {needed} intervals, got {count}"
            )
        return count - held_out

    @contextmanager
    def _own_threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        if self.threads is None or self.threads == before:
            yield
            return
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _settings(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    def _check_settings(self) -> None:
        for key in ("horizon", "hidden", "head", "members", "epochs", "batch_size", "harmonics"):
            if getattr(self, key) < 1:
                raise ConfigError(f"forecaster.{key}: must be at least 1, got {getattr(self, key)}")
        levels = list(self.levels)
        if len(levels) < 2 or levels != sorted(set(levels)) or not 0 < levels[0] < levels[-1] < 1:
            raise ConfigError(
                f"forecaster.levels: must rise strictly within (0, 1), two or more, got {levels}"
            )
        if not 0.0 < self.validation_share <= 0.5:
            raise ConfigError(
                f"forecaster.validation_share: must lie in (0, 0.5], got {self.validation_share}"
            )
