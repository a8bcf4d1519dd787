"""Where the files that ship with markopt lie: in a checkout, or inside an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Return the folder ``conf`` or ``data`` as shipped.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for base in (_PACKAGE / "_bundle", _PACKAGE.parent):
        if (base / name).is_dir():
            return base / name
    raise FileNotFoundError(f"markopt's folder '{name}' is missing beside {_PACKAGE}")


def resolve_data_path(path: str | Path) -> Path:
    """Return ``path`` itself where it exists, else the shipped file ``data/<path>``.

    A path that is neither is returned unchanged, so that the caller's error names it.
    """
    given = Path(path)
    if given.exists():
        return given
    shipped = shipped_folder("data") / given
    return shipped if shipped.exists() else given


def cache_folder() -> Path:
    """Return the folder for results that can be computed again (``MARKOPT_CACHE`` sets it)."""
    given = os.environ.get("MARKOPT_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "markopt"
