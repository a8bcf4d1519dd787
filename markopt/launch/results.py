"""Results that a sweep finds finished: by the fingerprint of configuration, data and code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markopt.evaluation.characterization.results import FINDINGS
from markopt.evaluation.folder import json_text
from markopt.evaluation.provenance import FINGERPRINT, plain
from markopt.evaluation.results import SUMMARY, TIMING
from markopt.evaluation.tabulation import COMPARISON

DOCUMENTS = (COMPARISON, SUMMARY, FINDINGS)
"""The files that carry a result's provenance, the first that a folder has."""

OPTIONS = "options"


@dataclass(frozen=True)
class Finished:
    """The finished results below a folder: by fingerprint and options, where each lies."""

    base: Path
    folders: Mapping[tuple[str, str], str]

    def find(self, fingerprint: str, options: Mapping[str, Any]) -> Path | None:
        """Return the folder of a result, None where there is none."""
        name = self.folders.get((fingerprint, _text(options)))
        return None if name is None else self.base / name


def finished_results(base: Path) -> Finished:
    """Read which results lie in the folders of ``base``; what cannot be read is none."""
    found: dict[tuple[str, str], str] = {}
    folders = sorted(base.iterdir()) if base.is_dir() else []
    for folder in folders:
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        document = next((d for name in DOCUMENTS if (d := _read(folder / name))), {})
        fingerprint = (document.get("provenance") or {}).get(FINGERPRINT)
        if isinstance(fingerprint, str):
            options = _read(folder / TIMING).get(OPTIONS) or {}
            found.setdefault((fingerprint, _text(options)), folder.name)
    return Finished(base, found)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(options: Mapping[str, Any]) -> str:
    return json_text(plain(dict(sorted(options.items()))))
