"""The ablations at toy size, end to end, and their figures and page on the committed tables."""

import csv
import importlib
import sys
from pathlib import Path

import pytest

from markopt.assembly import compare_settings
from markopt.composition import compose, options

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "experiments" / "results"
SMALL = (
    "planner=greedy,lambda_only",
    "forecaster=last_value",
    "seed=0",
    "service=inception_bn",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.evaluate_s=300",
    "workload.scale=1",
    "controller.horizon=6",
    "controller.samples=5",
    "compare.at_equal_slo=null",
)
# What of each ablation's own sweep is tried; the cases that this gives, by their labels.
TOY = {
    "launch_delay": (("catalog.launch_delay_s=10,300",), ["10", "300"]),
    "price_ratio": (("catalog.function_price_ratio=1,20",), ["1", "20"]),
    "scale": (("workload.scale=0.1,1",), ["0.1", "1"]),
    "batching": (("catalog.batching=none,mark",), ["none", "mark"]),
    "forecast_error": (
        ("forecaster=oracle_with_error", "forecaster.error=0,0.4", "forecaster.admitted=1"),
        ["0", "0.4"],
    ),
}


@pytest.fixture
def scripts(monkeypatch):
    """Return a script of ``experiments`` or ``paper_figs`` as a module, loaded anew."""
    before = set(sys.modules)
    for folder in ("experiments", "paper_figs"):
        monkeypatch.syspath_prepend(str(ROOT / folder))

    def load(folder, name):
        module = importlib.import_module(name)
        if Path(module.__file__).parent.name != folder:
            spec = importlib.util.spec_from_file_location(
                f"{folder}_{name}", ROOT / folder / f"{name}.py"
            )
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return module

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if Path(file).parent.name in ("experiments", "paper_figs"):
            del sys.modules[name]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", list(TOY))
def test_an_ablation_runs_its_cases_and_its_figure_draws_them(name, scripts, tmp_path):
    own, steps = TOY[name]
    given = {text.split("=")[0] for text in own}
    rest = [text for text in SMALL if text.split("=")[0] not in given]
    folder = scripts("experiments", name).run([*rest, *own, f"output={tmp_path / 'out'}"])
    rows = rows_of(folder / "episodes.csv")
    label = next(iter(rows[0])) if name != "batching" else "batching"
    assert list(dict.fromkeys(row[label] for row in rows)) == steps
    assert {row["policy"] for row in rows} == {"greedy", "lambda_only"}
    if name == "price_ratio":
        cost = {row["price_ratio"]: float(row["cost_usd"]) for row in rows[1::2]}
        share = {row["price_ratio"]: float(row["lambda_share"]) for row in rows[1::2]}
        assert share["1"] == share["20"]  # lambda_only leaves nothing to a choice
        assert cost["20"] > 5.0 * cost["1"]
    figure = scripts("paper_figs", name)
    assert figure.main(figure.draw, [str(folder), str(tmp_path / "figure.svg")]) == 0
    assert "costs" in figure.caption(folder)


def test_variants_are_cases_of_their_own(scripts):
    study = scripts("experiments", "spot")
    found = scripts("experiments", "study_tables").cases(study.STUDY, [])
    assert [case.labels["variant"] for case in found] == list(study.STUDY.variants)
    by_zone = next(case for case in found if case.labels["variant"] == "spot by zone")
    assert by_zone.config.catalog.spot_per_zone
    choice = next(case for case in found if case.labels["variant"].endswith("choice"))
    assert len(choice.config.catalog.spot_max_price) == 3


def ablations():
    """Return the ablations whose tables stand on the page."""
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    return [name for name in options("experiment") if f"<!-- {name}: begin -->" in page]


@pytest.mark.parametrize("name", ablations())
def test_every_ablation_has_its_script_figure_committed_tables_and_section(name):
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert (ROOT / "experiments" / f"{name}.py").is_file()
    assert f"images/{name}.svg" in page
    assert f"make study NAME={name}" in page
    assert (ROOT / "docs" / "images" / f"{name}.svg").is_file()
    table = RESULTS / name / "episodes.csv"
    assert table.stat().st_size < 192 * 1024
    settings = compare_settings(compose([f"experiment={name}"]).config)
    rows = rows_of(table)
    assert {row["policy"] for row in rows} == set(settings.planners)
    assert {int(row["seed"]) for row in rows} == set(settings.seeds)


def test_the_tables_of_the_page_are_those_of_the_committed_results(scripts):
    script = scripts("paper_figs", "ablations_page")
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert script.updated(page, RESULTS) == page
    assert {name for name in script.TABLES if (RESULTS / name).exists()} == set(ablations())
    with pytest.raises(ValueError, match="functions: begin"):
        script.updated(page.replace("<!-- functions: begin -->", ""), RESULTS)


def test_every_ablation_can_be_run_and_drawn_by_its_name(scripts):
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    for name in scripts("paper_figs", "ablations_page").TABLES:
        assert f"make study NAME={name}\n" in page
        assert scripts("experiments", name).STUDY.name == name
        assert name in scripts("paper_figs", name).ENTRIES
        assert compose([f"experiment={name}"]).sweep


def test_a_study_that_was_cut_off_goes_on_where_it_was(scripts, tmp_path, monkeypatch):
    study, tables = scripts("experiments", "launch_delay"), scripts("experiments", "study_tables")
    given = [*SMALL, "catalog.launch_delay_s=10,300", f"output={tmp_path / 'out'}"]
    compared, done = tables.compared, []

    def cut_off(case, **options):
        if done:
            raise KeyboardInterrupt
        done.append(case.labels)
        return compared(case, **options)

    monkeypatch.setattr(tables, "compared", cut_off)
    with pytest.raises(KeyboardInterrupt):
        study.run(given)
    assert not (tmp_path / "out").exists()

    def goes_on(case, **options):
        done.append(case.labels)
        return compared(case, **options)

    monkeypatch.setattr(tables, "compared", goes_on)
    rows = rows_of(study.run(given) / "episodes.csv")
    assert [labels["launch_delay_s"] for labels in done] == [10.0, 300.0]
    assert [row["launch_delay_s"] for row in rows[::2]] == ["10", "300"]
    assert not (tmp_path / "out.unfinished").exists()


def test_a_study_says_what_was_tuned(scripts, tmp_path):
    study = scripts("experiments", "launch_delay")
    rest = [text for text in SMALL if not text.startswith("compare.at_equal_slo")]
    tuned = ["compare.at_equal_slo=0.9", "compare.tune_s=300", "compare.tune_earlier_s=300"]
    folder = study.run([*rest, *tuned, "catalog.launch_delay_s=10", f"output={tmp_path / 'out'}"])
    found = {row["policy"]: row["tuned"] for row in rows_of(folder / "episodes.csv")}
    assert found["greedy"].startswith("headroom=")
    assert found["lambda_only"] == ""


def test_loads_of_the_macro_benchmark_follow_the_service_unless_they_are_given(scripts):
    study, tables = scripts("experiments", "macro"), scripts("experiments", "study_tables")
    found = tables.cases(study.STUDY, ["service=nasnet,squeezenet"])
    scales = {(c.labels["service"], c.config.workload.scale) for c in found}
    assert scales == {("nasnet", study.SCALE["nasnet"]), ("squeezenet", study.SCALE["squeezenet"])}
    given = tables.cases(study.STUDY, ["service=nasnet", "workload.scale=3"])
    assert {case.config.workload.scale for case in given} == {3}
