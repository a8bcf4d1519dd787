"""Quantile functions per step: what was forecast at a normal score, and the score of an outcome."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

LARGEST_SCORE = 12.0
KNOT_LEVELS = np.array(
    [0.01, 0.025, *np.arange(0.05, 0.951, 0.05), 0.975, 0.99],
)
KNOT_SCORES = np.concatenate([[-LARGEST_SCORE], ndtri(KNOT_LEVELS), [LARGEST_SCORE]])
_MIDDLE = len(KNOT_SCORES) // 2
_LEAST_SLOPE = 0.25  # of the past error, per unit of score: forecasts of one value get a width
_TIES = 16
_LEAST_STRETCH, _LARGEST_STRETCH = 0.1, 4.0


def quantile_knots(logs: Array, probabilities: Array, error: Array) -> Array:
    """Return each step's quantiles at ``KNOT_SCORES``, (horizon, knots), not falling.

    Args:
        logs: paths, (samples, horizon).
        probabilities: of the paths, (samples,).
        error: typical absolute error of each step's median, (horizon,).

    Beyond the outer levels the quantiles go on in a line from the median through the outer one. No
    half is narrower than a quarter of ``error`` per unit of score, else outcomes beyond a forecast
    of one value would have no finite score.
    """
    order = np.argsort(logs, axis=0, kind="stable")
    weight = probabilities[order]
    position = np.cumsum(weight, axis=0) - 0.5 * weight
    rising = np.take_along_axis(logs, order, axis=0)
    knots = np.empty((logs.shape[1], len(KNOT_SCORES)))
    for step in range(logs.shape[1]):
        knots[step, 1:-1] = np.interp(KNOT_LEVELS, position[:, step], rising[:, step])
    middle = knots[:, _MIDDLE : _MIDDLE + 1]
    outer = LARGEST_SCORE / KNOT_SCORES[-2]
    knots[:, 0] = middle[:, 0] + outer * (knots[:, 1] - middle[:, 0])
    knots[:, -1] = middle[:, 0] + outer * (knots[:, -2] - middle[:, 0])
    least = _LEAST_SLOPE * error[:, None] * np.abs(KNOT_SCORES)
    away = np.maximum(np.abs(knots - middle), least)
    return np.asarray(middle + np.sign(KNOT_SCORES) * away)


def at_scores(knots: Array, scores: Array) -> Array:
    """Return quantiles (samples, horizon) at normal scores (samples, horizon)."""
    values = np.empty_like(scores)
    for step in range(scores.shape[1]):
        values[:, step] = np.interp(scores[:, step], KNOT_SCORES, knots[step])
    return values


def score_bounds(knots: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the least and the largest score whose quantile lies in [low, high].

    Args:
        knots: (steps, knots).
        low: lower bounds in the units of the knots, (steps,), infinite allowed.
        high: upper bounds likewise.
    """
    below = np.clip((knots < low[:, None]).sum(axis=1), 1, len(KNOT_SCORES) - 1)
    within = np.clip((knots <= high[:, None]).sum(axis=1), 1, len(KNOT_SCORES) - 1)
    return _between(knots, below, low), _between(knots, within, high)


def claimed_scores(logs: Array, probabilities: Array, rng: np.random.Generator) -> Array:
    """Return the normal score that each path claims at each step, ties in random order."""
    order = np.lexsort((rng.random(logs.shape), logs), axis=0)
    weight = probabilities[order]
    level = np.cumsum(weight, axis=0) - 0.5 * weight
    scores = np.empty_like(logs)
    np.put_along_axis(scores, order, ndtri(np.clip(level, 1e-9, 1.0 - 1e-9)), axis=0)
    return scores


@final
class LevelMap:
    """The rising map from claimed to real scores of each step, linear between known levels.

    Beyond the outer levels it is as steep as from the middle to the outer one, within bounds.

    Args:
        level_scores: claimed scores of the levels, (levels,), rising.
        real: what they really are, (steps, levels), not falling.
    """

    def __init__(self, level_scores: Array, real: Array) -> None:
        middle = len(level_scores) // 2
        self._claimed = np.concatenate([[-LARGEST_SCORE], level_scores, [LARGEST_SCORE]])
        self._real = np.empty((len(real), len(self._claimed)))
        self._real[:, 1:-1] = real
        for inner, outer in ((1, 0), (-2, -1)):
            run = self._claimed[inner] - self._claimed[middle + 1]
            rise = self._real[:, inner] - self._real[:, middle + 1]
            stretch = np.clip(rise / run, _LEAST_STRETCH, _LARGEST_STRETCH) if run else 1.0
            beyond = self._claimed[outer] - self._claimed[inner]
            self._real[:, outer] = self._real[:, inner] + stretch * beyond

    def real(self, claimed: Array) -> Array:
        """Return real scores of claimed ones, both (steps, any)."""
        pairs = zip(claimed, self._real, strict=True)
        return np.array([np.interp(wanted, self._claimed, row) for wanted, row in pairs])

    def claimed(self, real: Array) -> Array:
        """Return claimed scores of real ones, both (steps, any)."""
        pairs = zip(real, self._real, strict=True)
        return np.array([np.interp(score, row, self._claimed) for score, row in pairs])

    def tied(self, low: Array, high: Array) -> Array:
        """Return real scores of evenly spread claimed levels between two scores, (steps, ties).

        The randomised probability integral transform, its randomness averaged out: where an
        outcome is a value that many paths share, any level between the bounds is as good as
        another. One score per step where no step has ties.
        """
        if np.all(high - low < 1e-9):
            return low[:, None]
        bounds = ndtr(self.claimed(np.stack([low, high], axis=1)))
        share = (np.arange(_TIES) + 0.5) / _TIES
        level = bounds[:, :1] + share * (bounds[:, 1:] - bounds[:, :1])
        scores = self.real(ndtri(np.clip(level, 1e-16, 1.0 - 1e-16)))
        return np.clip(scores, low[:, None], high[:, None])


def _between(knots: Array, cell: NDArray[np.int64], value: Array) -> Array:
    steps = np.arange(len(knots))
    low, high = knots[steps, cell - 1], knots[steps, cell]
    width = np.maximum(high - low, 1e-300)
    share = np.clip((np.clip(value, low, high) - low) / width, 0.0, 1.0)
    share = np.where(high > low, share, (value >= high).astype(np.float64))
    left, right = KNOT_SCORES[cell - 1], KNOT_SCORES[cell]
    return np.asarray(left + share * (right - left))
