"""The peers end to end: on a load that trebles and falls back, each keeps its published delays."""

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from markopt.cli import main
from markopt.control.decisions import DecisionLog

PEERS = (
    "sagemaker_target_tracking",
    "ec2_target_tracking",
    "hpa",
    "spot_hedge",
    "faro_mdc",
    "cocktail_weighted",
    "melange_ilp",
)
JUMP_S, FALL_S, END_S = 2400, 4200, 7200
WORLD = (
    "service=inception_bn",
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "catalog.interruption_per_h=0",
    "controller.monitor=false",
    "workload=trace",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    f"workload.evaluate_s={END_S - 1800}",
    "controller.horizon=8",
    "controller.samples=10",
)


@pytest.fixture(scope="module")
def decisions(tmp_path_factory):
    """The decisions of every peer, and the comparison's rows, of one run on a small trace."""
    here = tmp_path_factory.mktemp("peers")
    rows = []
    for second in range(0, END_S, 10):
        rate_rps = 120 if JUMP_S <= second < FALL_S else 40
        rows.append(f"{second},{10 * rate_rps + 7 * (second // 10 % 5)}")
    (here / "trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("MARKOPT_CACHE", str(here / "cache"))
        assert main(["compare", f"planner={','.join(PEERS)}", "output=out", *WORLD]) == 0
    logs = {
        name: DecisionLog.read(here / "out" / "episodes" / f"{name}-seed0" / "decisions.jsonl")
        for name in PEERS
    }
    with Path(here / "out" / "comparison.csv").open(newline="") as file:
        return logs, {row["policy"]: row for row in csv.DictReader(file)}


def counts(log, text=""):
    """Return the last decision's instances of each time, of the offers whose name has ``text``."""
    return {d.time_s: sum(n for name, n in d.target.items() if text in name) for d in log}


def first_rise(log, text=""):
    """Return how long after the jump more is wanted for the first time."""
    later = [(t, n) for t, n in sorted(counts(log, text).items()) if t >= JUMP_S]
    return next(b[0] - JUMP_S for a, b in pairwise(later) if b[1] > a[1])


def first_fall(log, text=""):
    """Return how long after the fall less is wanted for the first time."""
    later = [(t, n) for t, n in sorted(counts(log, text).items()) if t >= FALL_S]
    return next(b[0] - FALL_S for a, b in pairwise(later) if b[1] < a[1])


def test_with_functions_they_keep_the_slo_and_their_fleets_follow_the_load(decisions):
    logs, rows = decisions
    for name in PEERS:
        assert float(rows[name]["attainment"]) >= 0.98, name
        wanted = counts(logs[name])
        before, high, last = (wanted[t] for t in (JUMP_S, FALL_S, max(wanted)))
        assert before < high, name
        assert high <= 15, f"{name}: 120 rps are 4.2 times what an instance serves at most"
        if name != "spot_hedge":  # waits for 20 minutes
            assert last < high, name


def test_alarms_take_three_minutes_out_and_fifteen_in(decisions):
    logs, _ = decisions
    for name in ("sagemaker_target_tracking", "ec2_target_tracking"):
        assert first_rise(logs[name]) == 180.0, name
        assert first_fall(logs[name]) == 900.0, name


def test_hpa_scales_out_with_the_first_point_and_in_after_five(decisions):
    logs, _ = decisions
    assert first_rise(logs["hpa"]) == 60.0
    assert first_fall(logs["hpa"]) == 300.0


def test_spot_hedge_rises_after_five_minutes_falls_after_twenty_and_bridges_on_demand(decisions):
    logs, _ = decisions
    log = logs["spot_hedge"]
    assert first_rise(log, "/spot") == 300.0
    assert first_fall(log, "/spot") == 1200.0
    on_demand = counts(log, "/on_demand")
    assert on_demand[JUMP_S + 300.0] > 0
    assert on_demand[JUMP_S + 900.0] == 0
