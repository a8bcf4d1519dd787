"""Synthetic workloads: Poisson with a varying rate, MMPP(2), MAP, and MArk's stress test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.workload.markovian import MapSource
from markopt.workload.processes import PoissonSource
from markopt.workload.protocol import Workload
from markopt.workload.realized import drawn_rates
from markopt.workload.settings import (
    check_at_least,
    check_positive,
    check_seed,
    check_whole_intervals,
    numbers,
)

# Sets the history's stream apart from every stream that an episode spawns from the same seed.
_HISTORY_KEY = 0x68697374


def _history_generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_HISTORY_KEY,)))


def _check_lengths(
    history_s: float, evaluate_s: float, interval_s: float, scale: float, seed: int
) -> None:
    check_positive("interval_s", interval_s)
    check_positive("scale", scale)
    check_whole_intervals("history_s", history_s, interval_s, 0)
    check_whole_intervals("evaluate_s", evaluate_s, interval_s, 1)
    check_seed(seed)


def _stepped(
    name: str,
    edges_s: NDArray[np.float64],
    rates_rps: NDArray[np.float64],
    *,
    history_s: float,
    interval_s: float,
    seed: int,
) -> Workload:
    source = PoissonSource(edges_s, rates_rps)
    count = round(history_s / interval_s)
    history = drawn_rates(source.new_process(), 0.0, interval_s, count, _history_generator(seed))
    return Workload(name, history, history_s, float(edges_s[-1]), source)


@final
@dataclass(frozen=True)
class PoissonWorkload:
    """Poisson arrivals; the rate steps through ``rates_rps``, ``bin_s`` each, and starts over.

    Time 0 is the history's start. The history is one draw of the same process from a stream of
    its own, fixed by ``seed``; the episode's seed moves only the evaluated arrivals.
    """

    rates_rps: Sequence[float] = (60.0,)
    bin_s: float = 3600.0
    scale: float = 1.0
    history_s: float = 86400.0
    evaluate_s: float = 21600.0
    interval_s: float = 60.0
    seed: int = 0
    name: str = "poisson"

    def build(self) -> Workload:
        """Draw the history.

        Raises:
            ConfigError: a setting is out of range.
            DataError: a rate is negative or not finite.
        """
        _check_lengths(self.history_s, self.evaluate_s, self.interval_s, self.scale, self.seed)
        check_positive("bin_s", self.bin_s)
        end_s = self.history_s + self.evaluate_s
        bins = int(np.ceil(end_s / self.bin_s - 1e-9))
        edges_s = np.minimum(self.bin_s * np.arange(bins + 1), end_s)
        rates_rps = self.scale * np.resize(numbers("rates_rps", self.rates_rps), bins)
        return _stepped(
            self.name,
            edges_s,
            rates_rps,
            history_s=self.history_s,
            interval_s=self.interval_s,
            seed=self.seed,
        )


@final
@dataclass(frozen=True)
class StressWorkload:
    """MArk's stress test: 5000 requests/min for 14 min, then times (1 + burst), burst 0.5.

    How long the surge lasts is not published: ``surge_s`` is ours. The history is ``history_s`` of
    the steady load.
    """

    steady_rps: float = 5000.0 / 60.0
    steady_s: float = 840.0
    surge_s: float = 960.0
    burst: float = 0.5
    scale: float = 1.0
    history_s: float = 3600.0
    interval_s: float = 60.0
    seed: int = 0
    name: str = "stress"

    def build(self) -> Workload:
        """Draw the history.

        Raises:
            ConfigError: a setting is out of range.
        """
        for key in ("steady_rps", "steady_s", "surge_s"):
            check_positive(key, getattr(self, key))
        evaluate_s = self.steady_s + self.surge_s
        _check_lengths(self.history_s, evaluate_s, self.interval_s, self.scale, self.seed)
        check_at_least("burst", self.burst, -1.0)
        surge_from_s = self.history_s + self.steady_s
        edges_s = np.array([0.0, surge_from_s, self.history_s + evaluate_s])
        rates_rps = self.scale * self.steady_rps * np.array([1.0, 1.0 + self.burst])
        return _stepped(
            self.name,
            edges_s,
            rates_rps,
            history_s=self.history_s,
            interval_s=self.interval_s,
            seed=self.seed,
        )


def _markovian(
    name: str,
    source: MapSource,
    *,
    history_s: float,
    evaluate_s: float,
    interval_s: float,
    seed: int,
) -> Workload:
    """Draw the history; the evaluated span goes on from the phase in which it ends."""
    count = round(history_s / interval_s)
    history = RateSeries(0.0, interval_s, np.empty(0))
    if count:
        process = source.new_process()
        history = drawn_rates(process, 0.0, interval_s, count, _history_generator(seed))
        source = replace(source, phase=process.phase)
    return Workload(name, history, history_s, history_s + evaluate_s, source)


@final
@dataclass(frozen=True)
class MmppWorkload:
    """MMPP(2): Poisson at ``rates_rps[i]`` while in state i, for ``mean_sojourn_s[i]`` on average.

    ``scale`` multiplies the rates and leaves the sojourns. The history, drawn from a stream of its
    own fixed by ``seed``, ends in the state in which the evaluated span begins.
    """

    rates_rps: Sequence[float] = (40.0, 160.0)
    mean_sojourn_s: Sequence[float] = (1200.0, 300.0)
    scale: float = 1.0
    history_s: float = 86400.0
    evaluate_s: float = 21600.0
    interval_s: float = 60.0
    seed: int = 0
    name: str = "mmpp"

    def source(self) -> MapSource:
        """Return the arrival process, scaled, starting from its stationary law."""
        rates_rps = self.scale * numbers("rates_rps", self.rates_rps)
        sojourns_s = numbers("mean_sojourn_s", self.mean_sojourn_s)
        return MapSource.mmpp2(rates_rps.tolist(), sojourns_s.tolist())

    def build(self) -> Workload:
        """Draw the history.

        Raises:
            ConfigError: a length is out of range.
            DataError: a rate or a sojourn is.
        """
        _check_lengths(self.history_s, self.evaluate_s, self.interval_s, self.scale, self.seed)
        return _markovian(
            self.name,
            self.source(),
            history_s=self.history_s,
            evaluate_s=self.evaluate_s,
            interval_s=self.interval_s,
            seed=self.seed,
        )


@final
@dataclass(frozen=True)
class MapWorkload:
    """Markovian arrivals MAP(D0, D1), rates per second; see ``MapSource``.

    ``scale`` multiplies both matrices: the process runs faster as a whole, its changes of phase
    too. History and evaluated span are joined as in ``MmppWorkload``.
    """

    d0: Sequence[Sequence[float]]
    d1: Sequence[Sequence[float]]
    scale: float = 1.0
    history_s: float = 86400.0
    evaluate_s: float = 21600.0
    interval_s: float = 60.0
    seed: int = 0
    name: str = "map"

    def source(self) -> MapSource:
        """Return the arrival process, scaled, starting from its stationary law."""
        return MapSource(_matrix("d0", self.d0, self.scale), _matrix("d1", self.d1, self.scale))

    def build(self) -> Workload:
        """Draw the history.

        Raises:
            ConfigError: a length is out of range, or a matrix has rows of unequal length.
            DataError: the matrices are not a MAP.
        """
        _check_lengths(self.history_s, self.evaluate_s, self.interval_s, self.scale, self.seed)
        return _markovian(
            self.name,
            self.source(),
            history_s=self.history_s,
            evaluate_s=self.evaluate_s,
            interval_s=self.interval_s,
            seed=self.seed,
        )


def _matrix(key: str, rows: Sequence[Sequence[float]], scale: float) -> NDArray[np.float64]:
    arrays = [numbers(key, row) for row in rows]
    lengths = sorted({len(array) for array in arrays})
    if len(lengths) != 1:
        raise ConfigError(f"workload.{key}: rows must be equally long, got {lengths}")
    matrix: NDArray[np.float64] = scale * np.array(arrays)
    return matrix
