"""Many episodes in one table: a row per job, with what varies, its figures and its origin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markopt.errors import DataError
from markopt.evaluation.outcome import SUMMARY_SCHEMA
from markopt.evaluation.results import SUMMARY, TIMING

if TYPE_CHECKING:
    import pyarrow as pa

COLLECTION_SCHEMA = "markopt.collection/1"
COLLECTED = "collected.parquet"
SCHEMA_KEY = b"markopt.schema"

TEXTS = {
    "policy": "policy",
    "service": "service",
    "trace": "trace",
}
COUNTS = {
    "seed": "seed",
    "requests": "requests.total",
    "requests_instances": "requests.instances",
    "requests_lambda": "requests.lambda",
    "requests_refused": "requests.refused",
    "requests_throttled": "requests.throttled",
    "requests_lost": "requests.lost",
    "launches": "launches",
    "interruptions": "interruptions",
    "monitor_launches": "monitor_launches",
    "decisions": "planner.decisions",
}
NUMBERS = {
    "start_s": "span_s.start",
    "end_s": "span_s.end",
    "interval_s": "span_s.interval",
    "rt_max_s": "slo.rt_max_s",
    "sl_min": "slo.sl_min",
    "attainment": "slo.attainment",
    "worst_window_attainment": "slo.worst_window_attainment",
    "cost_usd": "cost_usd.total",
    "cost_on_demand_usd": "cost_usd.on_demand",
    "cost_spot_usd": "cost_usd.spot",
    "cost_burstable_usd": "cost_usd.burstable",
    "cost_lambda_usd": "cost_usd.lambda",
    "cost_warm_usd": "cost_usd.warm",
    "clairvoyant_bound_usd": "clairvoyant_bound_usd",
    "cost_over_bound": "cost_over_bound",
    "lambda_share": "lambda_share",
    "latency_mean_s": "latency_s.mean",
    "latency_p50_s": "latency_s.p50",
    "latency_p90_s": "latency_s.p90",
    "latency_p95_s": "latency_s.p95",
    "latency_p98_s": "latency_s.p98",
    "latency_p99_s": "latency_s.p99",
    "latency_p999_s": "latency_s.p999",
    "latency_max_s": "latency_s.max",
    "gap_max": "planner.gap_max",
    "gap_mean": "planner.gap_mean",
    "pinball": "forecast.pinball",
    "coverage_90": "forecast.coverage_90",
    "mean_error_rps": "forecast.mean_error_rps",
}
FLAGS = {"met": "slo.met"}
"""The summary's figures by column; a figure that a summary lacks is null."""

ORIGINS = {
    "version": "provenance.version",
    "fingerprint": "provenance.fingerprint",
    "config_sha256": "provenance.config_sha256",
    "data_sha256": "provenance.data_sha256",
    "code_sha256": "provenance.code_sha256",
}
MACHINE_TEXTS = {
    "processor": "machine.processor",
    "system": "machine.system",
    "python": "machine.python",
}
MACHINE_NUMBERS = {
    "cores": "machine.cores",
    "memory_gb": "machine.memory_gb",
    "episode_wall_s": "wall_s.episode",
    "plan_mean_s": "plan_s.mean",
}
"""What ``timing.json`` tells."""


@dataclass(frozen=True, eq=False)
class Collection:
    """The table, and a line for each summary that could not be read."""

    table: pa.Table
    warnings: tuple[str, ...]


def collect(base: Path) -> Collection:
    """Read every episode's ``summary.json`` below ``base`` into one table, in order of folders.

    The first columns are the same for whatever is collected: ``folder``, the figures, hashes and
    machine, and ``config`` with the whole configuration as JSON. After them comes a column for
    every setting that differs between the jobs, named by its key (``planner.headroom``).

    Raises:
        DataError: there is no such folder, or no episode in it.
    """
    if not base.is_dir():
        raise DataError(f"{base}: expected a folder of results, there is none")
    rows: list[dict[str, Any]] = []
    configs: list[dict[str, Any]] = []
    warnings: list[str] = []
    for path in sorted(_summaries(base)):
        try:
            summary, timing = _read(path), _read(path.parent / TIMING, missing={})
        except DataError as error:
            warnings.append(str(error))
            continue
        if not str(summary.get("schema", "")).startswith("markopt.summary/"):
            continue  # a backtest's
        if summary["schema"] != SUMMARY_SCHEMA:
            warnings.append(f"{path}: schema: this version reads '{SUMMARY_SCHEMA}', left out")
            continue
        configs.append(_flat(summary.get("config") or {}))
        rows.append(_row(path.parent.relative_to(base).as_posix(), summary, timing))
    if not rows:
        reason = f"; {warnings[0]}" if warnings else ""
        raise DataError(f"{base}: expected {SUMMARY} of episodes below it, found none{reason}")
    return Collection(_table(rows, configs), tuple(warnings))


def write_collection(collection: Collection, path: Path) -> None:
    """Write the table under a temporary name, then rename it.

    Raises:
        DataError: the folder does not exist or cannot be written.
    """
    from pyarrow import parquet

    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        parquet.write_table(collection.table, temporary)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written, {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _summaries(base: Path) -> Iterator[Path]:
    """Yield the summaries below ``base``, none in hidden folders: those are not finished."""
    for folder, inner, files in os.walk(base):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if SUMMARY in files:
            yield Path(folder) / SUMMARY


def _read(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is None:
            raise DataError(f"{path}: a result file is missing here") from None
        return missing
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read, {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(document).__name__}")
    return document


def _row(folder: str, summary: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
    figures = {**TEXTS, **COUNTS, **NUMBERS, **FLAGS, **ORIGINS}
    told = {**MACHINE_TEXTS, **MACHINE_NUMBERS}
    return {
        "folder": folder,
        **{column: _at(summary, path) for column, path in figures.items()},
        **{column: _at(timing, path) for column, path in told.items()},
        "config": json.dumps(summary.get("config") or {}, sort_keys=True, ensure_ascii=False),
    }


def _at(document: Mapping[str, Any], path: str) -> Any:
    node: Any = document
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return a configuration's values by dotted key; a list is one value."""
    if isinstance(node, Mapping):
        pairs = [_flat(inner, f"{prefix}{key}.") for key, inner in node.items()]
        return {key: value for pair in pairs for key, value in pair.items()}
    return {prefix.removesuffix("."): node}


def _table(rows: Sequence[dict[str, Any]], configs: Sequence[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    kinds = {
        pa.string(): ["folder", *TEXTS, *ORIGINS, *MACHINE_TEXTS, "config"],
        pa.int64(): [*COUNTS],
        pa.float64(): [*NUMBERS, *MACHINE_NUMBERS],
        pa.bool_(): [*FLAGS],
    }
    kind_of = {column: kind for kind, columns in kinds.items() for column in columns}
    columns = {key: pa.array([row[key] for row in rows], kind_of[key]) for key in rows[0]}
    for key in _varying(configs):
        # A key such as 'seed' is a figure's column already.
        columns.setdefault(key, _array([config.get(key) for config in configs]))
    table = pa.table(columns)
    return table.replace_schema_metadata({SCHEMA_KEY: COLLECTION_SCHEMA.encode()})


def _varying(configs: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for config in configs for key in config)
    absent = object()
    found = []
    for key in keys:
        values = [config.get(key, absent) for config in configs]
        if any(value != values[0] or type(value) is not type(values[0]) for value in values):
            found.append(key)
    return sorted(found)


def _array(values: Sequence[Any]) -> pa.Array:
    """Return a column of one type: truth values, numbers, or text where they are mixed."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_())
    if kinds <= {int}:
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
