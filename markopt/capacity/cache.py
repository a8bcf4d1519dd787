"""Results of slow calibrations, kept on disk under a digest of all that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markopt.resources import cache_folder


def cached(kind: str, inputs: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """Return ``compute()`` as JSON data, from disk where the same inputs were computed before.

    A file that is unreadable, damaged or not of these inputs counts as absent. A folder that cannot
    be written to costs speed only.
    """
    text = json.dumps(inputs, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = cache_folder() / kind / f"{digest}.json"
    try:
        stored = json.loads(path.read_text())
        if stored["inputs"] == text:
            return stored["value"]
    except (OSError, ValueError, TypeError, KeyError):
        pass
    value = compute()
    _store(path, {"inputs": text, "value": value})
    return value


def _store(path: Path, value: Any) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump(value, file)
        Path(temporary).replace(path)
    except OSError:
        return
