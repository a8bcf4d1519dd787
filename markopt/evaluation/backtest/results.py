"""A backtest's folder: scores by step and in all, written whole and read back for reports."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markopt.errors import DataError
from markopt.evaluation.backtest.study import Backtest
from markopt.evaluation.backtest.summary import (
    BACKTEST_SCHEMA,
    document,
    step_rows,
    stretch_rows,
    timing,
)
from markopt.evaluation.backtest.tables import markdown
from markopt.evaluation.folder import csv_text, json_text, replace_text
from markopt.evaluation.provenance import plain

BY_STEP, STRETCH = "backtest.csv", "stretch.csv"
SUMMARY, TIMING, TABLE, CONFIG = "summary.json", "timing.json", "table.md", "config.yaml"


@dataclass(frozen=True, eq=False)
class BacktestFiles:
    """A backtest as its files tell it; numbers of ``steps`` and ``stretch`` are floats or None."""

    folder: Path
    document: dict[str, Any]
    timing: dict[str, Any]
    steps: tuple[dict[str, Any], ...]
    stretch: tuple[dict[str, Any], ...]


def write_backtest(
    result: Backtest,
    config: Mapping[str, Any],
    folder: Path,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a backtest's files into an existing folder, its report included.

    ``origin`` is the configuration's provenance, for ``summary.json``.
    """
    import yaml

    from markopt.evaluation.report import write_backtest_report

    summary = document(result)
    clocks = {name: timing(clock) for name, clock in result.clocks.items()}
    replace_text(folder / BY_STEP, csv_text(step_rows(result)))
    replace_text(folder / STRETCH, csv_text(stretch_rows(result)))
    known = {"config": plain(dict(config)), "provenance": dict(origin or {})}
    replace_text(folder / SUMMARY, json_text({**summary, **known}))
    replace_text(folder / TIMING, json_text(clocks))
    replace_text(folder / TABLE, markdown(summary))
    replace_text(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
    write_backtest_report(folder)


def read_backtest(folder: Path) -> BacktestFiles:
    """Read a backtest's folder.

    Raises:
        DataError: a file is missing, damaged or of another schema version.
    """
    summary = _json(folder / SUMMARY)
    if summary.get("schema") != BACKTEST_SCHEMA:
        raise DataError(
            f"{folder / SUMMARY}: schema: this version reads '{BACKTEST_SCHEMA}', got "
            f"{summary.get('schema')!r}"
        )
    steps, stretch = _rows(folder / BY_STEP), _rows(folder / STRETCH)
    if not steps:
        raise DataError(f"{folder / BY_STEP}: expected at least one row, got none")
    return BacktestFiles(folder, summary, _json(folder / TIMING), steps, stretch)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected text") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: expected a JSON document, {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected keys and values, got {type(found).__name__}")
    return found


def _rows(path: Path) -> tuple[dict[str, Any], ...]:
    rows: list[dict[str, Any]] = []
    for number, cells in enumerate(csv.DictReader(_text(path).splitlines()), start=2):
        try:
            rows.append(
                {
                    key: value if key == "forecaster" else (float(value) if value else None)
                    for key, value in cells.items()
                }
            )
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: expected a row, {error}") from None
    return tuple(rows)
