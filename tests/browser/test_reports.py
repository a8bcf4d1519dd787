"""Reports as readers see them in a browser: drawn, offline, by keyboard, narrow and dark."""

import itertools
import json

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import COMMANDS
from tests.browser.screen import CHARTS, CONTRAST, LABELS

PAGES = tuple(COMMANDS)
WIDTHS = (1280, 390, 320)
AA = 4.5
"""The contrast of text that WCAG 2 asks for at level AA."""

every_page = pytest.mark.parametrize("name", PAGES)


@every_page
def test_a_page_opens_without_a_network_and_without_a_complaint(name, screen, pages):
    screen.open(pages[name])
    assert screen.requests() == []
    assert screen.messages() == []
    assert screen.ask("return document.title").endswith("– markopt")  # noqa: RUF001


def test_a_complaint_and_a_request_would_be_noticed(screen, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src='https://example.org/a.png'><script>undefined_name()</script>")
    screen.open(page)
    assert screen.requests() == ["https://example.org/a.png"]
    assert any("undefined_name" in message for message in screen.messages())


@every_page
@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_has_drawn_all_its_traces(name, width, screen, pages):
    screen.open(pages[name], width=width)
    charts = screen.ask(CHARTS)
    assert len(charts) >= 4
    for chart in charts:
        assert chart["asked"] == chart["known"] > 0, chart
        assert chart["drawn"] == chart["asked"], chart
        assert chart["marks"] > 0, chart
        assert chart["width"] == pytest.approx(chart["room"], abs=1), chart


@every_page
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_at_the_side(name, width, screen, pages):
    screen.open(pages[name], width=width)
    assert screen.ask("return document.documentElement.scrollWidth") <= width
    assert screen.ask(
        "return [...document.querySelectorAll('main .card')].every("
        "(card) => card.getBoundingClientRect().right <= innerWidth)"
    )


def overlap(one, other, slack=1.0):
    """Return whether two boxes cover each other by more than a pixel both ways."""
    return (
        min(one["right"], other["right"]) - max(one["left"], other["left"]) > slack
        and min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) > slack
    )


@every_page
@pytest.mark.parametrize("width", [1280, 390])
def test_labels_neither_touch_nor_are_cut_off(name, width, screen, pages):
    screen.open(pages[name], width=width)
    for figure in screen.ask(LABELS):
        for labels in figure["axes"]:
            for one, other in itertools.combinations(labels, 2):
                assert not overlap(one, other), (figure["id"], one, other)
        for word in figure["words"]:
            assert word["left"] >= figure["box"]["left"] - 1, (figure["id"], word)
            assert word["right"] <= figure["box"]["right"] + 1, (figure["id"], word)


def test_a_page_follows_the_window(screen, pages):
    screen.open(pages["characterization"])
    before = {chart["id"]: chart["width"] for chart in screen.ask(CHARTS)}
    screen.resize(390)
    fits = (
        "return [...document.querySelectorAll('.figure')].every("
        "(plot) => Math.abs(plot._fullLayout.width - plot.clientWidth) <= 1)"
        " && document.documentElement.scrollWidth <= 390"
    )
    assert screen.until(fits)
    assert all(chart["width"] < before[chart["id"]] for chart in screen.ask(CHARTS))
    screen.resize(1280)
    assert screen.until(fits.replace("390", "1280"))
    assert {chart["id"]: chart["width"] for chart in screen.ask(CHARTS)} == before


@every_page
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(name, screen, pages):
    screen.open(pages[name], width=390)
    wanted = screen.ask(
        "return [...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].map("
        "(at) => at.getAttribute('aria-label') || at.textContent.trim())"
    )
    reached = [screen.tab() for _ in wanted]
    assert [at["name"] for at in reached] == wanted
    assert wanted[0] == "Skip to content"
    assert len(wanted) > 4
    for at in reached:
        assert at["seen"], at
        assert at["outline"] >= 2.0, at
        assert at["name"], at


def test_the_first_link_skips_to_the_content(screen, pages):
    screen.open(pages["run"], width=390)
    screen.tab()
    screen.press(Keys.ENTER)
    assert screen.until("return location.hash === '#content'")
    assert screen.tab()["id"] == "load"


def test_a_wide_table_is_read_with_arrow_keys_and_a_summary_opens(screen, pages):
    screen.open(pages["run"], width=390)
    screen.ask("document.querySelector('.scroll').focus()")
    screen.press(Keys.ARROW_RIGHT)
    assert screen.until("return document.querySelector('.scroll').scrollLeft > 0")
    screen.ask("[...document.querySelectorAll('summary')].at(-1).focus()")
    closed = "return ![...document.querySelectorAll('details')].at(-1).open"
    assert screen.ask(closed)
    screen.press(Keys.ENTER)
    assert screen.until(closed.replace("!", ""))


@every_page
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read_on_light_and_on_dark_screens(name, dark, screen, pages):
    screen.open(pages[name], dark=dark)
    ground = screen.ask("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 3 * 64) is dark
    words = screen.ask(CONTRAST)
    assert len(words) > 50
    assert [word for word in words if word["ratio"] < AA] == []


def test_figures_change_their_colors_with_the_screen(screen, pages):
    screen.open(pages["run"])
    ink = "return getComputedStyle(document.querySelector('#load text')).fill"
    light = screen.ask(ink)
    screen.use_scheme(dark=True)
    assert screen.until(f"{ink} !== {json.dumps(light)}")


def test_a_comparison_without_scripts_still_says_its_numbers(screen, pages):
    screen.command("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        screen.driver.get(pages["comparison"].as_uri())
        source = screen.driver.page_source
    finally:
        screen.command("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "The figures need JavaScript" in source
    assert "<td>static_peak</td>" in source
