"""Random draws of a request: functions of the seed and the request's number alone."""

from __future__ import annotations

import numpy as np

from markopt.engine.kernel.compiled import inlined
from markopt.engine.state import MULTIPLIER_COUNT

_MULTIPLIER_MASK = np.uint64(MULTIPLIER_COUNT - 1)


@inlined
def hash_of(seed, index):
    """Return the SplitMix64 hash of what request ``index`` draws, 64 bits."""
    mixed = np.uint64(seed) + np.uint64(index + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@inlined
def draw_index(seed, index):
    """Return the number of the quantile that request ``index`` draws."""
    return np.int64(hash_of(seed, index) & _MULTIPLIER_MASK)


@inlined
def unit_of(seed, index):
    """Return the number in [0, 1) that request ``index`` draws: the hash's upper 53 bits."""
    return np.float64(hash_of(seed, index) >> np.uint64(11)) * 2.0**-53
