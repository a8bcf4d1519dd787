"""``markopt backtest`` as a user meets it, and the study of real traces at toy size."""

from __future__ import annotations

import csv
import gzip
import io
import json
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from markopt.cli import main
from markopt.composition import compose, options
from tests.forecasting.models import burst_series

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results" / "backtest"
BASELINES = ROOT / "experiments" / "results" / "backtest_baselines"
FILES = {
    "backtest.csv",
    "stretch.csv",
    "summary.json",
    "timing.json",
    "table.md",
    "config.yaml",
    "report.html",
}
SMALL = (
    "workload=trace",
    "workload.path=toy.csv",
    "workload.gaps=hold",
    "backtest.train_s=28800",
    "backtest.horizon=4",
    "backtest.samples=20",
    "backtest.stride=3",
)
QUICK = {
    "members": 1,
    "epochs": 2,
    "hidden": 8,
    "head": 8,
    "units": 8,
    "context_s": 1800,
    "horizon": 4,
    "max_iterations": 3,
    "max_evaluations": 20,
    "period_s": 1800,
    "seasonal_order": "[1,0,0,6]",
    "forward_s": 3600,
}
"""Settings at which every forecaster is fitted to eight hours within seconds."""


def quickly(section, prefix="forecaster"):
    """Return overrides that make a forecaster, and those within it, quick."""
    found = []
    for key, value in section.items():
        if isinstance(value, dict):
            found += quickly(value, f"{prefix}.{key}")
        elif key in QUICK and value != [0, 0, 0, 0]:
            found.append(f"{prefix}.{key}={QUICK[key]}")
    return found


