"""Episode folders: written whole, read back for reports."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from markopt.control import DecisionLog
from markopt.core import LatencyWindows, RequestStatistics
from markopt.errors import DataError
from markopt.evaluation.folder import csv_text, json_text, replace_text
from markopt.evaluation.outcome import (
    SUMMARY_SCHEMA,
    EpisodeResult,
    summarize,
    summarize_timing,
)
from markopt.evaluation.provenance import machine, plain
from markopt.evaluation.regret import REGRET, regret_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUMMARY, TIMING, CONFIG = "summary.json", "timing.json", "config.yaml"
INTERVALS, LATENCY, DECISIONS = "intervals.parquet", "latency.parquet", "decisions.jsonl"
LATENCY_WINDOWS = "latency_windows.parquet"
ATTRIBUTION, ATTRIBUTION_RUNS = "attribution.csv", "attribution_runs.csv"
REPORT = "report.html"
ORIGIN = b"markopt.origin"
"""The key of the tables' metadata under which configuration and provenance stand as JSON."""

DECISIONS_SHOWN = 60
"""So many of the last decisions stand in a report."""

_LEVELS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p98": 0.98, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, eq=False)
class EpisodeFiles:
    """An episode as its files tell it: all that a report needs.

    ``intervals`` has one row per control interval, ``latency`` one per histogram bin that was hit.
    Of the ``decision_count`` decisions ``last_decisions`` holds those that a report shows.
    ``regret`` has one row per decision that was judged, ``attribution`` one per part of the loss,
    where that was asked for.
    """

    folder: Path
    summary: dict[str, Any]
    timing: dict[str, Any]
    intervals: pd.DataFrame
    latency: pd.DataFrame
    last_decisions: tuple[dict[str, Any], ...]
    decision_count: int
    regret: pd.DataFrame | None = None
    attribution: pd.DataFrame | None = None


def write_episode(
    result: EpisodeResult, folder: Path, options: Mapping[str, Any] | None = None
) -> None:
    """Write an episode's files into an existing folder (see ``whole_folder``), report apart.

    ``options`` are what else was asked for, which changes no figure; they go to ``timing.json``.
    """
    origin = {"config": plain(result.config), "provenance": result.provenance}
    replace_text(folder / SUMMARY, json_text({**summarize(result), **origin}))
    timing = {**summarize_timing(result), "machine": machine(), "options": dict(options or {})}
    replace_text(folder / TIMING, json_text(timing))
    replace_text(folder / CONFIG, yaml.safe_dump(result.config, sort_keys=False))
    with DecisionLog(folder / DECISIONS) as log:
        for record in result.intervals:
            log.append(record)
    _write_table(interval_table(result), folder / INTERVALS, result)
    _write_table(_latency_table(result.statistics), folder / LATENCY, result)
    if result.regrets is not None:
        replace_text(folder / REGRET, regret_text(result.regrets))
    if result.attribution is not None:
        from markopt.evaluation.attribution import loss_rows, run_rows

        replace_text(folder / ATTRIBUTION, csv_text(loss_rows(result.attribution)))
        replace_text(folder / ATTRIBUTION_RUNS, csv_text(run_rows(result.attribution)))
    windows = result.statistics.latency_windows
    if windows is not None:
        _write_table(latency_window_table(windows), folder / LATENCY_WINDOWS, result)


def _write_table(table: pa.Table, path: Path, result: EpisodeResult) -> None:
    """Write a table that carries where it comes from in its metadata."""
    from pyarrow import parquet

    origin = {"seed": result.seed, "config": plain(result.config), "provenance": result.provenance}
    text = json.dumps(origin, sort_keys=True, allow_nan=False)
    known = dict(table.schema.metadata or {})
    parquet.write_table(table.replace_schema_metadata({**known, ORIGIN: text.encode()}), path)


def _by_interval(counts: NDArray[np.int64], width: int, intervals: int) -> NDArray[np.int64]:
    padded = np.zeros(width * intervals, dtype=np.int64)
    shared = min(len(counts), len(padded))
    padded[:shared] = counts[:shared]
    if intervals and len(counts) > len(padded):
        padded[-1] += counts[len(padded) :].sum()
    summed: NDArray[np.int64] = padded.reshape(intervals, width).sum(axis=1)
    return summed


