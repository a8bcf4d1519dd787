"""The README's first result: written from result files, between its marks."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


TABLES = ROOT / "experiments" / "results" / "first_result"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "paper_figs"))
    spec = importlib.util.spec_from_file_location(
        "first_result", ROOT / "paper_figs/first_result.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("policies_on_one_day", None)


def test_the_table_takes_the_place_between_the_marks_only(script):
    page = f"# a\n\n{script.BEGIN}\nold\n{script.END}\n\nb\n"
    written = script.with_table(page, "| x |\n")
    assert written == f"# a\n\n{script.BEGIN}\n\n| x |\n\n{script.END}\n\nb\n"
    assert script.with_table(written, "| x |") == written


@pytest.mark.parametrize("page", ["", "{e} {b}", "{b}", "{b} {b} {e}"])
def test_a_page_without_its_marks_is_refused(script, page):
    with pytest.raises(ValueError, match="once each"):
        script.with_table(page.format(b=script.BEGIN, e=script.END), "| x |")


def test_the_readme_has_the_marks_and_shows_the_five_policies(script):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split(script.BEGIN)[1].split(script.END)[0]
    for policy in ("program", "greedy", "greedy_released", "target_tracking", "static_peak"):
        assert f"| {policy} |" in table
    assert "docs/images/first_result.svg" in text
    assert (ROOT / "docs" / "images" / "first_result.svg").is_file()


def test_a_folder_without_a_table_is_one_line_and_code_2(script, tmp_path, capsys):
    assert script.main([str(tmp_path), "README.md", "tables", "x.svg"]) == 2
    assert "table.md" in capsys.readouterr().err


def test_table_picture_and_tables_are_taken_over_together(script, tmp_path, capsys):
    folder, page = tmp_path / "demo", tmp_path / "README.md"
    folder.mkdir()
    (folder / "table.md").write_text("| policy |\n")
    document = json.loads((TABLES / "comparison.json").read_text(encoding="utf-8"))
    text = json.dumps(document | {"winner": {"policy": "program"}})
    (folder / "comparison.json").write_text(text, encoding="utf-8")
    page.write_text(f"{script.BEGIN}\n{script.END}\n")
    paths = [folder, page, tmp_path / "tables", tmp_path / "picture.svg"]
    assert script.main([str(path) for path in paths]) == 0
    assert "| policy |" in page.read_text()
    assert "<svg" in (tmp_path / "picture.svg").read_text()
    kept = (tmp_path / "tables" / "comparison.json").read_bytes()
    assert kept == (TABLES / "comparison.json").read_bytes()
    assert "picture.svg" in capsys.readouterr().out