def write_trace(path, minutes=540, seed=3, hole=slice(500, 505)):
    """Write a trace of minutes with a burst in every half hour and a hole."""
    rates = burst_series(minutes, seed).rate_rps
    rows = [f"{60 * at},{round(60 * rate)}" for at, rate in enumerate(rates)]
    del rows[hole]
    text = "\n".join(["second,requests", *rows, ""])
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    write_trace(tmp_path / "toy.csv")
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache):
    """A folder with a backtest in ``out``, what was printed, and what was said beside it."""
    folder = tmp_path_factory.mktemp("backtest")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv("MARKOPT_CACHE", str(cache))
        write_trace(folder / "toy.csv")
        assert main(["backtest", "forecaster=last_value,oracle", "output=out", *SMALL]) == 0
    return folder / "out", printed.getvalue()


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_backtest_writes_its_files_and_prints_its_table(made):
    folder, printed = made
    assert {path.name for path in folder.iterdir()} == FILES
    assert "toy: fitted to 0.333 days, 19 forecasts of 4 × 60 s" in printed  # noqa: RUF001
    assert "last_value" in printed
    rows = rows_of(folder / "backtest.csv")
    assert [(row["forecaster"], row["step"]) for row in rows] == [
        (name, str(step)) for name in ("last_value", "oracle") for step in (1, 2, 3, 4)
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["schema"] == "markopt.backtest/2"
    assert summary["test"] == {
        "intervals": 60,
        "without_data": 5,
        "mean_rps": summary["test"]["mean_rps"],
        "max_rps": summary["test"]["max_rps"],
    }
    assert summary["forecasters"]["oracle"]["mae_rps"] == 0.0
    assert "Warning: no data in 0 of 480" in (folder / "table.md").read_text()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert set(config["forecasters"]) == {"last_value", "oracle"}
    assert config["workload"]["history_s"] == 28800.0


def test_the_report_is_rebuilt_from_the_files(made):
    page = (made[0] / "report.html").read_text()
    for part in ("Loss by step", "Coverage by step", "PIT histogram", "Reliability", "oracle"):
        assert part in page
    (made[0] / "report.html").unlink()
    assert main(["report", str(made[0])]) == 0
    assert (made[0] / "report.html").read_text() == page


def test_the_same_configuration_writes_the_same_bytes_timing_apart(here, made):
    assert main(["backtest", "forecaster=last_value,oracle", "output=two", *SMALL]) == 0
    for name in FILES - {"timing.json", "report.html"}:
        assert (made[0] / name).read_bytes() == (here / "two" / name).read_bytes(), name


def test_altering_the_future_of_a_trace_changes_no_earlier_forecast(here, made):
    lines = (here / "toy.csv").read_text().splitlines()
    turn = 1 + 525  # minute 530 of the trace, since five rows of it are missing
    later = [f"{line.split(',')[0]},{9 * int(line.split(',')[1])}" for line in lines[turn:]]
    (here / "toy.csv").write_text("\n".join([*lines[:turn], *later, ""]))
    assert main(["backtest", "forecaster=last_value,oracle", "output=two", *SMALL]) == 0
    one, two = (
        {(r["forecaster"], float(r["time_s"])): r for r in rows_of(folder / "stretch.csv")}
        for folder in (made[0], here / "two")
    )
    seen = 0
    for key, row in one.items():
        name, time_s = key
        origin_s = time_s + 60.0 - float(row["lead_s"])
        if name == "last_value" and origin_s <= (530 - 480) * 60.0:
            seen += 1
            for level in ("p05_rps", "p50_rps", "p95_rps"):
                assert row[level] == two[key][level]
    assert seen > 10
    assert rows_of(made[0] / "backtest.csv") != rows_of(here / "two" / "backtest.csv")


MEAN_RATES = [name for name in options("forecaster") if name not in ("lstm_carried", "lstm_peak")]


@pytest.mark.parametrize("name", MEAN_RATES)
def test_every_shipped_forecaster_runs(name, here):
    section = OmegaConf.to_container(compose([f"forecaster={name}"]).config.forecaster)
    if "StatsForecast" in section["_target_"]:
        pytest.importorskip("statsforecast", reason="an outside baseline, of an extra")
    extra = quickly(section)
    assert main(["backtest", f"forecaster={name}", "output=out", *SMALL, *extra]) == 0
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert list(summary["forecasters"]) == [name]
    assert np.isfinite(summary["forecasters"][name]["pinball_log"])


def test_a_forecaster_that_refuses_is_a_warning_and_none_left_an_error(here, capsys):
    chosen = "forecaster=seasonal_naive,last_value"
    assert main(["backtest", chosen, "output=out", *SMALL]) == 0
    told = capsys.readouterr().err
    assert "markopt: warning: seasonal_naive refused: " in told
    assert "markopt: warning: no data in 0 of 480 intervals" in told
    assert fails(capsys, "forecaster=seasonal_naive").startswith(
        "markopt: toy: every forecaster refused; seasonal_naive: "
    )


def fails(capsys, *arguments, code=2):
    before = sorted(Path().rglob("*"))
    assert main(["backtest", *SMALL, *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("markopt: ")
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecaster=last_valu"], "options: arima"),
        (["forecaster=last_value,nonsense"], "(of forecaster 'nonsense')"),
        (["planner=greedy"], "planner: markopt backtest does not depend on it"),
        (["backtest.horizon=x"], "backtest.horizon: must be a whole number, got 'x'"),
        (["backtest.horizon=90"], "needs a test at least as long"),
        (["backtest.train_s=100"], "history_s: must be a whole number of intervals"),
        (["workload.gaps=error"], "gap of 300 s"),
        (["seed=-1"], "seed: must be a whole number"),
        (["output=toy.csv"], "output=toy.csv"),
    ],
)
def test_a_mistake_is_one_line(here, capsys, arguments, message):
    chosen = [] if any(a.startswith("forecaster=") for a in arguments) else ["forecaster=oracle"]
    assert message in fails(capsys, *chosen, *arguments)


def test_spans_need_a_workload_that_has_them(here, capsys):
    line = ["forecaster=last_value", "workload=stress", "backtest.train_s=3600"]
    assert main(["backtest", *line]) == 2
    assert "need a workload with 'evaluate_s'" in capsys.readouterr().err


def test_a_forecaster_of_ones_own_is_selected_by_its_class(here, monkeypatch, capsys):
    page = (ROOT / "docs" / "forecasting.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in page.split("```python")[1:]]
    code = next(block for block in blocks if "class Drift" in block)
    (here / "my_forecasters.py").write_text(code)
    monkeypatch.syspath_prepend(str(here))
    own = ["forecaster._target_=my_forecasters.Drift", "~forecaster.errors_s"]
    chosen = ["forecaster=last_value", *own, "+forecaster.window=60"]
    assert main(["backtest", "output=out", *SMALL, *chosen]) == 0
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert list(summary["forecasters"]) == summary["settings"]["forecasters"] == ["Drift"]
    capsys.readouterr()
    both = ["forecaster=last_value,seasonal_naive"]
    line = fails(capsys, *both, "forecaster._target_=markopt.forecasting.SeasonalNaive")
    assert "takes the place of one option" in line


def test_a_sweep_writes_a_folder_for_each_job(here):
    sweep = ["-m", "forecaster=oracle", "backtest.samples=10,20", "output=sweep"]
    own = [entry for entry in SMALL if not entry.startswith("backtest.samples")]
    assert main(["backtest", *sweep, *own]) == 0
    names = {path.name for path in (here / "sweep").iterdir()}
    assert names == {"backtest-toy,backtest.samples=10", "backtest-toy,backtest.samples=20"}


def test_a_damaged_folder_is_named(here, capsys):
    folder = here / "damaged"
    folder.mkdir()
    (folder / "backtest.csv").write_text("")
    assert main(["report", str(folder)]) == 2
    assert "summary.json: a result file is missing here" in capsys.readouterr().err


@pytest.fixture
def scripts(monkeypatch):
    """Load a script of ``experiments`` or ``paper_figs`` as it is when run by itself."""

    def load(folder):
        monkeypatch.syspath_prepend(str(ROOT / folder))
        return runpy.run_path(str(ROOT / folder / "backtest.py"))

    return load


def test_the_study_goes_on_where_it_stopped_and_its_figure_is_drawn(
    here, scripts, monkeypatch, capsys
):
    (here / "data" / "traces").mkdir(parents=True)
    monkeypatch.setenv("MARKOPT_DATA", str(here / "data"))
    study = scripts("experiments")
    file = study["TRACES"]["worldcup"].file
    write_trace(here / "data" / "traces" / file, 600, hole=slice(0, 0))
    toy = [
        "traces=worldcup,azure_f02",
        "forecaster=last_value",
        "output=out",
        "backtest.train_s=28800",
        "backtest.test_s=7200",
        "backtest.horizon=4",
        "backtest.samples=10",
    ]
    assert study["run"](toy) == Path("out")
    assert "no trace 'azure_f02'" in capsys.readouterr().err
    tables = ("traces.csv", "steps.csv", "pit.csv", "timing.csv", "table.md")
    assert {path.name for path in (here / "out").iterdir()} == {"worldcup", *tables}
    first = (here / "out" / "traces.csv").read_bytes()
    stamp = (here / "out" / "worldcup" / "summary.json").stat().st_mtime_ns
    assert study["run"](toy) == Path("out")
    assert (here / "out" / "worldcup" / "summary.json").stat().st_mtime_ns == stamp
    assert (here / "out" / "traces.csv").read_bytes() == first
    assert study["main"](study["run"], [*toy, "backtest.horizon=5"]) == 2
    assert "holds a backtest with other settings" in capsys.readouterr().err
    assert study["main"](study["run"], ["traces=nonsense"]) == 2
    figure = scripts("paper_figs")
    assert figure["main"](figure["draw"], ["out", "figure.svg"]) == 0
    assert "<svg" in Path("figure.svg").read_text()


def test_the_committed_tables_are_small_and_draw_the_figure(scripts, tmp_path):
    for path in RESULTS.iterdir():
        assert path.stat().st_size < 96 * 1024, path.name
    figure = scripts("paper_figs")
    assert figure["main"](figure["draw"], [str(RESULTS), str(tmp_path / "figure.svg")]) == 0


def test_the_table_of_the_page_is_made_from_the_committed_results(scripts):
    page = (ROOT / "docs" / "forecasting.md").read_text(encoding="utf-8")
    study = scripts("experiments")
    assert study["page_table"](RESULTS) in page
    assert study["page_calibration"](RESULTS) in page
    assert study["page_baselines"](BASELINES) in page
