"""A characterisation's folder: rows and findings, written whole and read back for reports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from markopt.errors import DataError
from markopt.evaluation.characterization.findings import Finding, as_document
from markopt.evaluation.characterization.study import Characterization, Row
from markopt.evaluation.characterization.tables import findings_markdown, options_markdown
from markopt.evaluation.folder import csv_text, json_text, replace_text
from markopt.evaluation.provenance import plain

CHARACTERIZATION_SCHEMA = "markopt.characterization/1"
CHARACTERIZATION, FINDINGS, TABLE = "characterization.csv", "findings.json", "table.md"


@dataclass(frozen=True, eq=False)
class CharacterizationFiles:
    """A characterisation as its files tell it; ``document`` is ``findings.json``."""

    folder: Path
    document: dict[str, Any]
    rows: tuple[Row, ...]


def write_characterization(
    result: Characterization,
    findings: Sequence[Finding],
    folder: Path,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a study's files into an existing folder, its report included.

    ``origin`` is what ``findings.json`` says of where it comes from: config and provenance.
    """
    from markopt.evaluation.report import write_characterization_report

    slo, settings = result.service.slo, asdict(result.settings)
    documents = [as_document(finding) for finding in findings]
    document = {
        "schema": CHARACTERIZATION_SCHEMA,
        "service": result.service.name,
        "slo": {"rt_max_s": slo.rt_max_s, "sl_min": slo.sl_min},
        "seed": result.seed,
        "low_rps": result.low_rps,
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
        "findings": documents,
        **plain(origin or {}),
    }
    replace_text(folder / CHARACTERIZATION, csv_text([asdict(row) for row in result.rows]))
    replace_text(folder / FINDINGS, json_text(document))
    text = f"{options_markdown(result.rows)}\n{findings_markdown(documents)}"
    replace_text(folder / TABLE, text)
    write_characterization_report(folder)


def read_characterization(folder: Path) -> CharacterizationFiles:
    """Read a study's folder.

    Raises:
        DataError: a file is missing, damaged or of another schema version.
    """
    path = folder / FINDINGS
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a JSON document, {error}") from None
    if not isinstance(document, dict) or document.get("schema") != CHARACTERIZATION_SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise DataError(
            f"{path}: schema: this version reads '{CHARACTERIZATION_SCHEMA}', got {found!r}"
        )
    return CharacterizationFiles(folder, document, _read_rows(folder / CHARACTERIZATION))


def _read_rows(path: Path) -> tuple[Row, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected CSV, it is no text") from None
    reader = csv.DictReader(io.StringIO(text))
    names = [entry.name for entry in fields(Row)]
    if reader.fieldnames is None or list(reader.fieldnames) != names:
        raise DataError(f"{path}: expected the columns {', '.join(names)}")
    rows = []
    for number, cells in enumerate(reader, start=2):
        try:
            rows.append(_row(cells))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: expected a row, {error}") from None
    if not rows:
        raise DataError(f"{path}: expected at least one row, got none")
    return tuple(rows)


def _row(cells: Mapping[str, str]) -> Row:
    """Return a row of text as values, by the types of ``Row``; an empty cell is None."""
    values: dict[str, Any] = {}
    for entry in fields(Row):
        text, kind = cells[entry.name], str(entry.type)
        if "None" in kind and text == "":
            values[entry.name] = None
        elif kind == "bool":
            values[entry.name] = {"True": True, "False": False}[text]
        elif kind == "int":
            values[entry.name] = int(text)
        elif kind.startswith("float"):
            values[entry.name] = float(text)
        else:
            values[entry.name] = text
    return Row(**values)
