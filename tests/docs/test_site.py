"""The documentation site: complete, strict, and readable without a network."""

import importlib
import re
import runpy
from html.parser import HTMLParser

import pytest

from tests.docs.blocks import ROOT

PACKAGES = {
    "core": "core",
    "workload": "workload",
    "catalog": "capacity",
    "capacity": "capacity",
    "engine": "engine",
    "forecasting": "forecasting",
    "planning": "planning",
    "cloud.simulated": "cloud",
    "control": "control",
    "evaluation": "evaluation",
}


class Resources(HTMLParser):
    """Collects what a page loads by itself, and what its links lead to."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        if tag in ("script", "img", "iframe", "source") and attributes.get("src"):
            self.loaded.append(attributes["src"])
        if tag == "link" and attributes.get("rel") in ("stylesheet", "preconnect", "preload"):
            self.loaded.append(attributes["href"])
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])


def pages_of(site):
    return {path: Resources(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_no_page_loads_anything_from_elsewhere(site):
    pages = pages_of(site)
    assert len(pages) > 30
    for path, page in pages.items():
        for address in page.loaded:
            assert not re.match(r"(https?:)?//", address), (path.name, address)
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), path.name


def test_links_within_the_site_lead_somewhere(site):
    pages = {path: page for path, page in pages_of(site).items() if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            if file.is_dir():
                file = file / "index.html"
            assert file.is_file(), (path.name, link)
            if anchor and file in pages:
                assert anchor in pages[file].ids, (path.name, link)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_name_that_a_package_exports(package, site):
    module = importlib.import_module(f"markopt.{package}")
    page = Resources((site / "api" / f"{PACKAGES[package]}.html").read_text(encoding="utf-8"))
    documented = {str(identity).rsplit(".", 1)[-1] for identity in page.ids}
    assert set(module.__all__) <= documented


def test_every_page_is_in_the_navigation_and_no_other():
    hook = runpy.run_path(str(ROOT / "docs" / "site_build" / "navigation.py"))
    docs = ROOT / "docs"
    nav = [{"A": "index.md"}, {"B": [{"C": "not_there.md"}]}, {"D": [{"E": "studies.md"}]}]
    config = hook["on_config"]({"docs_dir": str(docs), "nav": nav})
    assert config["nav"][:2] == [{"A": "index.md"}, {"D": [{"E": "studies.md"}]}]
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    named = hook["named"](config["nav"])
    assert named <= pages
    assert {page for page in pages - named if not page.startswith("decisions/")} == set()


def test_links_beyond_the_documentation_lead_into_the_site():
    hook = runpy.run_path(str(ROOT / "docs" / "site_build" / "links.py"))
    there = {"repository/benchmarks/results/planner.md", "a.md", "b.md"}
    text = (
        "[x](../benchmarks/results/planner.md#y) [f](../experiments) [z](b.md) [w](https://w.org)"
    )
    assert hook["moved"](text, "a.md", there) == (
        "[x](repository/benchmarks/results/planner.md#y) f [z](b.md) [w](https://w.org)"
    )
    inside = hook["moved"]("[p](../../docs/a.md)", "repository/experiments/results/R.md", there)
    assert inside == "[p](../../../a.md)"
