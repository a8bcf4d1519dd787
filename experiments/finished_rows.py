"""Rows of a long study, kept as they come, so that a run that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from omegaconf import DictConfig, OmegaConf

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("markopt/**/*.py", "conf/**/*.yaml", "data/**/*.*")
"""What decides a row beside its configuration: code, options and catalogue."""


def setting_digest(config: DictConfig, *, ignored: tuple[str, ...], measuring: Path) -> str:
    """Return the sha256 of what every row of a case follows from, in hex.

    These are the composed configuration without the top-level keys ``ignored``, the ``SOURCES``,
    and the ``measuring`` script.
    """
    kept = OmegaConf.to_container(
        OmegaConf.masked_copy(config, [str(key) for key in config if key not in ignored]),
        resolve=True,
    )
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode())
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    digest.update(measuring.read_bytes())
    return digest.hexdigest()


@final
class FinishedRows:
    """Rows by key in one file of JSON lines; those of another ``digest`` do not count.

    One process at a time adds to a file. A line that was cut off is no row.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self._digest = digest
        self._rows: dict[str, Row] = {}
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["digest"] == digest:
                self._rows[entry["key"]] = entry["row"]

    def get(self, key: Mapping[str, Any]) -> Row | None:
        """Return the finished row of this key, or None."""
        return self._rows.get(json.dumps(key, sort_keys=True))

    def add(self, key: Mapping[str, Any], row: Row) -> None:
        """Keep a row: it is on disk when this returns."""
        text = json.dumps(key, sort_keys=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # A line break comes first, since the line before may have been cut off.
            file.write("\n" + json.dumps({"digest": self._digest, "key": text, "row": row}))
            file.flush()
            os.fsync(file.fileno())
        self._rows[text] = row
