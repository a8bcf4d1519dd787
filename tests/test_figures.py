"""The figures of ``paper_figs``: held to their tables, legible, and for color-blind readers too."""

import importlib
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from markopt.evaluation.report import style as report_style

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "first_result",
    "steady_load",
    "surge",
    "interruption",
    "dispatch_rules",
    "forecast_worth",
    "planners",
    "attribution",
    "backtest",
    "characterization_inception_bn",
    "characterization_inception_v3",
    "spot_fits",
    "twin",
    "live",
    "promises",
    "planner_speed",
    "engine_speed",
)
LARGEST_TABLE = 150_000
"""Bytes."""


@pytest.fixture(scope="module")
def gallery():
    """The gallery's module, as it is when run by itself."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "paper_figs"))
        yield importlib.import_module("gallery")
    folder = str(ROOT / "paper_figs")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
            del sys.modules[name]


@pytest.fixture(scope="module")
def figures(gallery):
    return {figure.name: figure for figure in gallery.figures()}


def test_every_figure_is_found_with_its_committed_tables(figures):
    assert set(NAMES) <= set(figures)
    for figure in figures.values():
        paths = [figure.source] if figure.source.is_file() else list(figure.source.iterdir())
        assert paths, figure.name
        assert all(path.stat().st_size <= LARGEST_TABLE for path in paths), figure.name
        assert (ROOT / "docs" / figure.entry.page.split("#")[0]).is_file(), figure.name


def test_the_gallery_is_what_its_tables_say(gallery, figures):
    """After a change of tables, captions or figures: ``make figures``."""
    written = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert written == gallery.page([*figures.values()])
    assert len(re.findall(r"^## ", written, re.MULTILINE)) == len(figures)


def test_every_picture_shows_the_tables_that_are_there(figures):
    """After a change of tables: ``make figures``."""
    digest = importlib.import_module("figure_style").digest
    for figure in figures.values():
        picture = (ROOT / "docs" / "images" / f"{figure.name}.svg").read_text(encoding="utf-8")
        assert digest(figure.source) in picture, figure.name


def test_captions_tell_the_finding_in_the_numbers_of_the_tables(figures, tmp_path):
    for figure in figures.values():
        caption = figure.script.caption(figure.source)
        assert len(caption) > 100, figure.name
        assert re.search(r"\d", caption), figure.name
        assert caption.endswith("."), figure.name
        assert "nan" not in caption.split(), figure.name
    source = figures["surge"].source
    for name in ("episodes.csv", "windows.csv"):
        text = (source / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("0.970", "0.960"), encoding="utf-8")
    script = figures["surge"].script
    assert script.caption(tmp_path) != script.caption(source)


def boxes_of(figure, texts):
    renderer = figure.canvas.get_renderer()
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


@pytest.mark.parametrize("name", NAMES)
def test_no_label_is_cut_off_or_covered(name, figures):
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.text import Text

    figure = figures[name]
    style = importlib.import_module("figure_style")
    large = figure.script.__name__ in importlib.import_module("gallery").LARGE
    with mpl.rc_context(dict(style.STYLE if large else style.SMALL)):
        drawn = figure.script.draw(figure.source)
        drawn.canvas.draw()
    try:
        width, height = drawn.bbox.width, drawn.bbox.height
        for axes in drawn.axes:
            limits = axes.get_window_extent()
            for axis, low, high in (
                (axes.xaxis, limits.x0, limits.x1),
                (axes.yaxis, limits.y0, limits.y1),
            ):
                labels = boxes_of(drawn, [tick.label1 for tick in axis.get_major_ticks()])
                along = "x" if axis is axes.xaxis else "y"
                inside = [
                    (text, box)
                    for text, box in labels
                    if low - 2
                    <= (getattr(box, f"{along}0") + getattr(box, f"{along}1")) / 2
                    <= high + 2
                ]
                for (one, a), (other, b) in itertools.combinations(inside, 2):
                    assert not a.overlaps(b), (name, one, other)
                for text, box in inside:
                    assert box.x0 > -1 and box.x1 < width + 1, (name, text)  # noqa: PT018
            words = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
            for text, box in boxes_of(drawn, words):
                assert -1 < box.x0 < box.x1 < width + 1, (name, text)
                assert -1 < box.y0 < box.y1 < height + 1, (name, text)
        for legend in drawn.legends:
            for text, box in boxes_of(drawn, legend.findobj(Text)):
                assert -1 < box.x0 < box.x1 < width + 1, (name, text)
    finally:
        plt.close(drawn)


def test_a_figure_is_the_same_vectors_every_time(figures, tmp_path):
    for path in (tmp_path / "one.svg", tmp_path / "two.svg", tmp_path / "one.pdf"):
        figures["promises"].write(path)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    assert b"<image" not in (tmp_path / "one.svg").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_figure_that_there_is_not_is_one_line_and_code_2(gallery, capsys):
    assert gallery.main(["nothing"]) == 2
    error = capsys.readouterr().err
    assert "'nothing'" in error
    assert len(error.splitlines()) == 1


def test_tables_of_a_page_are_read_as_rows(gallery, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n| a | b |\n|---|---:|\n| `x` |  |\n\ntext\n\n| c |\n|---|\n| 1 |\n| 2 |\n"
    )
    read = importlib.import_module("figure_style").read_markdown
    assert read(page) == [[{"a": "x", "b": ""}], [{"c": "1"}, {"c": "2"}]]


# How the three kinds of color blindness see linear RGB (Machado, Oliveira and Fernandes, 2009,
# severity 1).
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ_OF_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def seen(color, sight):
    """Return a color as it is seen, in CIE L*a*b* (D65)."""
    rgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255.0
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ_OF_RGB @ np.clip(np.asarray(SIGHT[sight]) @ linear, 0.0, 1.0)
    ratio = xyz / XYZ_OF_RGB.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])])


def least_distance(palette, sight):
    colors = [seen(color, sight) for color in palette]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(colors, 2))


def palettes():
    dark = [report_style.DARK_SHADES.get(color, color) for color in report_style.PALETTE]
    return {"report": report_style.PALETTE, "report, dark": dark}


@pytest.mark.parametrize("sight", SIGHT)
def test_colors_stay_apart_for_color_blind_readers(sight, gallery):
    shown = palettes() | {"figures": importlib.import_module("figure_style").PALETTE}
    for name, palette in shown.items():
        assert least_distance(palette, sight) > 12.0, (name, sight)


def test_the_measure_tells_red_and_green_as_the_color_blind_do():
    pair = ("#d62728", "#2ca02c")
    assert least_distance(pair, "normal") > 100.0
    assert least_distance(pair, "deuteranopia") < 0.4 * least_distance(pair, "normal")
