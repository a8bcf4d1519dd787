"""Every file of conf/ composes, and what it describes can be built."""

import ast
import importlib
import inspect
import runpy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from markopt.assembly import ConfigParts, compare_settings
from markopt.cli import main
from markopt.composition import SECTIONS, combinations, compose, instantiate, options, split_lists
from markopt.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
GROUPS = (
    "service",
    "workload",
    "catalog",
    "forecaster",
    "planner",
    "cloud",
    "cloud/market",
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
    section = OmegaConf.select(compose([f"{group}={option}"]).config, group.replace("/", "."))
    if OmegaConf.is_missing(section, "path"):
        section.path = "some.csv"
    assert type(instantiate(section, group)).__name__ == section["_target_"].rpartition(".")[2]


@pytest.mark.parametrize(("group", "option"), BUILT)
def test_every_key_is_a_constructor_argument_and_every_argument_a_key(group, option):
    section = OmegaConf.select(compose([f"{group}={option}"]).config, group.replace("/", "."))
    nodes = [OmegaConf.to_container(section)]
    while nodes:
        node = nodes.pop()
        nodes += [v for v in node.values() if isinstance(v, dict) and "_target_" in v]
        module, _, name = node.pop("_target_").rpartition(".")
        built = getattr(importlib.import_module(module), name)
        assert set(node) == set(inspect.signature(built).parameters)


def test_a_wrapped_planner_is_named_by_its_option_or_by_both_classes(tmp_path):
    standbys = ConfigParts(["planner=program_with_standbys", "planner.count=3"])
    assert list(standbys.policies) == ["program_with_standbys"]
    other = ConfigParts(["planner=program_with_standbys", "planner@planner.planner=lambda_only"])
    assert list(other.policies) == ["lambda_only_with_standbys"]
    assert other.knob("lambda_only_with_standbys") == (None, ())
    assert type(other.planner("lambda_only_with_standbys").planner).__name__ == "LambdaOnly"
    standbys.export("program_with_standbys", 0, None, tmp_path / "winner.yaml")
    again = ConfigParts([], config_file=tmp_path / "winner.yaml")
    assert list(again.policies) == ["program_with_standbys"]


def test_the_knob_of_a_wrapped_planner_is_found_and_set():
    parts = ConfigParts([], planners=["greedy_with_standbys", "greedy", "lambda_only"])
    name, grid = parts.knob("greedy_with_standbys")
    assert (name, grid) == ("planner.headroom", parts.knob("greedy")[1])
    assert parts.planner("greedy_with_standbys", 0.65).planner == parts.planner("greedy", 0.65)
    config = parts.config("greedy_with_standbys", 0, 0.65)["planner"]
    assert config["planner"]["headroom"] == 0.65
    assert config["count"] == 10
    assert parts.knob("lambda_only") == (None, ())
    assert parts.config("greedy_with_standbys", 0)["planner"]["planner"]["headroom"] == 1.0


def test_the_calibrated_lstm_wraps_the_lstm_of_the_group():
    wrapped = compose(["forecaster=lstm_calibrated", "forecaster.forecaster.hidden=8"]).config
    plain = compose(["forecaster=lstm", "forecaster.hidden=8"]).config
    assert wrapped.forecaster.forecaster == plain.forecaster
    built = instantiate(wrapped.forecaster, "forecaster")
    assert type(built.forecaster).__name__ == "Lstm"
    assert built.forecaster.hidden == 8
    assert 0.95 in built.levels


def test_the_spot_market_is_chosen_set_and_exported_with_the_rest(tmp_path):
    script = "cloud.market.interruptions=[{at_s:600,share:0.5}]"
    parts = ConfigParts(["planner=greedy", "cloud/market=scripted", script])
    parts.export("greedy", 0, None, tmp_path / "winner.yaml")
    again = ConfigParts(["cloud.spot_notice_s=60"], config_file=tmp_path / "winner.yaml")
    settings = instantiate(again.base.cloud, "cloud")
    assert settings.spot_notice_s == 60.0
    assert settings.market.interruptions == [{"at_s": 600, "share": 0.5}]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cloud/market=nonsense"], "cloud/market=nonsense: no such option; options: drawn, "),
        (["cloud/markt=drawn"], "cloud/markt: no such key or group; did you mean 'cloud/market'"),
        (["cloud/market=3"], "cloud/market=3: expected an option of the group: drawn, "),
        (["cloud.market.shock=1"], "cloud.market.shock: no such key or group; did you mean"),
        (["cloud.market.shock_share=x"], "cloud.market.shock_share: must be a number, got 'x'"),
        (["cloud.market=3"], r"cloud.market: expected a market \(cloud/market=NAME\), got 3"),
        (["cloud/market=recorded_capacity"], "cloud.market.path: a value is required"),
        (["cloud/market=scripted", "cloud.market.interruptions=3"], "must be a list of values"),
    ],
)
def test_a_wrong_market_is_named_in_one_line(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        instantiate(compose(overrides).config.cloud, "cloud")
    assert "\n" not in str(caught.value)


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


LIVE = ("live", "twin")
"""What runs on the local back end is run by tests/test_live.py."""

COMMON_GROUND = "ablation"
"""What the ablations share, which tests/test_ablations.py runs with each of them."""

COMPARED = [
    option
    for option in options("experiment")
    if option not in (*LIVE, COMMON_GROUND) and not compose([f"experiment={option}"]).sweep
]
"""What sweeps more than policies and seeds is run by tests/test_studies.py."""


@pytest.mark.parametrize("option", COMPARED)
def test_every_experiment_runs_at_toy_size(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [f"experiment={option}", "planner=greedy,static_peak", "seed=0", "compare.jobs=1"]
    assert main(["compare", *arguments, "output=out", *SMALL]) == 0
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_the_study_writes_what_its_figure_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "paper_figs"))
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
    # An override of a nested planner is no list of policies.
    inner = "planner@planner.planner=greedy"
    assert split_lists([inner, "planner=a"]) == ([inner], ["a"], None)


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
