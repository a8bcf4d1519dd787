"""Pictures of reports for the documentation."""

import runpy

from PIL import Image

from tests.docs.blocks import ROOT

LARGEST = 150_000
"""Bytes of a picture in the documentation."""


def script():
    return runpy.run_path(str(ROOT / "paper_figs" / "report_pictures.py"))


def test_a_picture_is_taken_of_a_report_and_small(pages, tmp_path):
    path = tmp_path / "picture.png"
    assert script()["main"]([str(pages["backtest"].parent), str(path), "700"]) == 0
    with Image.open(path) as image:
        assert image.size == (960, 525)
        assert len(image.getcolors()) > 8, "something is drawn"
    assert path.stat().st_size < LARGEST


def test_a_folder_without_a_report_is_one_line_and_code_2(tmp_path, capsys):
    assert script()["main"]([str(tmp_path), "picture.png"]) == 2
    assert "report.html" in capsys.readouterr().err


def test_every_kind_of_report_has_a_small_picture_in_the_documentation():
    for kind in ("run", "comparison", "characterization", "backtest"):
        path = ROOT / "docs" / "images" / f"report_{kind}.png"
        assert path.stat().st_size < LARGEST
        with Image.open(path) as image:
            assert image.width == 960
