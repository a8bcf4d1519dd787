"""The documentation site in a browser, from files and without a network."""

import pytest

from tests.docs.site import built


@pytest.fixture(scope="module")
def site(chromium, tmp_path_factory, worker_id):
    root = tmp_path_factory.getbasetemp()
    return built(root if worker_id == "master" else root.parent)


@pytest.mark.parametrize("page", ["index", "gallery", "tutorial", "api/planning"])
def test_a_page_opens_offline_without_a_complaint_on_a_wide_and_a_narrow_screen(page, screen, site):
    for width in (1280, 390):
        screen.open(site / f"{page}.html", width=width)
        assert screen.requests() == []
        assert screen.messages() == []
        assert screen.ask("return document.documentElement.scrollWidth") <= width
        broken = "return [...document.images].filter((i) => i.complete && !i.naturalWidth).length"
        assert screen.ask(broken) == 0


def test_the_search_finds_a_word(screen, site):
    screen.open(site / "index.html")
    screen.ask("document.querySelector('[data-md-component=search-query]').focus()")
    for letter in "wasserstein":
        screen.press(letter)
    found = "return document.querySelectorAll('.md-search-result__item a').length"
    assert screen.until(found, within_s=30.0) > 0
