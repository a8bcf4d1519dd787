"""Site hook: files of the repository that a page links to outside ``docs`` come into the site too.

So that one relative link is right on a code host and in the site: ``../benchmarks/results/x.md``
becomes the page ``repository/benchmarks/results/x.md``. A link to a folder keeps its words only.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
ADDRESS = re.compile(r"[a-z]+:")
FOLDER = "repository"


def outside(page: str, target: str) -> str | None:
    """Return what a page of ``docs`` links to beyond that folder, from the repository's root."""
    if ADDRESS.match(target):
        return None
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def linked(root: Path, pages: dict[str, str]) -> list[str]:
    """Return the files beyond ``docs`` that the pages link to, and those that these link to."""
    found: dict[str, None] = {}
    waiting = list(pages.items())
    while waiting:
        name, text = waiting.pop()
        for match in LINK.finditer(text):
            path = outside(name, match["target"])
            if path is None or path in found or not (root / path).is_file():
                continue
            found[path] = None
            if path.endswith(".md"):
                waiting.append((f"../{path}", (root / path).read_text(encoding="utf-8")))
    return sorted(found)


def on_files(files: Any, config: Any) -> Any:
    """Add what pages link to beyond ``docs``."""
    root = Path(config["docs_dir"]).parent
    pages = {file.src_uri: file.content_string for file in files if file.src_uri.endswith(".md")}
    for path in linked(root, pages):
        files.append(File.generated(config, f"{FOLDER}/{path}", abs_src_path=str(root / path)))
    return files


def moved(text: str, page: str, there: set[str]) -> str:
    """Return a page's Markdown with its links to where the site has the files."""
    # A file that was brought in lies one folder deeper than in the repository, beside docs.
    inside = page.removeprefix(f"{FOLDER}/")
    origin = f"../{inside}" if inside != page else page

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if ADDRESS.match(target):
            return match[0]
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(origin), target))
        new = path.removeprefix("docs/") if path.startswith("docs/") else f"{FOLDER}/{path}"
        if new not in there:
            return match["words"] if path != target and new.startswith(FOLDER) else match[0]
        relative = os.path.relpath(new, posixpath.dirname(page) or ".")
        return f"[{match['words']}]({relative}{match['anchor'] or ''})"

    return LINK.sub(link, text)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links to where the site has the files."""
    del config
    return moved(markdown, page.file.src_uri, {file.src_uri for file in files})
