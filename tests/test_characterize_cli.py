"""``markopt characterize`` as a user meets it, and containers that planners buy."""

from __future__ import annotations

import csv
import io
import json
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
import yaml

from markopt.cli import main
from markopt.resources import shipped_folder

ROOT = Path(__file__).resolve().parent.parent
KNOWN = {"source": "made up", "confidence": "measured"}
GUESS = {"source": "made up", "confidence": "assumed"}
SMALL = (
    "service.name=tiny",
    "catalog.catalog=prices.yaml",
    "catalog.profiles=tiny.yaml",
    "characterize.requests=2000",
    "characterize.pool_instances=3",
)
FILES = {"characterization.csv", "findings.json", "table.md", "report.html"}


def prices():
    def sold(usd_per_h, **more):
        return {"vcpus": 2, "memory_gb": 4, "on_demand_usd_per_h": usd_per_h, **KNOWN, **more}

    spot = {"usd_per_h": 0.03, "interruption_per_h": 0.01, **KNOWN}
    scaling = [{"scaled_from": "c5.large", "time_factor": 1.0, **GUESS}]
    return {
        "name": "small",
        "region": "nowhere-1",
        "as_of": "2019",
        "billing": {"minimum_billed_s": 60, "spot_notice_s": 120, **KNOWN},
        "launch": {"delay_s": 100, **KNOWN},
        "stopped_start": {"delay_s": 40, **GUESS},
        "instance_types": {
            "c5.large": sold(0.1, spot=spot),
            "c5.xlarge": sold(0.2, vcpus=4),
            "p2.xlarge": sold(0.9, gpu="K80", vcpus=4),
            "fargate/2vcpu-4gb": sold(
                0.12, container=True, launch={"delay_s": 30, **KNOWN}, scaling=scaling
            ),
        },
        "functions": {
            "price": {
                "usd_per_gb_s": 1.6e-5,
                "usd_per_invocation": 2e-7,
                "billing_step_s": 0.1,
                **KNOWN,
            },
            "warm": {"usd_per_gb_s": 4e-6, "use_usd_per_gb_s": 1e-5, **KNOWN},
            "concurrency": {"limit": 20, **KNOWN},
            "memory": {"max_mb": 3008, **KNOWN},
            "idle": {"timeout_s": 600, **KNOWN},
            "sizes": [{"memory_mb": 1024, "cold_start_s": 3.0, **KNOWN}],
        },
    }


