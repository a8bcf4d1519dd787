"""No look-ahead, end to end: what a trace will bring changes no decision made before it."""

import json
import math
from pathlib import Path

import pytest

from markopt.cli import main

BIN_S = 10
BINS = 390
HISTORY_S = 2400
EVALUATE_S = BINS * BIN_S - HISTORY_S
CHANGE_S = HISTORY_S + 1200
FORECASTERS = {
    "seasonal_naive": ("forecaster.period_s=600",),
    "arima": ("forecaster.max_iterations=10", "forecaster.order=[1,0,0]"),
    "lstm_carried": ("forecaster@forecaster.forecaster=last_value",),
    "oracle": (),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def requests(second: int, *, altered: bool) -> int:
    """Return a bin's count: a wave, and in the altered trace a surge from ``CHANGE_S`` on."""
    count = 400 + 150 * math.sin(second / 300.0) + 40 * (second // BIN_S % 3)
    if altered and second >= CHANGE_S:
        count = 5.0 * count + 17.0
    return round(count)


def decisions(policy: str, forecaster: str, *, altered: bool) -> list[str]:
    """Run an episode and return the lines of its decision log."""
    rows = [f"{s},{requests(s, altered=altered)}" for s in range(0, BINS * BIN_S, BIN_S)]
    Path("trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    folder = f"{policy}-{forecaster}-{altered}"
    arguments = [
        "run",
        f"planner={policy}",
        f"forecaster={forecaster}",
        *FORECASTERS[forecaster],
        "workload.path=trace.csv",
        f"workload.history_s={HISTORY_S}",
        f"workload.evaluate_s={EVALUATE_S}",
        "catalog.instance_types=[c5.large,c5.xlarge]",
        "catalog.batching=none",
        "catalog.interruption_per_h=2",
        "controller.horizon=6",
        "controller.samples=20",
        f"output={folder}",
    ]
    assert main(arguments) == 0
    return (Path(folder) / "decisions.jsonl").read_text().splitlines()


def early(lines: list[str]) -> list[str]:
    """Return the decisions up to the change; the plan made at it has seen nothing of it yet."""
    return [line for line in lines if json.loads(line)["time_s"] <= CHANGE_S]


@pytest.mark.parametrize("forecaster", ["seasonal_naive", "arima", "lstm_carried"])
@pytest.mark.parametrize("policy", ["program", "greedy", "target_tracking"])
def test_the_future_of_a_trace_changes_no_earlier_decision(
    policy, forecaster, tmp_path, monkeypatch, cache
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    known = decisions(policy, forecaster, altered=False)
    altered = decisions(policy, forecaster, altered=True)

    assert len(early(known)) > 20
    assert early(known) == early(altered)
    assert known != altered, "the surge must show, or the test compares nothing"


def test_perfect_foresight_is_seen_by_the_same_comparison(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    known = decisions("greedy", "oracle", altered=False)
    altered = decisions("greedy", "oracle", altered=True)
    assert early(known) != early(altered)