def interval_table(result: EpisodeResult) -> pa.Table:
    """Return one row per control interval.

    Request counts are by arrival time (``late`` and ``refused`` are what became of the requests
    that arrived in the interval); fleets are right after the decision; ``bill_usd`` is cumulative.
    """
    import pyarrow as pa

    rows, statistics = result.intervals, result.statistics
    width = max(round(result.interval_s / statistics.bin_s), 1)
    columns: dict[str, Any] = {
        "start_s": [r.start_s for r in rows],
        "end_s": [r.end_s for r in rows],
    }
    for name in ("arrivals", "spilled", "late", "refused"):
        columns[name] = _by_interval(getattr(statistics, name), width, len(rows))
    for name in (
        "forecast_mean_rps",
        "forecast_p05_rps",
        "forecast_p50_rps",
        "forecast_p95_rps",
        "pinball",
        "warm_functions",
        "bill_usd",
        "monitor_launches",
    ):
        columns[name] = [getattr(r, name) for r in rows]
    columns["rung"] = [r.plan.rung for r in rows]
    columns["objective_usd"] = pa.array([r.plan.objective_usd for r in rows], pa.float64())
    columns["bound_usd"] = pa.array([r.plan.bound_usd for r in rows], pa.float64())
    columns["gap"] = pa.array([r.plan.gap for r in rows], pa.float64())
    for kind in ("ready", "billed"):
        offers = sorted({name for r in rows for name in getattr(r, kind)})
        for offer in offers:
            columns[f"{kind}:{offer}"] = [getattr(r, kind).get(offer, 0) for r in rows]
    return pa.table(columns)


def _latency_table(statistics: RequestStatistics) -> pa.Table:
    import pyarrow as pa

    edges = np.asarray(statistics.latency_edges_s)
    counts = {path: np.asarray(c) for path, c in sorted(statistics.latency_counts.items())}
    hit = np.zeros(len(edges) - 1, dtype=bool)
    for values in counts.values():
        hit |= values > 0
    columns: dict[str, Any] = {"low_s": edges[:-1][hit], "high_s": edges[1:][hit]}
    columns.update({path: values[hit] for path, values in counts.items()})
    return pa.table(columns)


def latency_window_table(windows: LatencyWindows) -> pa.Table:
    """Return one row per window and path: answered requests, and their response-time quantiles.

    The path ``all`` has the others together. A path without answers in a window has null quantiles.
    """
    import pyarrow as pa

    tables = []
    for name in ("all", *windows.counts):
        paths = None if name == "all" else (name,)
        quantiles = windows.quantiles_s(list(_LEVELS.values()), paths)
        columns: dict[str, Any] = {
            "start_s": windows.starts_s,
            "path": [name] * len(quantiles),
            "answered": windows.answered(paths),
        }
        for at, label in enumerate(_LEVELS):
            columns[f"{label}_s"] = pa.array(quantiles[:, at], from_pandas=True)
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a JSON document, {_first_line(error)}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def read_summary(folder: Path) -> dict[str, Any]:
    """Return an episode's summary.

    Raises:
        DataError: it is missing, is no JSON object, or has another schema version.
    """
    path = folder / SUMMARY
    summary = _read_json(path)
    if summary.get("schema") != SUMMARY_SCHEMA:
        raise DataError(
            f"{path}: schema: this version reads '{SUMMARY_SCHEMA}', got {summary.get('schema')!r}"
        )
    return summary


def read_episode(folder: Path) -> EpisodeFiles:
    """Read an episode's folder.

    Raises:
        DataError: a file is missing or cannot be read; the text names it.
    """
    summary = read_summary(folder)
    timing = _read_json(folder / TIMING)
    return EpisodeFiles(
        folder,
        summary,
        timing,
        _read_table(folder / INTERVALS),
        _read_table(folder / LATENCY),
        *_read_decisions(folder / DECISIONS),
        _read_csv(folder / REGRET),
        _read_csv(folder / ATTRIBUTION),
    )


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a Parquet table, {_first_line(error)}") from None


def _read_csv(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    try:
        return pd.read_csv(path) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a CSV table, {_first_line(error)}") from None


def _read_decisions(path: Path) -> tuple[tuple[dict[str, Any], ...], int]:
    """Return the last decisions, and how many there are; every line is checked."""
    last: deque[dict[str, Any]] = deque(maxlen=DECISIONS_SHOWN)
    count = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for count, line in enumerate(lines, start=1):  # noqa: B007 - the count is the answer
                last.append(json.loads(line))
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {count}: expected a JSON object, {_first_line(error)}"
        ) from None
    return tuple(last), count
