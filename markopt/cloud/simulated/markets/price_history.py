"""Recorded spot prices: one table of changes, one price path for each instance type and zone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.errors import DataError
from markopt.resources import resolve_data_path

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ["instance_type", "availability_zone", "timestamp_utc", "usd_per_hour"]
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_CHUNK_ROWS = 100_000


@final
@dataclass(frozen=True, eq=False)
class PriceHistory:
    """Recorded prices by (instance type, zone), in seconds from the record's first row.

    ``zones`` names the zones of every instance type of the record, of those not read too.
    """

    paths: Mapping[tuple[str, str], PricePath]
    zones: Mapping[str, tuple[str, ...]]
    first_utc: str
    end_s: float


def read_prices(path: str | Path, instance_types: Collection[str]) -> PriceHistory:
    """Read the price changes of some instance types (CSV, also gzipped).

    A price holds until the next one of its type and zone.

    Columns: ``instance_type,availability_zone,timestamp_utc,usd_per_hour``, times as
    ``2015-03-11T16:54:38Z``, rising within a type and zone. The file is read in pieces.

    Raises:
        DataError: the file cannot be read, has other columns, or a row is wrong; the text names
            file and row (the header is row 1).
    """
    found = resolve_data_path(path)
    try:
        stamp = found.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{path}: cannot be read as spot prices: {error.strerror}") from None
    return _read(str(path), found, stamp, frozenset(instance_types))


@lru_cache(maxsize=8)
def _read(shown: str, found: Path, stamp: int, instance_types: frozenset[str]) -> PriceHistory:
    """Read a file once, as long as it does not change (``stamp``)."""
    import pandas as pd

    parts: list[pd.DataFrame] = []
    zones: dict[str, set[str]] = {}
    first = last = None
    for table in _pieces(shown, found):
        if table.empty:
            continue
        moments = pd.to_datetime(table["timestamp_utc"], format=_TIME_FORMAT, errors="coerce")
        _check(
            shown,
            moments.notna(),
            table["timestamp_utc"],
            "expected a time such as 2015-03-11T16:54:38Z",
        )
        for kind, zone in table[_COLUMNS[:2]].drop_duplicates().itertuples(index=False):
            zones.setdefault(str(kind), set()).add(str(zone))
        first = moments.min() if first is None else min(first, moments.min())
        last = moments.max() if last is None else max(last, moments.max())
        chosen = table["instance_type"].isin(instance_types)
        part = table[chosen].assign(moment=moments[chosen])
        prices = pd.to_numeric(part["usd_per_hour"], errors="coerce")
        good = np.isfinite(prices) & (prices > 0.0)
        _check(shown, good, part["usd_per_hour"], "usd_per_hour must be a positive number")
        parts.append(part.assign(usd_per_hour=prices))
    if first is None or last is None:
        raise DataError(f"{shown}: expected at least one price, got none")
    end_s = float((last - first).total_seconds())
    whole = pd.concat(parts)
    paths = {
        (str(kind), str(zone)): _path(shown, rows, first, end_s)
        for (kind, zone), rows in whole.groupby(_COLUMNS[:2], sort=True)
    }
    return PriceHistory(
        paths,
        {kind: tuple(sorted(names)) for kind, names in sorted(zones.items())},
        first.strftime(_TIME_FORMAT),
        end_s,
    )


def _pieces(shown: str, found: Path) -> Iterator[pd.DataFrame]:
    """Yield a file's rows as text, piece by piece."""
    import pandas as pd

    try:
        with pd.read_csv(found, chunksize=_CHUNK_ROWS, dtype=str, keep_default_na=False) as reader:
            for table in reader:
                if list(table.columns) != _COLUMNS:
                    raise DataError(
                        f"{shown}: row 1: expected the header '{','.join(_COLUMNS)}', got "
                        f"'{','.join(map(str, table.columns))[:60]}'"
                    )
                yield table
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{shown}: cannot be read as spot prices: {reason}") from error


def _check(shown: str, good: pd.Series, values: pd.Series, expected: str) -> None:
    bad = np.flatnonzero(~good.to_numpy())
    if len(bad):
        row = int(good.index[bad[0]]) + 2
        raise DataError(f"{shown}: row {row}: {expected}, got '{values.iloc[int(bad[0])]}'")


def _path(shown: str, rows: pd.DataFrame, first: pd.Timestamp, end_s: float) -> PricePath:
    import pandas as pd

    times_s = (rows["moment"] - first).dt.total_seconds()
    rising = pd.Series(np.append(True, np.diff(times_s.to_numpy()) > 0.0), index=rows.index)
    _check(shown, rising, rows["timestamp_utc"], "times of a type and zone must rise")
    usd_per_s = np.asarray(rows["usd_per_hour"], dtype=np.float64) / 3600.0
    return PricePath(np.asarray(times_s, dtype=np.float64), usd_per_s, end_s)
