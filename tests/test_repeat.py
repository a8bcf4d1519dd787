"""``markopt run --config-file old/summary.json`` repeats a run, and says what has changed."""

import json
from pathlib import Path

import pytest

from markopt.cli import main
from tests.sweeps import SMALL, write_trace


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """A folder with a small trace and a run in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    write_trace(tmp_path)
    assert main(["run", "seed=3", "output=old", *SMALL]) == 0
    return tmp_path


def test_a_summary_repeats_its_run_byte_by_byte(here, capsys):
    capsys.readouterr()
    assert main(["run", "--config-file", "old/summary.json", "output=new"]) == 0
    assert capsys.readouterr().err == ""
    for name in ("summary.json", "intervals.parquet", "latency.parquet", "decisions.jsonl"):
        assert (here / "old" / name).read_bytes() == (here / "new" / name).read_bytes(), name
    # The configuration beside it repeats it too, and overrides come on top.
    assert main(["run", "--config-file", "old/config.yaml", "output=again", "seed=4"]) == 0
    summary = json.loads((here / "again" / "summary.json").read_text())
    assert (summary["seed"], summary["config"]["seed"]) == (4, 4)
    assert main(["run", "-m", "--config-file", "old/summary.json", "output=sweep", "seed=3,4"]) == 0
    for seed, folder in ((3, "old"), (4, "again")):
        swept = here / "sweep" / f"greedy-seed{seed}" / "summary.json"
        assert swept.read_bytes() == (here / folder / "summary.json").read_bytes()


def test_what_has_changed_since_is_said(here, capsys):
    with Path("trace.csv").open("a") as file:
        file.write("3600,250\n")
    summary = json.loads(Path("old/summary.json").read_text())
    summary["provenance"]["version"] = "0.0.1"
    Path("old/summary.json").write_text(json.dumps(summary))
    capsys.readouterr()
    assert main(["run", "--config-file", "old/summary.json", "output=new"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("markopt: warning: old/summary.json: ") for line in lines] == [True] * 2
    assert "version 0.0.1 then" in lines[0]
    assert "trace.csv: the content differs" in lines[1]


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("other.json", "{}", "the key 'config'"),
        ("other.json", "{", "JSON"),
        ("other.json", '{"config": {"seed": 1}}', "'service'"),
        ("other.yaml", "seed: 1", "'service'"),
        ("other.toml", "", "summary.json"),
    ],
)
def test_a_file_that_is_no_run_is_named(here, capsys, name, text, word):
    Path(name).write_text(text)
    capsys.readouterr()
    assert main(["run", "--config-file", name, "output=new"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert word in line
