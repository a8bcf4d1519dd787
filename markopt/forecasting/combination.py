"""An online mixture of forecasters that is never much worse than its best member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size
from markopt.forecasting.protocol import Forecaster
from markopt.forecasting.scores import crps

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Regret:
    """Mean losses per interval so far: half the CRPS of log(1 + rate), cut at ``largest_loss``.

    ``intervals`` is how many were scored, ``combination`` the loss of the mixture's own paths,
    ``members`` the loss of each member by name.
    """

    intervals: int
    combination: float
    members: Mapping[str, float]

    @property
    def best_member(self) -> str:
        """The member with the least loss so far."""
        return min(self.members, key=lambda name: self.members[name])

    @property
    def per_interval(self) -> float:
        """How much worse the mixture was than the best member; negative where it was better."""
        return self.combination - self.members[self.best_member]


@final
class Combination:
    """Mixes the joint paths of its members by weights that follow their losses.

    Weights are exponential in the loss, and a share of them is given back to all members at every
    interval, so that a member that becomes the best after a change is soon heard: fixed share
    (Herbster and Warmuth, Machine Learning 32, 1998). The loss of an interval is the pinball loss
    over all levels (half the CRPS) of log(1 + rate), mean over the steps at which the interval was
    forecast. It is convex in mixtures, hence the mixture never loses more than the weighted mean of
    its members. ``bound`` gives how much more than the best sequence of members that is.

    All steps share the weights: a path is one member's from its first step to its last, so that the
    dependence over the horizon stays that member's. Losses can be learned only of forecasts that
    were asked for. Intervals without data teach nothing.

    Args:
        forecasters: the members by name, two or more.
        learning_rate: weights fall as exp(-learning_rate * loss). Losses of overlapping forecasts
            come in runs: a fast rate follows each burst to another member, a slow one mixes.
        switch_s: expected time between two changes of the best member, seconds.
        largest_loss: losses are cut at this, so that one burst does not decide all.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        forecasters: Mapping[str, Forecaster],
        learning_rate: float = 0.3,
        switch_s: float = 86400.0,
        largest_loss: float = 0.5,
    ) -> None:
        if len(forecasters) < 2:
            raise ConfigError(
                f"forecaster.forecasters: needs at least 2 members, got {list(forecasters)}"
            )
        for key, value in (("learning_rate", learning_rate), ("largest_loss", largest_loss)):
            if value <= 0.0:
                raise ConfigError(f"forecaster.{key}: must be positive, got {value}")
        self.forecasters = forecasters
        self.learning_rate = learning_rate
        self.switch_s = switch_s
        self.largest_loss = largest_loss
        self._history: ObservedHistory | None = None
        self._weights: Array = np.empty(0)
        self._losses: Array = np.empty(0)
        self._scored = 0
        self._asked: dict[int, Array] = {}
        self._longest = 0

    def fit(self, history: RateSeries) -> Self:
        """Fit every member; all start with the same weight.

        Raises:
            ConfigError: ``switch_s`` is not longer than the interval.
        """
        if self.switch_s <= history.interval_s:
            raise ConfigError(
                f"forecaster.switch_s: must be longer than the interval of {history.interval_s} s, "
                f"got {self.switch_s}"
            )
        for forecaster in self.forecasters.values():
            forecaster.fit(history)
        self._history = ObservedHistory("Combination", history)
        count = len(self.forecasters)
        self._weights = np.full(count, 1.0 / count)
        self._losses, self._scored = np.zeros(count + 1), 0
        self._asked, self._longest = {}, 0
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals, and learn from those that an earlier forecast spoke of."""
        history = require_fitted("Combination", self._history)
        first = len(history)
        history.append(observed)
        for forecaster in self.forecasters.values():
            forecaster.update(observed)
        for index in range(first, len(history)):
            self._learn(index, float(history.logs[index]))

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return paths of all members, in proportion to the weights as far as ``samples`` allow."""
        history = require_fitted("Combination", self._history)
        require_size("Combination", horizon, samples)
        drawn = [f.forecast(horizon, samples, rng) for f in self.forecasters.values()]
        sizes = _shared_out(self._weights, samples, rng)
        mixed = np.concatenate(
            [_thinned(one.paths_rps, size, rng) for one, size in zip(drawn, sizes, strict=True)]
        )
        paths = np.stack([*(one.paths_rps for one in drawn), mixed])
        self._asked[len(history)] = np.log1p(paths)
        self._longest = max(self._longest, horizon)
        return Forecast.equally_likely(history.end_s, history.interval_s, mixed, drawn[0].statistic)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every member, by name; they sum to one."""
        require_fitted("Combination", self._history)
        return dict(zip(self.forecasters, self._weights.tolist(), strict=True))

    @property
    def regret(self) -> Regret:
        """What was lost so far, by the mixture and by each member."""
        require_fitted("Combination", self._history)
        mean = (self._losses / max(self._scored, 1)).tolist()
        return Regret(self._scored, mean[-1], dict(zip(self.forecasters, mean[:-1], strict=True)))

    def bound(self, switches: int = 0) -> float:
        """Return what the mixture can at most lose beyond the best sequence of members, in sum.

        For a sequence that changes member ``switches`` times in the intervals scored so far, and
        forecasts of one step, whose loss is known before the next (Cesa-Bianchi and Lugosi,
        Prediction, Learning, and Games, 2006, theorem 5.2 with losses in [0, largest_loss]). Of
        longer forecasts the weights are older by the steps waited for; their regret is reported,
        not bounded.
        """
        history = require_fitted("Combination", self._history)
        share = history.interval_s / self.switch_s
        stays = max(self._scored - switches - 1, 0)
        prior = (switches + 1) * log(len(self.forecasters))
        prior += switches * log(1.0 / share) + stays * log(1.0 / (1.0 - share))
        spread = self.learning_rate * self._scored * self.largest_loss**2 / 8.0
        return prior / self.learning_rate + spread

    def _learn(self, index: int, log_rate: float) -> None:
        """Move the weights by the losses of all forecasts of interval ``index``."""
        columns = [
            asked[:, :, index - origin]
            for origin, asked in self._asked.items()
            if index - origin < asked.shape[2]
        ]
        self._asked.pop(index + 1 - self._longest, None)
        if not columns or np.isnan(log_rate):
            return
        sizes = {column.shape[1] for column in columns}
        losses = np.concatenate(
            [
                _losses(np.stack([c for c in columns if c.shape[1] == size], axis=2), log_rate)
                for size in sorted(sizes)
            ],
            axis=1,
        )
        loss = np.minimum(losses, self.largest_loss).mean(axis=1)
        self._losses += loss
        self._scored += 1
        history = require_fitted("Combination", self._history)
        share = history.interval_s / self.switch_s
        moved = self._weights * np.exp(-self.learning_rate * (loss[:-1] - loss[:-1].min()))
        self._weights = (1.0 - share) * moved / moved.sum() + share / len(moved)


def _losses(logs: Array, log_rate: float) -> Array:
    """Return half the CRPS, (forecasters, steps), of logs (forecasters, samples, steps)."""
    realized = np.full((logs.shape[0], logs.shape[2]), log_rate)
    return 0.5 * crps(logs, realized)


def _shared_out(weights: Array, samples: int, rng: np.random.Generator) -> list[int]:
    """Return how many of the samples each weight gets: within one of its share."""
    edges = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()]) * samples
    edges[-1] = samples
    counts: list[int] = np.diff(np.ceil(edges - rng.random()).clip(0.0).astype(int)).tolist()
    return counts


def _thinned(paths: Array, size: int, rng: np.random.Generator) -> Array:
    """Return ``size`` of the paths, evenly spread over them in the order of their means."""
    if size == len(paths):
        return paths
    order = np.argsort(paths.mean(axis=1), kind="stable")
    positions = (np.arange(size) + rng.random()) * (len(paths) / max(size, 1))
    return paths[order[positions.astype(np.int64) % len(paths)]]
