"""Reads request traces from CSV files, plain or gzipped, and names the first row that is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from markopt.errors import DataError
from markopt.resources import resolve_data_path
from markopt.workload.trace import RequestTrace, Trace

_FORMS = "'second,requests', 'timestamp_s,rate_rps', or a column 'arrival_s'"
_GZIP_MAGIC = b"\x1f\x8b"
_NOT_BLANK = re.compile(rb"\S")


def read_trace(path: str | Path) -> Trace | RequestTrace:
    """Read a trace in one of the three forms of DESIGN section 8.

    Header ``second,requests`` (counts per bin) or ``timestamp_s,rate_rps`` gives a ``Trace``,
    gaps unfilled; a header with a column ``arrival_s`` (one row per request; other columns are
    passed over) gives a ``RequestTrace``. Gzip is recognised by content. ``path`` may also name a
    file that ships with markopt, relative to ``data/``.

    Raises:
        DataError: the file is missing, empty, no gzip although named so, has another header or
            fewer than two rows, or a value is not a number, negative, infinite or out of order.
            The text names file, row (the header is row 1) and value.
    """
    shown = str(path)
    content = _content(resolve_data_path(path), shown)
    header = _header(content, shown)
    stem = _stem(Path(path))
    if header.count("arrival_s") > 1:
        raise DataError(f"{shown}: row 1: expected one column 'arrival_s', got several")
    if "arrival_s" in header:
        times_s, _ = _columns(content, header, ("arrival_s",), shown)
        origin_s = float(np.floor(times_s[0]))
        return RequestTrace(stem, origin_s, times_s - origin_s)
    if header not in (["second", "requests"], ["timestamp_s", "rate_rps"]):
        got = ",".join(header)
        got = got if len(got) <= 60 else got[:57] + "..."
        raise DataError(f"{shown}: row 1: expected the header {_FORMS}, got '{got}'")
    times_s, values = _columns(content, header, (header[0], header[1]), shown)
    return Trace.from_rows(stem, times_s, values, counts=header[1] == "requests")


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".csv"):
        name = name.removesuffix(suffix)
    return name


def _content(path: Path, shown: str) -> bytes:
    if not path.is_file():
        if path.is_dir():
            raise DataError(f"{shown or '.'}: expected a trace, CSV or gzipped CSV, got a folder")
        raise DataError(f"{shown}: no such file; expected a trace, CSV or gzipped CSV")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read: {error.strerror}") from None
    if not raw:
        raise DataError(f"{shown}: the file is empty; expected the header {_FORMS}")
    if raw.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{shown}: damaged gzip file: {error}") from None
    elif path.suffix == ".gz":
        raise DataError(
            f"{shown}: expected gzip content in a file named .gz, got bytes {raw[:4].hex(' ')}"
        )
    else:
        content = raw
    if not content.strip():
        raise DataError(f"{shown}: the file is empty; expected the header {_FORMS}")
    return content


def _header(content: bytes, shown: str) -> list[str]:
    line = content.split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{shown}: row 1: expected the header {_FORMS}, got bytes that are not UTF-8 text"
        ) from None
    try:
        return [name.strip() for name in next(csv.reader([text.rstrip("\r")]), [])]
    except csv.Error as error:
        raise DataError(
            f"{shown}: row 1: expected the header {_FORMS}, got a line that is no CSV: {error}"
        ) from None


def _columns(
    content: bytes, header: list[str], wanted: tuple[str, ...], shown: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from pyarrow import ArrowInvalid, BufferReader, default_memory_pool, float64, py_buffer
    from pyarrow import csv as arrow_csv

    start = content.find(b"\n") + 1
    if not start or _NOT_BLANK.search(content, start) is None:
        raise DataError(f"{shown}: no rows; expected at least two after the header")
    try:
        table = arrow_csv.read_csv(
            BufferReader(py_buffer(content).slice(start)),
            read_options=arrow_csv.ReadOptions(column_names=header, use_threads=False),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(wanted), column_types=dict.fromkeys(wanted, float64())
            ),
        )
    except ArrowInvalid as error:
        _explain(content, header, wanted, shown, str(error).splitlines()[0])
    columns = [_floats(table.column(name)) for name in wanted]
    del table
    default_memory_pool().release_unused()
    times_s, values = columns[0], columns[-1]
    steps = np.diff(times_s)
    ordered = np.all(steps >= 0.0) if len(wanted) == 1 else np.all(steps > 0.0)
    usable = all(np.all(np.isfinite(c)) and np.all(c >= 0.0) for c in columns)
    if not (ordered and usable):
        _explain(content, header, wanted, shown, "a value is not usable")
    if len(times_s) < 2:
        raise DataError(f"{shown}: expected at least two rows after the header, got one")
    return times_s, values


def _floats(column: Any) -> NDArray[np.float64]:
    """Return a copy of an Arrow column of float64; missing values become NaN.

    Arrow's own conversion loads pandas, which takes more memory than most traces.
    """
    parts = [np.empty(0)]
    for chunk in column.chunks:
        validity, values = chunk.buffers()
        part = np.frombuffer(values, np.float64, len(chunk), 8 * chunk.offset)
        if chunk.null_count and validity is not None:
            bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
            part = np.where(bits[chunk.offset : chunk.offset + len(chunk)] == 1, part, np.nan)
        parts.append(part)
    return np.concatenate(parts)


def _explain(
    content: bytes, header: list[str], wanted: tuple[str, ...], shown: str, otherwise: str
) -> NoReturn:
    """Find the first row that is wrong by reading slowly, and raise the error that names it."""
    text = io.StringIO(content.decode("utf-8-sig", errors="replace"), newline="")
    reader = csv.reader(text)
    positions = [header.index(name) for name in wanted]
    last_s, last_text = -math.inf, ""
    for row in _rows(reader, shown):
        where = f"{shown}: row {reader.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: expected {len(header)} values, got {len(row)}")
        numbers = [
            _number(row[position], name, where)
            for position, name in zip(positions, wanted, strict=True)
        ]
        if numbers[0] == last_s and len(wanted) > 1:
            raise DataError(f"{where}: {wanted[0]} must not repeat, got {row[positions[0]]} again")
        if numbers[0] < last_s:
            raise DataError(
                f"{where}: {wanted[0]} must be sorted, got {row[positions[0]]} after {last_text}"
            )
        last_s, last_text = numbers[0], row[positions[0]]
    raise DataError(f"{shown}: cannot be read as CSV: {otherwise}")


def _rows(reader: Any, shown: str) -> Iterator[list[str]]:
    """Yield the rows after the header that are not blank."""
    try:
        next(reader)
        for row in reader:
            if row:
                yield row
    except csv.Error as error:
        raise DataError(f"{shown}: row {reader.line_num}: no CSV: {error}") from None


def _number(text: str, name: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise DataError(f"{where}: {name} must be a number, got '{text.strip()}'") from None
    if not math.isfinite(number):
        raise DataError(f"{where}: {name} must be finite, got '{text.strip()}'")
    if number < 0.0:
        raise DataError(f"{where}: {name} must not be negative, got {text.strip()}")
    return number
