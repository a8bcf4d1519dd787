"""What became of each job of a sweep: one small file per job, which any process may write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from markopt.evaluation.folder import json_text, replace_text

State = Literal["begun", "finished", "skipped", "failed"]


@dataclass(frozen=True)
class Entry:
    """One job: ``name`` is its folder's, ``text`` its figures or its error, in one line.

    ``wall_s`` is how long it took in seconds, ``objective`` what it gives a sweeper (empty: none).
    ``trace`` is a traceback where the job met a fault of markopt's, ``pid`` the process at work.
    """

    state: State
    name: str
    overrides: tuple[str, ...]
    text: str = ""
    folder: str = ""
    exit_code: int = 0
    wall_s: float = 0.0
    objective: tuple[float, ...] = ()
    trace: str = ""
    pid: int = 0


class Ledger:
    """The files of one sweep in a folder that all its processes see.

    A job is known by its overrides. One that has begun and not ended while nothing runs any more
    took its process down with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, entry: Entry) -> None:
        """Replace the job's file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._path(entry.overrides), json_text(asdict(entry)))

    def ended(self, overrides: Sequence[str]) -> Entry | None:
        """Return the job's entry, None where it has not ended."""
        path = self._path(overrides)
        entry = _read(path) if path.exists() else None
        return None if entry is None or entry.state == "begun" else entry

    def entries(self) -> list[Entry]:
        """Return the entries of all jobs that have begun, those that ended first in front."""
        return list(self.besides(()).values())

    def besides(self, known: Container[Path]) -> dict[Path, Entry]:
        """Return the entries of all jobs that have begun, by file, but for files that are known."""
        paths = [path for path in self._paths() if path not in known]
        found = sorted((path.stat().st_mtime_ns, path.name, path) for path in paths)
        return {path: _read(path) for *_, path in found}

    def lost(self) -> list[Entry]:
        """Return the jobs that have begun and not ended."""
        return [entry for entry in self.entries() if entry.state == "begun"]

    def _paths(self) -> Iterator[Path]:
        return self.folder.glob("job-*.json")

    def _path(self, overrides: Sequence[str]) -> Path:
        digest = hashlib.sha256("\n".join(overrides).encode()).hexdigest()[:24]
        return self.folder / f"job-{digest}.json"


def _read(path: Path) -> Entry:
    document = json.loads(path.read_text(encoding="utf-8"))
    for key in ("overrides", "objective"):
        document[key] = tuple(document[key])
    return Entry(**document)
