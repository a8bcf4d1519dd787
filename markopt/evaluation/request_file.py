"""Every request of an episode as a Parquet file, streamed, so that memory does not grow with it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.errors import ConfigError

REQUESTS = "requests.parquet"
PATHS = ("instances", "lambda", "lambda_cold", "refused", "lost")
"""Names of the codes that the engine gives the ways in which a request can end."""

_ROWS_PER_GROUP = 1 << 20


@final
class RequestFile:
    """Takes requests block by block, in the order of their arrival.

    Columns: ``arrival_s`` (trace time), ``response_s`` (null where there was no answer), ``path``
    (one of ``PATHS``). A context manager: the file is whole when it is left.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        self._pa = pa
        self._schema = pa.schema(
            [
                ("arrival_s", pa.float64()),
                ("response_s", pa.float64()),
                ("path", pa.dictionary(pa.int8(), pa.string())),
            ]
        )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def __call__(
        self,
        arrival_s: NDArray[np.float64],
        response_s: NDArray[np.float64],
        path: NDArray[np.int8],
    ) -> None:
        """Append requests: arrival, response time (NaN: none), path; each of shape (requests,)."""
        pa = self._pa
        answers = pa.array(response_s, from_pandas=True)
        names = pa.DictionaryArray.from_arrays(pa.array(path, pa.int8()), pa.array(PATHS))
        self._waiting.append(pa.table([pa.array(arrival_s), answers, names], schema=self._schema))
        self._rows += len(arrival_s)
        if self._rows >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pa.concat_tables(self._waiting))
            self._waiting.clear()
            self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()
        self._writer.close()


def check_record(value: Any, name: str = "record_requests") -> bool:
    """Return the switch of that name: whether something more is recorded.

    Raises:
        ConfigError: it is neither true nor false.
    """
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{name}: must be true or false, got {value!r}")
    return bool(value)
