"""The documentation's code blocks, with what the comments above them say, and the shell's lines.

Comments stand directly above a block:

- ``<!-- not run: REASON -->``: it takes long, or needs what is not shipped;
- ``<!-- run with: KEY=VALUE ... -->``: settings that the test adds to its commands, to be quick;
- ``<!-- file: NAME -->``: the block is also saved under this name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md")
PYTHON, SHELL = ("python",), ("sh", "bash", "console")
MARKS = ("not run", "run with", "file")
BLOCK = re.compile(
    r"(?P<comments>(?:^<!--[^\n]*-->\n)*)^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMENT = re.compile(r"<!--\s*(?P<key>[a-z ]+?):\s*(?P<value>.*?)\s*-->")
ASSIGNMENT = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A code block: where it begins, its language, its text, what the comments above it say."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The page and the line at which the block begins."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command, variables that are set before it left out."""
        text = self.text.replace("\\\n", " ")
        found = []
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and ASSIGNMENT.match(words[0]):
                words = words[1:]
            if words:
                found.append(words)
        return found


def pages() -> list[str]:
    """Return every page of the documentation, by its path from the repository's root."""
    inside = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return [*PAGES, *inside]


def read(page: str) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, text: str | None = None) -> list[Block]:
    """Return a page's code blocks."""
    text = read(page) if text is None else text
    return [
        Block(
            page,
            text.count("\n", 0, match.start("language")) + 1,
            match["language"].strip(),
            match["text"],
            {found["key"]: found["value"] for found in COMMENT.finditer(match["comments"])},
        )
        for match in BLOCK.finditer(text)
    ]


def without_blocks(text: str) -> str:
    """Return a page's text without its code blocks."""
    return BLOCK.sub("", text)


def inline_commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command of ``markopt`` that stands within a page's sentences."""
    for match in re.finditer(r"`(markopt [^`\n]+)`", without_blocks(read(page))):
        yield shlex.split(match[1], comments=True)


def expanded(words: list[str]) -> list[str]:
    """Return the words with patterns of file names replaced, as a shell does it."""
    found: list[str] = []
    for word in words:
        found += sorted(map(str, Path().glob(word))) or [word] if "*" in word else [word]
    return found
