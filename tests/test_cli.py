"""The command line as a user meets it: what it writes, and how it refuses bad input."""

import errno
import inspect
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from markopt import __version__
from markopt.assembly import ConfigParts
from markopt.cli import main
from markopt.core.documents import plan_from_json, problem_from_json, problem_to_json
from markopt.errors import ConfigError
from markopt.planning import Greedy, Program, evaluate_plan
from markopt.resources import shipped_folder
from tests.evaluation.fluid import small_problem

SMALL = (
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    "workload.evaluate_s=600",
    "controller.horizon=3",
    "controller.samples=10",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """An empty folder with a small trace in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    return tmp_path


def fails(capsys, code, *arguments):
    """Run, expect ``code`` and one line on standard error, and return that line."""
    before = sorted(Path().rglob("*"))
    assert main(arguments) == code
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("markopt: ")
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    return lines[0]


def test_run_writes_a_complete_episode_and_prints_its_row(here, capsys):
    assert main(["run", "planner=greedy", "output=out", *SMALL]) == 0
    summary = json.loads((here / "out" / "summary.json").read_text())
    assert (summary["policy"], summary["seed"]) == ("greedy", 0)
    assert summary["provenance"]["version"] == __version__
    assert summary["requests"]["total"] > 20_000
    assert summary["cost_usd"]["total"] > 0.0
    files = {path.name for path in (here / "out").iterdir()}
    assert files >= {"timing.json", "intervals.parquet", "decisions.jsonl", "report.html"}
    assert sorted(path.name for path in here.iterdir()) == ["out", "trace.csv"]
    printed = capsys.readouterr().out
    assert "greedy" in printed
    assert "out/report.html" in printed


def test_same_config_gives_the_same_bytes_in_another_process(here, cache):
    arguments = ["run", "planner=program", *SMALL]
    assert main([*arguments, "output=one"]) == 0
    command = [sys.executable, "-m", "markopt.cli", *arguments, "output=two"]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("summary.json", "intervals.parquet", "decisions.jsonl", "config.yaml"):
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes(), name


def test_compare_ranks_policies_and_its_winner_can_be_run(here, capsys):
    arguments = ["compare", "planner=greedy,static_peak", "seed=0,1", "output=out", *SMALL]
    assert main(arguments) == 0
    document = json.loads((here / "out" / "comparison.json").read_text())
    assert document["policies"] == ["greedy", "static_peak"]
    assert document["seeds"] == [0, 1]
    assert len(document["rows"]) == 4
    winner = document["winner"]["policy"]
    assert main(["run", "--config-file", "out/winner.yaml", "output=again"]) == 0
    first = (here / "out" / "episodes" / f"{winner}-seed0" / "summary.json").read_text()
    assert (here / "again" / "summary.json").read_text() == first
    (here / "out" / "report.html").unlink()
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    assert capsys.readouterr().out.strip() == "out/report.html"
    assert (here / "out" / "report.html").is_file()


def test_compare_at_equal_slo_tunes_on_the_history(here):
    arguments = ["compare", "--at-equal-slo", "0.9", "planner=greedy,static_peak", "output=out"]
    assert main([*arguments, "compare.tune_s=600", *SMALL]) == 0
    document = json.loads((here / "out" / "comparison.json").read_text())
    assert document["equal_slo"] == 0.9
    tuned = {entry["policy"]: entry for entry in document["tuning"]}
    assert tuned["greedy"]["knob"] == Greedy.KNOB
    assert len(tuned["greedy"]["trials"]) > 2
    config = yaml.safe_load((here / "out/episodes/greedy-seed0/config.yaml").read_text())
    assert config["planner"][Greedy.KNOB] == tuned["greedy"]["value"]


def test_knobs_can_be_tuned_on_the_same_time_of_an_earlier_day(here):
    spans = ["compare.tune_s=600", "compare.tune_earlier_s=1200"]
    parts = ConfigParts([*SMALL, *spans], ["greedy"])
    judged, tuned = parts.scene(0).workload, parts.scene(0, "tuning").workload
    assert (tuned.start_s, tuned.end_s) == (judged.start_s - 1200.0, judged.start_s - 600.0)
    assert tuned.history.end_s == tuned.start_s
    with pytest.raises(ConfigError, match=r"at most compare\.tune_earlier_s"):
        ConfigParts([*SMALL, "compare.tune_s=600", "compare.tune_earlier_s=300"], ["greedy"]).scene(
            0, "tuning"
        )


def test_a_drawn_load_is_tuned_on_a_draw_that_no_judging_sees(here):
    overrides = ["workload=poisson", "workload.history_s=7200", "compare.tune_s=600"]
    rest = [text for text in SMALL if not text.startswith("workload.")]
    parts = ConfigParts([*rest, *overrides], ["greedy"])
    judged, tuned = parts.scene(3), parts.scene(3, "tuning")
    assert judged.seed == 3
    assert tuned.seed not in range(1000)
    assert tuned.workload.end_s - tuned.workload.start_s == 600.0


def test_a_fair_comparison_tunes_what_it_is_told_and_says_how_sure_it_is(here, capsys):
    knobs = "compare.knobs={greedy:{headroom:[0.7,1.0],quantile:[0.5,0.9]}}"
    settings = [knobs, "compare.tune_seeds=[0,7]", "compare.tune_refine=0"]
    arguments = ["compare", "--at-equal-slo", "0.9", "planner=greedy,static_peak,lambda_only"]
    short = [text for text in SMALL if not text.startswith("workload.evaluate_s")]
    short += ["workload.evaluate_s=120", "compare.tune_s=120"]
    assert main([*arguments, "seed=0,1,2,3,4", "output=out", *settings, *short]) == 0
    out = here / "out"
    document = json.loads((out / "comparison.json").read_text())
    tuned = {entry["policy"]: entry for entry in document["tuning"]}
    assert set(tuned["greedy"]["values"]) == {"headroom", "quantile"}
    assert len(tuned["greedy"]["trials"]) == 4
    config = yaml.safe_load((out / "episodes/greedy-seed0/config.yaml").read_text())
    assert {k: config["planner"][k] for k in tuned["greedy"]["values"]} == tuned["greedy"]["values"]
    assert {test["policy"] for test in document["tests"]} == {"static_peak", "lambda_only"}
    assert all(test["seeds"] == 5 for test in document["tests"])
    assert [entry["mean_rank"] for entry in document["ranks"]] == sorted(
        entry["mean_rank"] for entry in document["ranks"]
    )
    assert document["ranks"][0]["critical_difference"] > 0.0
    assert any(not point["dominated_by"] for point in document["front"])
    for name in ("tests.csv", "ranks.csv", "front.csv", "tuning.csv", "pareto.svg"):
        assert (out / name).stat().st_size > 0, name
    page = (out / "report.html").read_text()
    assert "How sure that is" in page
    told = capsys.readouterr().out
    assert "Cost beside greedy's" in told
    assert "mean rank" in told


def test_a_setting_of_the_compared_class_alone_is_accepted(here):
    arguments = ["compare", "planner=greedy", "planner.quantile=0.6", "output=out", *SMALL]
    assert main(arguments) == 0
    config = yaml.safe_load((here / "out/episodes/greedy-seed0/config.yaml").read_text())
    assert config["planner"]["quantile"] == 0.6


def test_a_sweep_runs_every_combination(here, capsys):
    arguments = ["run", "-m", "planner=greedy,static_peak", "seed=0,1", "output=sweep", *SMALL]
    assert main(arguments) == 0
    names = sorted(path.name for path in (here / "sweep").iterdir())
    assert names == ["greedy-seed0", "greedy-seed1", "static_peak-seed0", "static_peak-seed1"]
    assert sorted(path.name for path in here.iterdir()) == ["sweep", "trace.csv"]


def test_a_sweep_of_comparisons_names_what_differs(here):
    arguments = ["compare", "-m", "workload.scale=1,2", "planner=greedy", "output=out", *SMALL]
    assert main(arguments) == 0
    names = sorted(path.name for path in (here / "out").iterdir())
    assert names == ["comparison,workload.scale=1", "comparison,workload.scale=2"]


def test_cfg_job_prints_the_composed_configuration(here, capsys):
    assert main(["run", "--cfg", "job", "planner=greedy", "seed=7"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["planner"]["_target_"] == "markopt.planning.Greedy"
    assert config["seed"] == 7


@pytest.mark.parametrize("command", ["run", "compare"])
def test_help_lists_groups_and_settings(here, capsys, command):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: markopt run" in text
    assert "planner: cocktail_weighted, cvxpy, " in text
    assert "tune_s" in text


def test_version_is_the_packages(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_plan_prints_a_plan_as_json(here, capsys):
    Path("problem.json").write_text(problem_to_json(small_problem()))
    assert main(["plan", "--problem", "problem.json", "--planner", "greedy"]) == 0
    plan = plan_from_json(capsys.readouterr().out)
    assert plan.planner == "greedy"
    assert plan.targets.sum() > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["planer=greedy"], ["planer", "'planner'"]),
        (["sead=1"], ["sead", "'seed'"]),
        (["workload.scal=2"], ["workload.scal", "'workload.scale'"]),
        (["planner=progam"], ["planner=progam", "'program'", "greedy"]),
        (["service=inception_v4"], ["service=inception_v4", "inception_v3"]),
        (["service.name=inception_v4"], ["inception_v4", "inception_v3"]),
        (["controller.horizon=0"], ["controller.horizon", "at least 1", "got 0"]),
        (["controller.horizon=abc"], ["controller.horizon", "whole number", "'abc'"]),
        (["seed=nan"], ["seed", "whole number", "nan"]),
        (["seed=-1"], ["seed", "-1"]),
        (["seed=0,1"], ["seed=0,1", "-m"]),
        (["planner._target_=no.such.Planner"], ["planner", "no.such.Planner"]),
        (["planner.quantile=2", "planner=greedy"], ["quantile", "2"]),
        (["planner.quantile=abc", "planner=greedy"], ["planner.quantile", "a number", "'abc'"]),
        (["+planner.nokey=1", "planner=greedy"], ["planner.nokey", "no such setting"]),
        (["+nokey=1"], ["nokey", "no such key"]),
        (["planner=null"], ["planner=null", "option", "greedy"]),
        (["service=null"], ["service=null", "option", "inception_v3"]),
        (["service.slo=null"], ["service.slo", "None"]),
        (["service.slo.sl_min=abc"], ["service.slo.sl_min", "a number", "'abc'"]),
        (["workload=null"], ["workload=null", "option"]),
        (["forecaster=nope"], ["forecaster=nope", "lstm"]),
        (["workload=nope"], ["workload=nope", "trace"]),
        (["catalog=nope"], ["catalog=nope", "aws_2019"]),
        (["controller.horizon=-3"], ["controller.horizon", "at least 1", "got -3"]),
        (["controller.horizon=2.5"], ["controller.horizon", "whole number", "2.5"]),
        (["controller.horizon=true"], ["controller.horizon", "whole number", "True"]),
        (["seed=abc"], ["seed", "whole number", "'abc'"]),
        (["workload.scale=-1"], ["workload.scale", "positive", "-1"]),
        (["workload.scale=nan"], ["workload.scale", "finite", "nan"]),
        (["workload.evaluate_s=999960"], ["trace.csv", "3600 s", "evaluate_s=999960"]),
        (["cloud.bouncer=maybe"], ["cloud.bouncer", "predicted_deadline", "'maybe'"]),
        (["cloud.bin_s=7"], ["cloud.bin_s", "controller.interval_s", "7"]),
        (["catalog.instance_types=[]"], ["catalog.instance_types", "at least one"]),
        (["catalog.instance_types=c5.large"], ["catalog.instance_types", "list of names"]),
        (["catalog.purchase=[]"], ["catalog.purchase", "at least one"]),
        (["catalog.launch_delay_s=abc"], ["catalog.launch_delay_s", "number or null", "'abc'"]),
        (["catalog.catalog=none.yaml"], ["none.yaml", "no such file"]),
        (["workload.path=."], ["expected a trace", "folder"]),
        (["save_problems_every=0"], ["save_problems_every", "from 1 on", "0"]),
        (["--cfg"], ["--cfg", "job, hydra, all"]),
        (["--cfg", "nope"], ["--cfg", "job, hydra, all", "nope"]),
        (["~service"], ["service"]),
        (["seed"], ["seed", "key=value"]),
        (["--sed"], ["--sed"]),
        (["workload.path=none.csv"], ["none.csv"]),
        (["workload.path=???"], ["workload.path", "required"]),
        (["planner=greedy", "planner.quantil=0.5"], ["planner.quantil", "'planner.quantile'"]),
        (["workload.evaluate_s=nan"], ["evaluate_s", "nan"]),
        (["service.slo.sl_min=1.5"], ["service.slo.sl_min", "1.5"]),
        (["catalog.instance_types=[c5.huge]"], ["c5.huge"]),
        (["output=trace.csv"], ["output=trace.csv", "must not exist"]),
        (["-m", "seed=0,1", "planner=progam,greedy"], ["planner=progam", "'program'"]),
        (["--config-file", "none.yaml"], ["none.yaml", "cannot be read"]),
        (["--config-file", "trace.csv"], ["trace.csv", "yaml"]),
    ],
)
def test_bad_input_of_run_is_one_line_and_code_2(here, capsys, arguments, words):
    overrides = [s for s in SMALL if s.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    line = fails(capsys, 2, "run", *arguments, *overrides)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "trace.csv"),
        ("second,requests\n0,5\n10,nan\n20,5\n", "nan"),
        ("second,requests\n0,5\n20,5\n10,5\n", "10"),
        ("second,requests\n", "no rows"),
        ("second,requests\n0,5\n10,-3\n20,5\n", "-3"),
        ("second,requests\n0,5\n10,5\n10,5\n", "repeat"),
        ("second,requests\n0,5\n10,many\n20,5\n", "'many'"),
        ("hour,requests\n0,5\n", "hour"),
    ],
)
def test_a_bad_trace_is_named(here, capsys, text, word):
    Path("trace.csv").write_text(text)
    assert word in fails(capsys, 2, "run", *SMALL).lower()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("on_demand_usd_per_h: 0.085", "on_demand_usd_per_hh: 0.085", ["on_demand_usd_per_hh"]),
        ("on_demand_usd_per_h: 0.085", "on_demand_usd_per_h: -0.085", ["-0.085", "greater than 0"]),
    ],
)
def test_a_mistake_in_a_catalog_names_file_key_and_value(here, capsys, old, new, words):
    text = (shipped_folder("data") / "catalog" / "aws-us-east-1-2019.yaml").read_text()
    assert old in text
    Path("mine.yaml").write_text(text.replace(old, new, 1))
    line = fails(capsys, 2, "run", "catalog.catalog=mine.yaml", *SMALL)
    for word in ["mine.yaml", "instance_types.c5.large", *words]:
        assert word in line


def test_a_batch_size_that_is_missing_in_a_profile_is_named(here, capsys):
    text = (shipped_folder("data") / "profiles" / "inception_bn.yaml").read_text()
    assert "batch_sizes: [1, 2, 4, 8, 16," in text
    text = text.replace("batch_sizes: [1, 2, 4, 8, 16,", "batch_sizes: [1, 2, 4, 8,", 1)
    Path("mine.yaml").write_text(text)
    line = fails(capsys, 2, "run", "catalog.profiles=mine.yaml", *SMALL)
    assert "mine.yaml: entries.c5.large.batch_sizes" in line


@pytest.mark.parametrize("content", [b"second,requests\n0,5\n10,5\n", b"\x1f\x8b\x08broken"])
def test_a_file_that_is_not_gzip_is_named(here, capsys, content):
    Path("trace.csv.gz").write_bytes(content)
    rest = [text for text in SMALL if not text.startswith("workload.path")]
    assert "trace.csv.gz" in fails(capsys, 2, "run", "workload.path=trace.csv.gz", *rest)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_ends_with_130_and_leaves_nothing(here, capsys):
    code = (
        "import os, signal, sys; import markopt.evaluation.episode as episode;"
        "from markopt.cli import main;"
        "episode.run_episode = lambda *_: os.kill(os.getpid(), signal.SIGINT);"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", "planner=greedy", "output=deep/out", *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "markopt: interrupted\n")
    assert sorted(path.name for path in here.iterdir()) == ["trace.csv"]


def test_a_full_or_broken_disk_is_one_line(here, capsys, monkeypatch):
    def fails_to_write(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "out/summary.json")

    monkeypatch.setattr("markopt.evaluation.results.write_episode", fails_to_write)
    line = fails(capsys, 2, "run", "planner=greedy", "output=out", *SMALL)
    assert "out/summary.json" in line
    assert "No space left" in line


def test_saved_problems_replay_the_decisions_of_the_run(here, capsys):
    arguments = ["run", "planner=program", "save_problems_every=4", "output=out", *SMALL]
    assert main(arguments) == 0
    saved = sorted((here / "out" / "problems").iterdir())
    assert [path.name for path in saved] == [f"problem-{s}.json" for s in (3000, 3240, 3480)]
    lines = (here / "out" / "decisions.jsonl").read_text().splitlines()
    logged = {entry["time_s"]: entry for entry in map(json.loads, lines)}
    for path in saved:
        capsys.readouterr()
        assert main(["plan", "--problem", str(path)]) == 0
        plan = plan_from_json(capsys.readouterr().out)
        assert logged[plan.time_s]["reason"] == plan.reason
        assert logged[plan.time_s]["objective_usd"] == plan.objective_usd
        wanted = {name: count for name, count in plan.target_now().items() if count}
        assert {k: v for k, v in logged[plan.time_s]["target"].items() if v} == wanted


def test_saving_problems_changes_no_result(here):
    assert main(["run", "planner=greedy", "output=plain", *SMALL]) == 0
    assert main(["run", "planner=greedy", "save_problems_every=1", "output=saving", *SMALL]) == 0
    for name in ("summary.json", "intervals.parquet", "decisions.jsonl", "config.yaml"):
        assert (here / "plain" / name).read_bytes() == (here / "saving" / name).read_bytes(), name
    assert len(list((here / "saving" / "problems").iterdir())) == 10
    assert not (here / "plain" / "problems").exists()


def test_report_explains_the_dearest_of_the_saved_decisions(here, capsys):
    arguments = ["run", "planner=program", "save_problems_every=3", "output=out", *SMALL]
    assert main(arguments) == 0
    page = here / "out" / "report.html"
    assert "decisions explained" not in page.read_text()
    assert main(["report", "out", "--explain", "2"]) == 0
    document = json.loads((here / "out" / "explanations.json").read_text())
    costs = [entry["figures"]["objective_usd_per_h"] for entry in document["decisions"]]
    assert len(costs) == 2
    assert costs == sorted(costs, reverse=True)
    lines = (here / "out" / "decisions.jsonl").read_text().splitlines()
    logged = {entry["time_s"]: entry for entry in map(json.loads, lines)}
    for entry in document["decisions"]:
        reason = logged[entry["time_s"]]["reason"]
        assert reason.endswith(entry["sections"][0][1][0].removeprefix("Why: "))
    text = page.read_text()
    assert "The dearest decisions explained" in text
    assert "If the load or the SLO were another" in text
    # It stays in later reports, which read files only.
    assert main(["report", "out"]) == 0
    assert page.read_text() == text


def test_report_explains_nothing_where_no_problem_was_saved(here, capsys):
    assert main(["run", "planner=greedy", "output=out", *SMALL]) == 0
    capsys.readouterr()
    assert "save_problems_every" in fails(capsys, 2, "report", "out", "--explain", "1")
    (here / "out" / "problems").mkdir()
    (here / "out" / "problems" / "problem-3000.json").write_text("{}")
    assert "--explain" in fails(capsys, 2, "report", "out", "--explain", "0")
    assert "problem-3000.json" in fails(capsys, 2, "report", "out", "--explain", "1")
    (here / "out" / "explanations.json").write_text("[]")
    assert "explanations.json" in fails(capsys, 2, "report", "out")


@pytest.mark.parametrize("name", ["problem_calm", "problem_burst"])
def test_a_saved_problem_gives_the_same_plan_twice_and_the_program_costs_least(capsys, name):
    # The evaluator reads a plan as fixed for the whole horizon, without any safety margin.
    margins = {"headroom", "spill_weight"} & inspect.signature(Program).parameters.keys()
    plain = [f"planner.{margin}=1.0" for margin in sorted(margins)]
    settings = {"program": ["planner.spread=open_loop", *plain]}
    path = Path(__file__).parent / "data" / f"{name}.json"
    problem = problem_from_json(path.read_text(), str(path))
    cost = {}
    for planner in ("program", "greedy", "square_root_staffing", "static_peak"):
        printed = []
        for _ in range(2):
            given = ["--planner", planner, *settings.get(planner, [])]
            assert main(["plan", "--problem", str(path), *given]) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]
        cost[planner] = evaluate_plan(problem, plan_from_json(printed[0])).total_usd
    assert cost["program"] <= min(cost.values()) * 1.005 + 1e-9


def test_a_problem_that_cannot_be_met_ends_with_3(here, capsys):
    problem = small_problem()
    Path("problem.json").write_text(problem_to_json(replace(problem, offers=(), function=None)))
    line = fails(capsys, 3, "plan", "--problem", "problem.json", "--planner", "static_peak")
    assert "offer" in line


def test_an_slo_that_nothing_can_meet_is_infeasible(here, capsys):
    line = fails(capsys, 3, "run", "service.slo.rt_max_s=0.001", *SMALL)
    assert "service.slo.rt_max_s" in line


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["compare", "planner=greedy,progam"], "planner=progam"),
        (["compare", "planner=greedy,greedy"], "compare.planners"),
        (["compare", "planner=greedy,program", "planner.quantile=0.8"], "of policy 'program'"),
        (["compare", "planner=greedy", "seed=0,0.5"], "seed"),
        (["compare", "compare.jobs=0"], "compare.jobs"),
        (["compare", "compare.tune_refine=-1"], "compare.tune_refine"),
        (["compare", "compare.tune_seeds=3"], "compare.tune_seeds"),
        (["compare", "--at-equal-slo", "0.9", "compare.knobs={greedy:{a:[1]}}"], "greedy.a"),
        (["compare", "--at-equal-slo", "98"], "--at-equal-slo"),
        (["compare", "--at-equal-slo", "x"], "--at-equal-slo"),
        (["compare", "workload.scale=1,20"], "workload.scale=1,20"),
        (["compare", "output=trace.csv"], "output=trace.csv"),
        (["report", "nowhere"], "nowhere"),
        (["report"], "folder"),
        (["plan", "--problem", "none.json"], "none.json"),
        (["plan", "--problem", "trace.csv"], "trace.csv"),
        (["plan", "--problem", "."], "cannot be read"),
        (["compare", "planner=[]"], "planner=[]"),
        (["compare", "save_problems_every=2"], "save_problems_every"),
        (["report", "."], "summary.json"),
        (["plan", "--problem", "trace.csv", "--planner", "progam"], "planner=progam"),
        (["rn"], "run"),
        (["version", "--loud"], "--loud"),
    ],
)
def test_bad_input_is_one_line_and_code_2(here, capsys, arguments, word):
    assert word in fails(capsys, 2, *arguments)


def test_an_existing_result_is_kept(here, capsys):
    (here / "out").mkdir()
    (here / "out" / "summary.json").write_text("{}")
    line = fails(capsys, 2, "run", "output=out", *SMALL)
    assert "must not exist" in line
    assert (here / "out" / "summary.json").read_text() == "{}"


def test_a_problem_with_an_unknown_key_is_named(here, capsys):
    document = {**json.loads(problem_to_json(small_problem())), "horizont": 3}
    Path("problem.json").write_text(json.dumps(document))
    assert "horizont" in fails(capsys, 2, "plan", "--problem", "problem.json")


def test_start_loads_nothing_heavy():
    code = (
        "import sys; from markopt.cli import main; main(['--help']);"
        "heavy = {'torch', 'pandas', 'numpy', 'hydra', 'plotly', 'cvxpy', 'numba'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compare" in done.stdout