def profiles(confidence="measured"):
    def curve(*times_ms):
        sizes = [1, 4, 16][: len(times_ms)]
        known = {"source": "made up", "confidence": confidence}
        return {"batch_sizes": sizes, "service_times_ms": list(times_ms), **known}

    return {
        "service": "tiny",
        "framework": "none",
        "dispersion": {"service_time_cv": 0.02, **GUESS},
        "entries": {
            "c5.large": curve(30, 110),
            "c5.xlarge": curve(20, 70),
            "p2.xlarge": curve(10, 14, 22),
            "lambda/1024": curve(90),
        },
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """An empty folder with a made-up catalogue and profile in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    Path("prices.yaml").write_text(yaml.safe_dump(prices(), sort_keys=False))
    Path("tiny.yaml").write_text(yaml.safe_dump(profiles(), sort_keys=False))
    return tmp_path


@pytest.fixture(scope="module")
def study(tmp_path_factory, cache):
    """A folder with a study of the made-up service in ``out``, and what was printed."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        patch.setenv("MARKOPT_CACHE", str(cache))
        Path("prices.yaml").write_text(yaml.safe_dump(prices(), sort_keys=False))
        Path("tiny.yaml").write_text(yaml.safe_dump(profiles(), sort_keys=False))
        assert main(["characterize", "catalog=aws_2019", "output=out", *SMALL]) == 0
    return folder, printed.getvalue()


def fails(capsys, code, *arguments):
    before = sorted(Path().rglob("*"))
    assert main(["characterize", *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("markopt: ")
    assert sorted(Path().rglob("*")) == before, "something was left behind"
    return lines[0]


def verdicts(folder):
    document = json.loads((Path(folder) / "findings.json").read_text())
    return {(f["catalog"], f["key"]): f["verdict"] for f in document["findings"]}


def test_a_study_writes_its_files_prints_its_tables_and_can_be_reported_again(study):
    here, printed = study
    assert "tiny, 98 % within 200 ms" in printed
    assert "A GPU pays off only with batching and enough load." in printed
    assert {path.name for path in (here / "out").iterdir()} == FILES
    with (here / "out" / "characterization.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["purchase"] for row in rows} == {"on_demand", "spot", "container", "function"}
    assert {row["load"] for row in rows} == {"low", "one", "pool", "cold"}
    page = (here / "out" / "report.html").read_text()
    (here / "out" / "report.html").unlink()
    assert main(["report", str(here / "out")]) == 0
    assert (here / "out" / "report.html").read_text() == page


def test_the_verdicts_are_those_of_the_made_up_world(study):
    # Cost by saturation: c5.large 0.76, c5.xlarge 0.97 (batched), p2.xlarge 2.5 unbatched and 0.34
    # batched, the container 1.2 times c5.large but assumed, the function 1.8 USD per million.
    found = {key: verdict for (_, key), verdict in verdicts(study[0] / "out").items()}
    assert found == {
        "small_cpu": "holds",
        "gpu": "holds",
        "cost_order": "not decided",
        "fastest_to_scale": "holds",
        "iaas_ratio": "not decided",
    }


def test_a_service_with_assumed_profiles_alone_decides_no_cost(here):
    Path("tiny.yaml").write_text(yaml.safe_dump(profiles("assumed"), sort_keys=False))
    assert main(["characterize", "catalog=aws_2019", "output=out", *SMALL]) == 0
    found = {key: verdict for (_, key), verdict in verdicts("out").items()}
    assert {found[key] for key in ("small_cpu", "gpu", "cost_order", "iaas_ratio")} == {
        "not decided"
    }


def test_several_catalogs_share_one_table_and_are_judged_apart(here):
    assert main(["characterize", "catalog=aws_2019,aws_2026", "output=out", *SMALL]) == 0
    assert len(verdicts("out")) == 10
    table = (here / "out" / "table.md").read_text()
    assert "| aws_2019 | c5.large | on_demand |" in table
    assert "| aws_2026 | c5.large | on_demand |" in table


def test_the_same_seed_writes_the_same_bytes(here, study):
    assert main(["characterize", "catalog=aws_2019", "output=two", *SMALL]) == 0
    for name in FILES:
        one, two = study[0] / "out" / name, here / "two" / name
        assert one.read_bytes() == two.read_bytes(), name


def test_the_figure_is_drawn_from_the_files(here, study, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "paper_figs"))
    folder = str(study[0] / "out")
    figure = runpy.run_path(str(ROOT / "paper_figs" / "characterization.py"))
    for name in ("first.svg", "second.svg"):
        assert figure["main"]([folder, name]) == 0
    assert Path("first.svg").read_bytes() == Path("second.svg").read_bytes()
    assert "<svg" in Path("first.svg").read_text()
    assert figure["main"]([folder, "pixels.png"]) == 2
    assert figure["main"](["nowhere", "first.pdf"]) == 2


def test_what_is_committed_of_a_study_draws_the_same_figure(here, study, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "paper_figs"))
    points = runpy.run_path(str(ROOT / "experiments" / "characterization_points.py"))
    assert points["main"]([str(study[0] / "out"), "kept"]) == 0
    figure = runpy.run_path(str(ROOT / "paper_figs" / "characterization.py"))
    assert figure["caption"](Path("kept")) == figure["caption"](study[0] / "out")
    for folder, name in ((study[0] / "out", "whole.pdf"), ("kept", "kept.pdf")):
        assert figure["main"]([str(folder), name]) == 0
    assert Path("whole.pdf").read_bytes() == Path("kept.pdf").read_bytes()
    assert points["main"](["nowhere", "kept"]) == 2
    assert points["main"](["kept"]) == 2


def test_the_table_of_verdicts_is_made_from_the_files(study):
    script = runpy.run_path(str(ROOT / "experiments" / "characterization.py"))
    header, _, row = script["verdicts"](study[0]).splitlines()
    assert len(header.split(" | ")) == len(row.split(" | ")) == 8
    assert row.startswith("| tiny | aws_2019 | holds | holds | ")
    assert "(indicated) | holds |" in row


def test_the_study_of_all_services_sweeps_at_toy_size_and_names_what_differs(here, capsys):
    script = runpy.run_path(str(ROOT / "experiments" / "characterization.py"))
    few = ["catalog.instance_types=[c5.large]", "catalog.function_memory_mb=null"]
    arguments = ["service=inception_bn", "seed=0,1", "catalog=aws_2019", *few, *SMALL]
    assert script["run"]([*arguments, "output=out"]) == 0
    names = [f"characterization-tiny,seed={seed}" for seed in (0, 1)]
    assert sorted(path.name for path in (here / "out").iterdir()) == [*names, "verdicts.md"]
    text = (here / "out" / "verdicts.md").read_text()
    assert capsys.readouterr().out.endswith(text)
    assert text.count("| tiny | aws_2019 |") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["catalog=nope"], ["catalog=nope", "aws_2019"]),
        (["service=nope"], ["service=nope", "inception_bn"]),
        (["service.name=huge"], ["huge", "tiny"]),
        (["planner=greedy"], ["planner", "does not depend"]),
        (["catalog.purchase=[spot]"], ["catalog.purchase", "does not depend"]),
        (["characterize.low_utilization=2"], ["characterize.low_utilization", "2"]),
        (["characterize.requests=many"], ["characterize.requests", "whole number", "'many'"]),
        (["characterize.batch_sizes=[0]"], ["characterize.batch_sizes", "0"]),
        (["characterize.batch_sizes=4"], ["characterize.batch_sizes", "4"]),
        (["characterize.bach_sizes=[4]"], ["characterize.bach_sizes"]),
        (["+characterize.more=1"], ["characterize.more", "no such setting"]),
        (["catalog.instance_types=[c5.huge]"], ["c5.huge"]),
        (["catalog.catalog=none.yaml"], ["none.yaml", "no such file"]),
        (["service.slo.rt_max_s=-1"], ["service.slo.rt_max_s", "-1"]),
        (["seed=-1"], ["seed", "-1"]),
        (["output=tiny.yaml"], ["output=tiny.yaml", "must not exist"]),
        (["--sed"], ["--sed"]),
    ],
)
def test_bad_input_is_one_line_and_code_2(here, capsys, arguments, words):
    rest = [s for s in SMALL if s.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    line = fails(capsys, 2, *arguments, *rest)
    for word in words:
        assert word in line


def test_a_service_that_no_platform_runs_is_named(here, capsys):
    document = profiles()
    document["entries"] = {"x1.huge": document["entries"]["c5.large"]}
    Path("tiny.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    line = fails(capsys, 2, "catalog=aws_2019", "output=out", *SMALL)
    assert "profile of service 'tiny'" in line


def test_a_mistake_of_the_catalog_shows_before_anything_is_measured(here, capsys):
    text = Path("prices.yaml").read_text()
    Path("prices.yaml").write_text(text.replace("scaled_from", "scaled_by", 1))
    line = fails(capsys, 2, "catalog=aws_2019", "output=out", *SMALL)
    assert "prices.yaml" in line
    assert "scaled_by" in line


def test_help_names_the_command(here, capsys):
    assert main(["characterize", "--help"]) == 0
    assert "markopt characterize" in capsys.readouterr().out


# Containers are offers like any other.

FARGATE = "fargate/2vcpu-4gb"
RUN = (
    "service.name=tiny",
    "catalog.catalog=prices.yaml",
    "catalog.profiles=tiny.yaml",
    "catalog.instance_types=[c5.large,fargate/2vcpu-4gb]",
    "catalog.batching=none",
    "forecaster=last_value",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    "workload.evaluate_s=600",
    "controller.horizon=3",
    "controller.samples=10",
)


def billed(here, name):
    table = pd.read_parquet(here / name / "intervals.parquet")
    return {c: table[c].sum() for c in table.columns if c.startswith("billed:")}


@pytest.mark.parametrize("planner", ["program", "greedy"])
def test_planners_buy_containers_where_they_are_the_best_choice(here, planner):
    document = prices()
    container, containers = document["instance_types"][FARGATE], f"billed:{FARGATE}/container"
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    both = "catalog.purchase=[on_demand,container]"
    arguments = ["run", f"planner={planner}", both, *RUN]
    container["on_demand_usd_per_h"] = 0.4
    Path("prices.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert main([*arguments, "output=dear"]) == 0
    # Even a dear container may fill a gap, since it is ready sooner: the fleet is of instances.
    found = billed(here, "dear")
    assert found["billed:c5.large/on_demand"] > 5 * found.get(containers, 0)
    container["on_demand_usd_per_h"] = 0.05
    Path("prices.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert main([*arguments, "output=cheap"]) == 0
    found = billed(here, "cheap")
    assert found[containers] > 0
    assert found.get("billed:c5.large/on_demand", 0) == 0
    assert (here / "cheap" / "report.html").is_file()
    summary = json.loads((here / "cheap" / "summary.json").read_text())
    assert summary["slo"]["met"]
    assert summary["cost_usd"]["container"] > 0.0


def test_a_shipped_service_runs_on_fargate_with_its_own_launch_delay(here):
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    rest = [s for s in RUN if not s.startswith(("service", "catalog.catalog", "catalog.prof"))]
    rest = [s for s in rest if not s.startswith("catalog.instance_types")]
    chosen = "catalog.instance_types=[fargate/2vcpu-4gb]"
    options = ["service=inception_bn", "catalog.purchase=[container]", chosen]
    arguments = ["run", "planner=greedy", "save_problems_every=1", *options, *rest]
    assert main([*arguments, "output=out"]) == 0
    problem = json.loads(next((here / "out" / "problems").iterdir()).read_text())
    (offer,) = problem["offers"]
    assert offer["purchase"] == "container"
    assert offer["launch_delay_s"] == 45.0


def test_containers_alone_are_refused_where_instances_are_wanted(here, capsys):
    rows = [f"{10 * k},{250}" for k in range(360)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    rest = [s for s in RUN if not s.startswith("catalog.instance_types")]
    chosen = "catalog.instance_types=[fargate/2vcpu-4gb]"
    assert main(["run", "planner=greedy", chosen, *rest]) == 2
    line = capsys.readouterr().err
    assert "catalog.purchase" in line
    assert "fargate/2vcpu-4gb" in line


def test_the_shipped_defaults_name_catalogs_that_exist():
    config = yaml.safe_load((shipped_folder("conf") / "config.yaml").read_text())
    for name in config["characterize"]["catalogs"]:
        assert (shipped_folder("conf") / "catalog" / f"{name}.yaml").is_file()
