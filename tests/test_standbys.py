"""Burstable standbys end to end: a notice, the bridge, the replacement, the bill."""

import json
from pathlib import Path

import pytest

from markopt.cli import main
from markopt.control.decisions import DecisionLog

STANDBY = "t2.medium/burstable"
SPOT = "c5.large/spot"
WORLD = (
    "service=inception_bn",
    "forecaster=last_value",
    "catalog.instance_types=[c5.large,t2.medium]",
    "catalog.batching=none",
    "catalog.interruption_per_h=2",
    "catalog.launch_delay_s=300",
    "cloud.market.shock_share=0",
    "controller.monitor=false",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    "workload.evaluate_s=3600",
    "controller.horizon=8",
    "controller.samples=10",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """An empty folder with a steady trace in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    rows = [f"{10 * k},{600 + 5 * (k % 7)}" for k in range(540)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    return tmp_path


@pytest.mark.parametrize("planner", ["greedy", "program"])
def test_standbys_start_on_a_notice_and_stop_when_the_replacement_is_ready(here, planner):
    policy = f"{planner}_with_standbys"
    purchase = "catalog.purchase=[spot,burstable]"
    assert main(["run", f"planner={policy}", purchase, "output=out", *WORLD]) == 0
    decisions = DecisionLog.read(here / "out" / "decisions.jsonl")
    assert {decision.planner for decision in decisions} == {policy}

    started = next(d for d in decisions if d.launch.get(STANDBY))
    # A notice to one that still boots shows only as a launch that is no longer on its way.
    before = decisions[decisions.index(started) - 1]
    noticed_in_boot = bool(before.launched.get(SPOT)) and not started.seen.pending
    assert started.seen.noticed or noticed_in_boot, "nothing but a notice starts standbys here"
    after = decisions[decisions.index(started) + 1 :]
    stopped = next(d for d in after if not d.target.get(STANDBY))
    bridge = after[: after.index(stopped)]
    # The replacement takes 300 s, the notice 120 s: the bridge outlasts the notice.
    assert any(not d.seen.noticed and d.seen.pending for d in bridge)
    assert all(d.seen.noticed or d.seen.pending or d.launch.get(SPOT) for d in bridge)
    assert len(bridge) >= 4
    ids = set(started.launched[STANDBY])
    assert ids <= {name for d in decisions for name in d.terminated}, "all are stopped again"
    assert not ids & {name for d in bridge for name in d.terminated}

    summary = json.loads((here / "out" / "summary.json").read_text())
    assert summary["policy"] == policy
    assert summary["cost_usd"]["burstable"] > 0.0
    assert summary["cost_usd"]["burstable"] < summary["cost_usd"]["spot"]
    assert summary["interruptions"] > 0


def test_without_interruptions_standbys_cost_nothing_and_change_nothing(here):
    calm = [o for o in WORLD if "interruption" not in o] + ["catalog.interruption_per_h=0"]
    purchase = "catalog.purchase=[spot,burstable]"
    summaries = []
    for policy in ("greedy", "greedy_with_standbys"):
        assert main(["run", f"planner={policy}", purchase, f"output={policy}", *calm]) == 0
        summaries.append(json.loads((here / policy / "summary.json").read_text()))
    assert summaries[1].pop("policy") == "greedy_with_standbys"
    assert summaries[0].pop("policy") == "greedy"
    for summary in summaries:
        del summary["config"], summary["provenance"]  # which tell the two apart
    assert summaries[0] == summaries[1]


def test_standbys_that_are_not_on_offer_are_one_line_and_code_2(here, capsys):
    assert main(["run", "planner=program_with_standbys", "output=out", *WORLD]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "catalog.purchase" in lines[0]
    assert STANDBY in lines[0]
    assert not (here / "out").exists()


def test_tuning_turns_the_wrapped_planners_knob(here):
    arguments = ["compare", "--at-equal-slo", "0.9", "planner=greedy,greedy_with_standbys"]
    purchase = "catalog.purchase=[on_demand,spot,burstable]"
    spans = ["compare.tune_s=600", "compare.tune_search=bisection"]
    world = [o for o in WORLD if "evaluate_s" not in o] + ["workload.evaluate_s=600"]
    assert main([*arguments, purchase, "output=out", *spans, *world]) == 0
    document = json.loads((here / "out" / "comparison.json").read_text())
    tuned = {entry["policy"]: entry for entry in document["tuning"]}
    assert tuned["greedy"]["knob"] == "headroom"
    assert tuned["greedy_with_standbys"]["knob"] == "planner.headroom"
    assert len(tuned["greedy_with_standbys"]["trials"]) > 1
