"""Links of the documentation: what they point to is there, the heading too."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, pages, read, without_blocks

OTHERS = ("CHANGELOG.md", "experiments/results/README.md", "tests/data/README.md")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def anchors(text):
    """Return a page's anchors, as GitHub makes them of its headings."""
    found = []
    for heading in HEADING.findall(without_blocks(text)):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        words = re.sub(r"[`*]", "", words).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        same = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", a) is not None for a in found)
        found.append(f"{anchor}-{same}" if same else anchor)
    return found


def faults(page, text):
    """Return what is wrong with a page's links."""
    found = []
    for target in LINK.findall(without_blocks(text)):
        if re.match(r"[a-z]+:", target):
            if not target.startswith(("https://", "mailto:")):
                found.append(f"{target}: not https")
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists():
            found.append(f"{target}: no such file")
        elif not file.resolve().is_relative_to(ROOT):
            found.append(f"{target}: outside the repository")
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            found.append(f"{target}: no such heading")
    return found


@pytest.mark.parametrize("page", [*pages(), *OTHERS])
def test_links_lead_somewhere(page):
    assert faults(page, read(page)) == []


def test_faults_are_found():
    text = "[a](nowhere.md) [b](docs/index.md#nothing) [c](http://x.org) ![d](none.png) [e](#f)"
    assert len(faults("README.md", text)) == 5
    assert faults("docs/index.md", "[a](#use-it) [b](studies.md#surges) [c](../README.md)") == []
    assert anchors("# A, 98 % b\n\n# x\n\n## x\n") == ["a-98--b", "x", "x-1"]


def test_every_picture_of_the_documentation_is_shown_somewhere():
    shown = {Path(t).name for page in pages() for t in LINK.findall(read(page))}
    there = {path.name for path in (ROOT / "docs" / "images").iterdir()}
    assert there <= shown
