"""Trained weights on disk, by what they were trained on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries

Arrays = dict[str, NDArray[Any]]


def content_key(
    history: RateSeries, settings: Mapping[str, Any], sources: Sequence[str], version: str
) -> str:
    """Return the sha256 of data, settings, source files and library version, in hex."""
    digest = hashlib.sha256()
    plain = {k: list(v) if isinstance(v, Sequence) else v for k, v in settings.items()}
    head = [plain, history.start_s, history.interval_s, len(history), version]
    digest.update(json.dumps(head, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(history.rate_rps).tobytes())
    for source in sources:
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def default_folder() -> Path:
    """Return ``$MARKOPT_CACHE``, else the user's cache folder."""
    named = os.environ.get("MARKOPT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "markopt"


def cached_arrays(folder: str | None, name: str, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays stored under ``name``, or make and store them.

    A file that cannot be read is made anew; a folder that cannot be written to is done without:
    the cache saves time and never decides a result.
    """
    path = (Path(folder) if folder else default_folder()) / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        arrays = make()
    try:
        _write(path, arrays)
    except OSError:
        return arrays
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
