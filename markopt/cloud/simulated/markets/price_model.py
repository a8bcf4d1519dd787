"""A generator of spot prices: a slowly moving base, and spikes above it.

Prices are in units of the on-demand price. The logarithm of the base is an autoregression of order
2 on a grid of ``step_s`` around its level, held between floor and ceiling. Spikes and calm spells
follow each other as in an alternating renewal process: a calm spell, then a spike of some duration
and height, during which the price is the height (or the base, where that is higher). A share of a
pool's spikes, ``common_share``, starts at the same time in all pools of an instance type.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.markets.durations import Durations
from markopt.cloud.simulated.markets.parameters import read_parameters
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.errors import DataError

Array = NDArray[np.float64]
_WARM_UP_STEPS = 500


@final
@dataclass(frozen=True)
class BaseProcess:
    """The price without spikes: an autoregression of its logarithm around that of ``level``."""

    step_s: float
    level: float
    lag_1: float
    lag_2: float
    sd: float
    floor: float
    ceiling: float

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Return ``count`` prices, one for each step, from the stationary distribution."""
        from scipy.signal import lfilter

        noise = self.sd * rng.standard_normal(count + _WARM_UP_STEPS)
        x = lfilter([1.0], [1.0, -self.lag_1, -self.lag_2], noise)[_WARM_UP_STEPS:]
        return np.clip(self.level * np.exp(x), self.floor, self.ceiling)


@final
@dataclass(frozen=True)
class SpikeProcess:
    """Spells above the base.

    ``height_quantiles`` are their heights' at equal steps from 0 to 1, log-linear between;
    ``correlation`` is that of a height's and its duration's normal scores (a Gaussian copula).
    """

    calm: Durations
    duration: Durations
    height_quantiles: tuple[float, ...]
    correlation: float = 0.0
    common_share: float = 0.0

    def draw(self, normal: Array) -> tuple[Array, Array]:
        """Return durations and heights from two rows of independent normal scores."""
        from scipy.special import ndtr

        scores = self.correlation * normal[0] + math.sqrt(1.0 - self.correlation**2) * normal[1]
        grid = np.linspace(0.0, 1.0, len(self.height_quantiles))
        heights = np.exp(np.interp(ndtr(scores), grid, np.log(self.height_quantiles)))
        return self.duration.quantiles(ndtr(normal[0])), heights

    @property
    def rate_per_s(self) -> float:
        """Spikes per second."""
        return 1.0 / (self.calm.mean_s + self.duration.mean_s)


@final
@dataclass(frozen=True)
class PriceProcess:
    """The price of one pool; ``spikes`` None: it has none."""

    base: BaseProcess
    spikes: SpikeProcess | None = None


@final
class CommonSpikes:
    """Spikes that the pools of an instance type share: candidates that each pool thins out.

    Args:
        processes: of the pools that share them.
        start_s, end_s: the span.
        rng: draws their times, durations and heights.
    """

    def __init__(
        self,
        processes: list[PriceProcess],
        *,
        start_s: float,
        end_s: float,
        rng: np.random.Generator,
    ) -> None:
        self.rate_per_s = max((_common_rate(p.spikes) for p in processes), default=0.0)
        count = int(rng.poisson(self.rate_per_s * (end_s - start_s)))
        self.starts_s = np.sort(rng.uniform(start_s, end_s, count))
        self.lots = rng.random(count)
        self.scores = rng.standard_normal((2, count))

    def of(self, spikes: SpikeProcess) -> tuple[Array, Array, Array]:
        """Return starts, durations and heights of a pool's share of them."""
        own = _common_rate(spikes)
        kept = self.lots * self.rate_per_s < own
        return self.starts_s[kept], *spikes.draw(self.scores[:, kept])


def _common_rate(spikes: SpikeProcess | None) -> float:
    return 0.0 if spikes is None else spikes.common_share * spikes.rate_per_s


