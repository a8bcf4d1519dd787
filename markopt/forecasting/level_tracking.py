"""Where levels of a forecast really lie: quantiles of outcome scores, tracked online."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from markopt.forecasting.score_map import LARGEST_SCORE

Array = NDArray[np.float64]

_FAST_MEMORY = 20.0  # outcomes that the quickest expert's width rests on
_SHAPE_GAIN = 0.02
_ALARM_BAND = (0.05, 0.95)
_ALARM_MEMORY = 10.0  # outcomes over which misses of the first step are counted
_ALARM_DEVIATIONS = 4.4
_ALARM_WEIGHT = 0.8  # of the quickest expert, where misses say that the regime has changed
_LEAST_WIDTH, _LARGEST_WIDTH = 0.1, 5.0
_LARGEST_CORRECTION = 3.0
_NORMAL_WIDTH = float(np.sqrt(np.pi / 2.0))  # deviation over mean absolute deviation


@final
class LevelTracker:
    """Tracks, for each step of the horizon and each level, the score that outcomes stay below.

    Dynamically tuned adaptive conformal inference (DtACI: Gibbs and Candes, Journal of Machine
    Learning Research 25, 2024, algorithm 2) on the quantile of scores, as conformal PID control has
    it (Angelopoulos, Candes and Tibshirani, NeurIPS 2023). Each expert follows the quantile by
    gradient steps of its own gain; one more rests on the mean absolute score of the last twenty
    outcomes or so and follows only the shape. Experts are weighted by the pinball loss of what they
    had said when the forecast was made, over the last ``window`` outcomes, with a share for each so
    that none is lost. A slow correction adds up what the weighted mean misses: unless it meets its
    bound, no miss lasts. Where the first step's band misses far more of the last ten outcomes or so
    than it claims, the regime has changed: all steps are left to the quickest expert, without
    waiting for their own outcomes, and weights go on from there. State and work are
    O(horizon x levels x experts), whatever the past.
    """

    def __init__(self, levels: Sequence[float], gains: Sequence[float], window: int) -> None:
        self._levels = np.asarray(levels, dtype=np.float64)
        self._gains = np.asarray(gains, dtype=np.float64)
        self._window = window
        self._scores = ndtri(self._levels)
        count, experts = len(levels), len(gains) + 1
        self.thresholds = np.zeros((0, count, experts))
        self.weights = np.zeros((0, count, experts))
        self.correction = np.zeros((0, count))
        self._squared_loss = np.zeros((0, count))
        self._width = np.zeros(0)
        self._band = tuple(int(np.argmin(np.abs(self._levels - edge))) for edge in _ALARM_BAND)
        claimed = 1.0 - float(self._levels[self._band[1]] - self._levels[self._band[0]])
        deviation = np.sqrt(claimed * (1.0 - claimed) / (2.0 * _ALARM_MEMORY - 1.0))
        self._claimed = self._missed = claimed
        self._alarm = claimed + _ALARM_DEVIATIONS * float(deviation)

    @property
    def horizon(self) -> int:
        """Steps known so far."""
        return len(self._width)

    def extend(self, horizon: int) -> None:
        """Know so many steps: new ones start with what is known of the longest one."""
        added = horizon - self.horizon
        if added <= 0:
            return
        experts = len(self._gains) + 1
        identity = np.repeat(self._scores[:, None], experts, axis=1)
        self.thresholds = _extended(self.thresholds, added, identity)
        self.weights = _extended(self.weights, added, np.full_like(identity, 1.0 / experts))
        self.correction = _extended(self.correction, added, np.zeros(len(self._levels)))
        self._squared_loss = _extended(self._squared_loss, added, np.ones(len(self._levels)))
        self._width = _extended(self._width, added, np.ones(()))

    def experts(self, horizon: int) -> Array:
        """Return each expert's scores, (horizon, levels, experts)."""
        known = self.thresholds[:horizon].copy()
        known[..., -1] *= self._width[:horizon, None]
        return np.clip(known, -LARGEST_SCORE, LARGEST_SCORE)

    def combined(self, experts: Array) -> Array:
        """Return the weighted scores, (horizon, levels), rising (Chernozhukov et al. 2010)."""
        horizon = len(experts)
        mean = (self.weights[:horizon] * experts).sum(axis=-1) + self.correction[:horizon]
        return np.sort(np.clip(mean, -LARGEST_SCORE, LARGEST_SCORE), axis=-1)

    def learn(self, steps: NDArray[np.int64], outcome: Array, said: Array, combined: Array) -> None:
        """Learn from one outcome at several steps.

        Args:
            steps: which steps it is the outcome of, (n,).
            outcome: its equally likely scores (ties), (n, ties).
            said: the experts' scores when each forecast was made, (n, levels, experts).
            combined: the combined scores then, (n, levels).
        """
        width = np.clip(self._width[steps], _LEAST_WIDTH, _LARGEST_WIDTH)[:, None]
        below = (outcome[:, None, None, :] <= said[..., None]).mean(axis=-1)
        missed = self._levels[:, None] - below
        moved = self.thresholds[steps]
        moved[..., :-1] += self._gains * width[..., None] * missed[..., :-1]
        moved[..., -1] += _SHAPE_GAIN * missed[..., -1]
        self.thresholds[steps] = np.clip(moved, -LARGEST_SCORE, LARGEST_SCORE)
        self._reweigh(steps, outcome, said)
        below_all = (outcome[:, None, :] <= combined[..., None]).mean(axis=-1)
        slow = float(self._gains.min()) * width
        correction = self.correction[steps] + slow * (self._levels - below_all)
        self.correction[steps] = np.clip(correction, -_LARGEST_CORRECTION, _LARGEST_CORRECTION)
        self._follow(steps, outcome.mean(axis=-1))
        if steps[0] == 0:
            self._watch(outcome[0], combined[0])

    def _reweigh(self, steps: NDArray[np.int64], outcome: Array, said: Array) -> None:
        error = outcome[:, None, None, :] - said[..., None]
        level = self._levels[:, None, None]
        loss = np.maximum(level * error, (level - 1.0) * error).mean(axis=-1)
        weights = self.weights[steps]
        squared = self._squared_loss[steps]
        squared += ((weights * loss**2).sum(axis=-1) - squared) / self._window
        self._squared_loss[steps] = squared
        experts = loss.shape[-1]
        rate = np.sqrt(
            (np.log(experts * self._window) + 2.0) / (self._window * np.maximum(squared, 1e-6))
        )
        weights = weights * np.exp(-rate[..., None] * (loss - loss.min(axis=-1, keepdims=True)))
        share = 0.5 / self._window
        weights /= weights.sum(axis=-1, keepdims=True)
        self.weights[steps] = (1.0 - share) * weights + share / experts

    def _watch(self, outcome: Array, combined: Array) -> None:
        """Count what the first step's band missed; after a change the quickest expert leads."""
        low, high = (combined[at] for at in self._band)
        missed = float(((outcome < low) | (outcome > high)).mean())
        self._missed += (missed - self._missed) / _ALARM_MEMORY
        if self._missed > self._alarm:
            self._missed = self._claimed
            self.weights *= 1.0 - _ALARM_WEIGHT
            self.weights[..., -1] += _ALARM_WEIGHT

    def _follow(self, steps: NDArray[np.int64], score: Array) -> None:
        width = self._width[steps]
        self._width[steps] = np.clip(
            width + (_NORMAL_WIDTH * np.abs(score) - width) / _FAST_MEMORY,
            _LEAST_WIDTH,
            _LARGEST_WIDTH,
        )


def _extended(state: Array, added: int, start: Array) -> Array:
    last = state[-1] if len(state) else start
    return np.concatenate([state, np.repeat(last[None], added, axis=0)])
