"""Spot capacity as it was recorded: how many instances each pool gave, over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.markets.protocol import (
    Market,
    MarketSettings,
    earlier_offset_s,
    spot_pools,
)
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError, DataError
from markopt.resources import resolve_data_path

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["trace_id", "start_s", "end_s", "value"]


@final
@dataclass(frozen=True)
class RecordedCapacitySettings(MarketSettings):
    """Recorded capacity is replayed: what it does not cover is refused or interrupted.

    Args:
        path: CSV of recorded capacity, ``trace_id,start_s,end_s,value``.
        traces: which of its traces the pools, by name, take in turn; None: all.
        offset_s: where in the record the simulated span begins.
        scale: instances per recorded one.

    Raises:
        ConfigError: a value is out of range.
    """

    path: str
    traces: Sequence[str] | None = None
    offset_s: float = 0.0
    scale: int = 1

    def __post_init__(self) -> None:
        if not self.offset_s >= 0.0:
            raise ConfigError(f"cloud.market.offset_s: must not be negative, got {self.offset_s}")
        if self.scale < 1:
            raise ConfigError(f"cloud.market.scale: must be at least 1, got {self.scale}")

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers.

        Raises:
            ConfigError: a trace is not in the file, or too short for the span.
            DataError: the file cannot be read.
        """
        traces = read_availability(self.path)
        for name in self.traces or ():
            if name not in traces:
                raise ConfigError(
                    f"cloud.market.traces: {self.path} has no trace '{name}'; it has "
                    f"{len(traces)}, the first is '{next(iter(traces))}'"
                )
        return RecordedCapacityMarket(
            offers,
            [traces[name] for name in self.traces or traces],
            start_s=start_s,
            end_s=end_s,
            offset_s=self.offset_s,
            scale=self.scale,
            seed=seed,
        )

    def earlier(self, by_s: float) -> RecordedCapacitySettings:
        """Return the market of a span that begins so much earlier in the record."""
        return replace(self, offset_s=earlier_offset_s(self.offset_s, by_s))


@dataclass(frozen=True, eq=False)
class AvailabilityTrace:
    """A piecewise constant capacity: ``counts[i]`` instances from ``starts_s[i]`` on.

    ``starts_s`` rises from 0; the last count holds until ``end_s``.
    """

    name: str
    starts_s: NDArray[np.float64]
    counts: NDArray[np.int64]
    end_s: float

    def count(self, time_s: float) -> int:
        """Return how many instances there may be at a time."""
        return int(self.counts[max(int(self.starts_s.searchsorted(time_s, side="right")) - 1, 0)])

    def next_fall_s(self, after_s: float) -> float:
        """Return when the capacity falls next, after a time; infinity for never."""
        falls_s = self.starts_s[1:][np.diff(self.counts) < 0]
        at = int(falls_s.searchsorted(after_s, side="right"))
        return float(falls_s[at]) if at < len(falls_s) else math.inf


def read_availability(path: str | Path) -> dict[str, AvailabilityTrace]:
    """Read run lengths ``trace_id,start_s,end_s,value`` (CSV, also gzipped), by trace.

    Raises:
        DataError: the file cannot be read, has other columns, or the runs of a trace are not whole
            counts on spans that follow each other from 0 on. The text names file, trace and time.
    """
    import pandas as pd

    shown = str(path)
    try:
        table = pd.read_csv(resolve_data_path(path), compression="infer")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{shown}: cannot be read as spot availability: {reason}") from error
    if list(table.columns) != _COLUMNS:
        raise DataError(
            f"{shown}: row 1: expected the header '{','.join(_COLUMNS)}', got "
            f"'{','.join(map(str, table.columns))[:60]}'"
        )
    if table.empty:
        raise DataError(f"{shown}: expected at least one run, got none")
    return {
        str(name): _trace(f"{shown}: trace '{name}'", str(name), runs)
        for name, runs in table.groupby("trace_id", sort=False)
    }