def draw_path(
    process: PriceProcess,
    *,
    start_s: float,
    end_s: float,
    rng: np.random.Generator,
    common: CommonSpikes | None = None,
) -> PricePath:
    """Return a price path in units of the on-demand price (per second, where that is)."""
    base = process.base
    count = math.ceil((end_s - start_s) / base.step_s) + 1
    grid_s = start_s + base.step_s * np.arange(count)
    level = base.draw(count, rng)
    starts_s = durations_s = heights = np.empty(0)
    if process.spikes is not None:
        starts_s, durations_s, heights = _own_spikes(process.spikes, start_s, end_s, rng)
        if common is not None:
            together = common.of(process.spikes)
            starts_s, durations_s, heights = (
                np.concatenate([mine, shared])
                for mine, shared in zip((starts_s, durations_s, heights), together, strict=True)
            )
    times_s = np.unique(np.concatenate([grid_s, starts_s, starts_s + durations_s]))
    times_s = times_s[(times_s >= start_s) & (times_s <= end_s)]
    price = level[grid_s.searchsorted(times_s, side="right") - 1]
    firsts = times_s.searchsorted(starts_s)
    lasts = times_s.searchsorted(starts_s + durations_s)
    for first, last, height in zip(firsts, lasts, heights, strict=True):
        np.maximum(price[first:last], height, out=price[first:last])
    changes = np.append(True, np.diff(price) != 0.0)
    return PricePath(times_s[changes], price[changes], end_s)


def _own_spikes(
    spikes: SpikeProcess, start_s: float, end_s: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return starts, durations and heights of the spikes that a pool has for itself."""
    own_share = 1.0 - spikes.common_share
    if own_share <= 0.0:
        return np.empty(0), np.empty(0), np.empty(0)
    # The spells before the span let the process forget its begin.
    cycle_s = 1.0 / (spikes.rate_per_s * own_share)
    calm = Durations(spikes.calm.family, cycle_s - spikes.duration.mean_s, spikes.calm.shape)
    warm_up_s = 50.0 * cycle_s
    spells: list[Array] = []
    time_s = start_s - warm_up_s
    while time_s < end_s:
        durations_s, heights = spikes.draw(rng.standard_normal((2, 64)))
        ends_s = time_s + np.cumsum(calm.draw(rng, 64) + durations_s)
        spells.append(np.array([ends_s - durations_s, durations_s, heights]))
        time_s = float(ends_s[-1])
    starts_s, durations_s, heights = np.concatenate(spells, axis=1)
    kept = (starts_s < end_s) & (starts_s + durations_s > start_s)
    return starts_s[kept], durations_s[kept], heights[kept]


def read_processes(path: str) -> dict[str, PriceProcess]:
    """Return the price processes of a parameter file, by name.

    Raises:
        DataError: the file cannot be read, or an entry lacks a value.
    """
    document = read_parameters(path)
    processes: dict[str, PriceProcess] = {}
    for name, entry in (document.get("processes") or {}).items():
        try:
            processes[str(name)] = _process(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: process '{name}': {error!r} is wrong or missing") from None
    if not processes:
        raise DataError(f"{path}: processes: expected at least one, got none")
    return processes


def _process(entry: dict[str, Any]) -> PriceProcess:
    base = BaseProcess(**{key: float(value) for key, value in entry["base"].items()})
    spikes = entry.get("spikes")
    if spikes is None:
        return PriceProcess(base)
    heights = tuple(float(value) for value in spikes["height_quantiles"])
    if len(heights) < 2 or min(heights) <= 0.0 or list(heights) != sorted(heights):
        raise ValueError("height_quantiles")
    return PriceProcess(
        base,
        SpikeProcess(
            Durations.of(spikes["calm"]),
            Durations.of(spikes["duration"]),
            heights,
            float(spikes.get("correlation", 0.0)),
            float(spikes.get("common_share", 0.0)),
        ),
    )
