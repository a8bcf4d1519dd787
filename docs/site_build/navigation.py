"""Site hook: the navigation leaves out pages that are not there, and adds those it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

UNLISTED, MORE = ("decisions/", "repository/"), "More"
"""Folders whose pages are reached from others, and the title of what nobody placed."""


def present(entries: list[Any], docs: Path) -> list[Any]:
    """Return the entries whose files are there, empty sections left out."""
    kept: list[Any] = []
    for entry in entries:
        ((title, value),) = entry.items()
        if isinstance(value, list):
            if inside := present(value, docs):
                kept.append({title: inside})
        elif (docs / value).is_file():
            kept.append(entry)
    return kept


def named(entries: list[Any]) -> set[str]:
    """Return the files of a navigation."""
    found: set[str] = set()
    for entry in entries:
        ((_, value),) = entry.items()
        found |= named(value) if isinstance(value, list) else {value}
    return found


def on_config(config: Any) -> Any:
    """Fit the navigation to the pages."""
    docs = Path(config["docs_dir"])
    entries = present(config["nav"], docs)
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    rest = sorted(page for page in pages - named(entries) if not page.startswith(UNLISTED))
    if rest:
        entries.append({MORE: [{Path(page).stem.replace("_", " "): page} for page in rest]})
    config["nav"] = entries
    return config
