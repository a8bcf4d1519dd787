"""Result folders that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markopt.errors import ConfigError


def require_free(target: Path) -> None:
    """Refuse a target that would overwrite something, before any work is done for it.

    Raises:
        ConfigError: it exists and is not an empty folder, or its parent is a file.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"output={target}: must not exist yet (or be an empty folder)")
    for parent in target.absolute().parents:
        if parent.exists():
            if not parent.is_dir():
                raise ConfigError(f"output={target}: '{parent}' must be a folder, it is a file")
            if not os.access(parent, os.W_OK):
                raise ConfigError(f"output={target}: folder '{parent}' must be writable, it is not")
            return


@dataclass
class NewFolder:
    """A folder being filled at ``path``; ``final`` is its name once it is whole."""

    path: Path
    final: Path


@contextmanager
def whole_folder(target: Path, *, numbered: bool = False) -> Iterator[NewFolder]:
    """Yield a temporary folder beside ``target`` that takes its name once the block has ended well.

    ``numbered`` appends -2, -3, … where the name is taken. After an error nothing is left behind.

    Raises:
        ConfigError: the target exists, and is not to be numbered.
    """
    if not numbered:
        require_free(target)
    temporary = target.parent / f".{target.name}.partial-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    made = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise ConfigError(f"output={target}: cannot be made: {error.strerror}") from None
    folder = NewFolder(temporary, target)
    try:
        yield folder
        folder.final = _rename(temporary, target, numbered=numbered)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # in use: by this result or another one
                parent.rmdir()


def _rename(temporary: Path, target: Path, *, numbered: bool) -> Path:
    number = 1
    while True:
        name = target if number == 1 else target.with_name(f"{target.name}-{number}")
        try:
            # On POSIX this replaces an empty folder and fails on anything else, without a race.
            temporary.rename(name)
        except OSError:
            if not numbered or not name.exists():
                raise
            number += 1
        else:
            return name


def json_text(document: Any) -> str:
    """Return a document as stable, readable JSON; NaN is refused."""
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of the same keys as CSV; None is an empty field."""
    keys = list(dict.fromkeys(key for entry in rows for key in entry))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def replace_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
