"""Every file of conf/ composes, and what it describes can be built."""

import ast
import importlib
import inspect
import runpy
from pathlib import Path

import pytest
import yaml

from markopt.assembly import ConfigParts, compare_settings
from markopt.cli import main
from markopt.composition import SECTIONS, combinations, compose, instantiate, options, split_lists
from markopt.errors import ConfigError
from markopt.resources import shipped_folder

ROOT = Path(__file__).resolve().parent.parent
GROUPS = (
    "service",
    "workload",
    "catalog",
    "forecaster",
    "planner",
    "cloud",
    "controller",
    "experiment",
)
CHOICES = [(group, option) for group in GROUPS for option in options(group)]
BUILT = [(g, o) for g, o in CHOICES if g not in ("experiment",)]
SMALL = (
    "service=inception_bn",
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.scale=1",
    "workload.history_s=3600",
    "workload.evaluate_s=300",
    "controller.horizon=3",
    "controller.samples=5",
)


def test_every_group_has_options():
    assert {group for group, _ in CHOICES} == set(GROUPS)


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_option_composes(group, option):
    config = compose([f"{group}={option}"]).config
    assert all(key in config for key in SECTIONS)


@pytest.mark.parametrize(("group", "option"), BUILT)
def test_every_option_can_be_built(group, option):
    section = compose([f"{group}={option}"]).config[group]
    if group == "workload" and option in ("trace", "replay"):
        section.path = "some.csv"
    assert type(instantiate(section, group)).__name__ == section["_target_"].rpartition(".")[2]


@pytest.mark.parametrize(("group", "option"), BUILT)
def test_every_key_is_a_constructor_argument_and_every_argument_a_key(group, option):
    text = (shipped_folder("conf") / group / f"{option}.yaml").read_text(encoding="utf-8")
    section = yaml.safe_load(text)
    module, _, name = section.pop("_target_").rpartition(".")
    arguments = set(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    assert set(section) <= arguments
    assert arguments - set(section) == set()


def test_a_planner_of_ones_own_is_selected_by_its_class():
    parts = ConfigParts(["planner._target_=markopt.planning.LambdaOnly", "~planner.headroom"])
    assert list(parts.policies) == ["lambda_only"]
    assert list(ConfigParts(["planner=greedy"]).policies) == ["greedy"]


def test_the_last_choice_of_a_group_holds():
    assert compose(["planner=program", "planner=greedy"]).planner_option == "greedy"


def test_the_defaults_are_those_of_the_documentation():
    config = compose([]).config
    assert config.service.name == "inception_bn"
    assert config.workload.path == "traces/sample.csv.gz"
    assert config.forecaster["_target_"] == "markopt.forecasting.Lstm"
    assert config.planner["_target_"] == "markopt.planning.Program"
    assert config.cloud["_target_"] == "markopt.cloud.simulated.SimulationSettings"


def test_the_demo_compares_the_five_policies_of_the_makefile():
    planners = ["program", "greedy", "greedy_released", "target_tracking", "static_peak"]
    settings = compare_settings(compose(["experiment=demo"]).config)
    assert list(settings.planners) == planners
    assert f"planner={','.join(planners)}" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("option", options("experiment"))
def test_every_experiment_runs_at_toy_size(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [f"experiment={option}", "planner=greedy,static_peak", "seed=0", "compare.jobs=1"]
    assert main(["compare", *arguments, "output=out", *SMALL]) == 0
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_the_study_writes_what_its_figure_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = runpy.run_path(str(ROOT / "experiments" / "policies_on_one_day.py"))
    assert study["run"](["planner=greedy,static_peak", "seed=0,1", "compare.jobs=1", *SMALL]) == 0
    figure = runpy.run_path(str(ROOT / "paper_figs" / "policies_on_one_day.py"))
    for name in ("first.pdf", "second.pdf", "vectors.svg"):
        assert figure["main"](["results/policies_on_one_day", name]) == 0
    assert Path("first.pdf").read_bytes() == Path("second.pdf").read_bytes()
    assert Path("first.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in Path("vectors.svg").read_text()
    assert figure["main"](["results/policies_on_one_day", "pixels.png"]) == 2


def test_figures_simulate_nothing():
    for path in (ROOT / "paper_figs").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([getattr(node, "module", None)] + [a.name for a in node.names])
            if name
        }
        assert not any(name.split(".")[0] == "markopt" for name in modules), path.name


def test_combinations_are_those_of_the_sweep():
    jobs = list(combinations(["planner=a,b", "seed=0,1", "workload.scale=2"]))
    assert jobs == [
        ("planner=a", "seed=0", "workload.scale=2"),
        ("planner=a", "seed=1", "workload.scale=2"),
        ("planner=b", "seed=0", "workload.scale=2"),
        ("planner=b", "seed=1", "workload.scale=2"),
    ]


def test_lists_of_planners_and_seeds_are_taken_out():
    rest, planners, seeds = split_lists(["planner=a,b", "seed=range(0,3)", "workload.scale=2"])
    assert (rest, planners, seeds) == (["workload.scale=2"], ["a", "b"], ["0", "1", "2"])
    assert split_lists(["seed=4"]) == ([], None, ["4"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare.seeds=0", r"compare\.seeds: must be a list"),
        ("compare.planners=greedy", r"compare\.planners: must be a list"),
        ("compare.jobs=x", r"compare\.jobs"),
        ("compare.at_equal_slo=x", r"at_equal_slo"),
        ("compare.seeds=[0.5]", r"seed: must be a whole number"),
    ],
)
def test_a_wrong_comparison_setting_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        compare_settings(compose([override]).config)
