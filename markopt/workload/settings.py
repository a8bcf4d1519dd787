"""Checks of workload settings: each error names the key, what was required and what was given."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from markopt.errors import ConfigError

BIN_S = 5.0
"""Width of the bins within an interval that a history tells of: what observations have, too."""


def bins_within(interval_s: float, bin_s: float) -> int | None:
    """Return how many bins an interval consists of, None where they do not divide it."""
    bins = round(interval_s / bin_s)
    return bins if bins >= 1 and abs(bins * bin_s - interval_s) <= 1e-9 * interval_s else None


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_positive(key: str, value: float) -> None:
    """Check that a setting is a positive, finite number.

    Raises:
        ConfigError: it is not.
    """
    if not _is_number(value) or not value > 0.0:
        raise ConfigError(f"workload.{key}: must be a positive, finite number, got {value!r}")


def check_at_least(key: str, value: float, least: float) -> None:
    """Check that a setting is a finite number of at least ``least``.

    Raises:
        ConfigError: it is not.
    """
    if not _is_number(value) or value < least:
        raise ConfigError(
            f"workload.{key}: must be a finite number of at least {least:g}, got {value!r}"
        )


def check_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check that a setting is one of ``allowed``.

    Raises:
        ConfigError: it is not.
    """
    if value not in allowed:
        raise ConfigError(f"workload.{key}: expected one of {', '.join(allowed)}, got {value!r}")


def check_seed(value: int) -> None:
    """Check that a seed is a whole number of at least 0.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"workload.seed: must be a whole number of at least 0, got {value!r}")


def check_whole_intervals(key: str, value_s: float, interval_s: float, least: int) -> None:
    """Check that a length is a whole number of intervals, at least ``least``.

    Raises:
        ConfigError: it is not.
    """
    count = value_s / interval_s if _is_number(value_s) else math.nan
    if not math.isfinite(count) or abs(count - round(count)) > 1e-6 or round(count) < least:
        raise ConfigError(
            f"workload.{key}: must be a whole number of intervals of {interval_s:g} s, at least "
            f"{least}, got {value_s!r} s"
        )


def numbers(key: str, values: Iterable[float]) -> NDArray[np.float64]:
    """Return a list of numbers as an array.

    Raises:
        ConfigError: it is no list, is empty, or holds something else.
    """
    listed = list(values) if isinstance(values, Iterable) else []
    if not listed or isinstance(values, str):
        raise ConfigError(f"workload.{key}: expected a list of numbers, got {values!r}")
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ConfigError(f"workload.{key}: expected a list of numbers, got {value!r} in it")
    return np.array(listed, dtype=np.float64)
