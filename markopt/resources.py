"""Where the files that ship with markopt lie: in a checkout, or inside an installed wheel."""

from __future__ import annotations

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