def _trace(where: str, name: str, runs: pd.DataFrame) -> AvailabilityTrace:
    try:
        starts_s, ends_s, values = (runs[column].to_numpy(np.float64) for column in _COLUMNS[1:])
    except ValueError as error:
        raise DataError(f"{where}: expected numbers: {error}") from error
    for start_s, end_s, value in zip(starts_s, ends_s, values, strict=True):
        if not (value >= 0.0 and value == math.floor(value) and math.isfinite(value)):
            raise DataError(f"{where}: value at {start_s:g} s must be a whole count, got {value:g}")
        if not (math.isfinite(end_s) and end_s > start_s):
            raise DataError(f"{where}: the run from {start_s:g} s must end after it, got {end_s:g}")
    expected_s = np.concatenate([[0.0], ends_s[:-1]])
    for start_s, wanted_s in zip(starts_s, expected_s, strict=True):
        if start_s != wanted_s:
            raise DataError(f"{where}: expected a run from {wanted_s:g} s, got {start_s:g} s")
    return AvailabilityTrace(name, starts_s, values.astype(np.int64), float(ends_s[-1]))


@final
class RecordedCapacityMarket(Market):
    """Interrupts and refuses spot instances as recorded capacity demands.

    While a pool's capacity is below what runs in it, as many instances as are too many, drawn at
    random, are given notice; a launch beyond it is refused. Nothing else interrupts: the record is
    the whole truth. Every pool draws from a generator of its own.

    Args:
        offers: what is on sale; their spot pools, in order of their names, take ``traces`` in turn.
        traces: recorded capacity.
        start_s, end_s: the simulated span; the record is read from ``offset_s`` at ``start_s``.
        offset_s: where in the record the simulated span begins.
        scale: instances per recorded one.
        seed: source of randomness.

    Raises:
        ConfigError: there is no trace, or one is too short for the span.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        traces: Sequence[AvailabilityTrace],
        *,
        start_s: float,
        end_s: float,
        offset_s: float,
        scale: int,
        seed: np.random.SeedSequence,
    ) -> None:
        pools = sorted(spot_pools(offers))
        if not traces:
            raise ConfigError("cloud.market.path: needs at least one trace, got none")
        self._trace = {pool: traces[at % len(traces)] for at, pool in enumerate(pools)}
        for pool, trace in self._trace.items():
            if offset_s + end_s - start_s > trace.end_s + 1e-6:
                raise ConfigError(
                    f"cloud.market.offset_s: trace '{trace.name}' of pool '{pool}' ends at "
                    f"{trace.end_s:g} s, but {offset_s + end_s - start_s:g} s are needed "
                    f"(offset_s + the simulated span)"
                )
        self._shift_s = offset_s - start_s
        self._scale = scale
        children = seed.spawn(len(pools))
        self._generator = {
            pool: np.random.default_rng(child) for pool, child in zip(pools, children, strict=True)
        }

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._trace)

    def capacity(self, pool: str, now_s: float) -> int:
        """Return how many spot instances a pool may hold now."""
        return self._scale * self._trace[pool].count(now_s + self._shift_s)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return when the pool's capacity falls next."""
        return self._trace[pool].next_fall_s(after_s + self._shift_s) - self._shift_s

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's instances are taken: so many that the rest fit its capacity."""
        staying = np.flatnonzero(~noticed)
        too_many = max(len(staying) - self.capacity(pool, now_s), 0)
        taken = np.zeros(len(noticed), dtype=np.bool_)
        taken[self._generator[pool].permutation(staying)[:too_many]] = True
        return taken

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return infinity: the record interrupts, nothing else."""
        return math.inf

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the offer's pool gives one more instance than the ``running`` ones."""
        if offer.purchase is not PurchaseOption.SPOT:
            return True
        return running < self.capacity(offer.pool, now_s)
