"""Recorded requests reach the file, all of them, in order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from markopt.cli import main
from markopt.evaluation.request_file import RequestFile

EPISODE = [
    "run",
    "workload=poisson",
    "workload.rates_rps=[40]",
    "workload.evaluate_s=600",
    "workload.history_s=3600",
    "forecaster=last_value",
    "planner=target_tracking",
]


def test_blocks_are_appended_with_names_of_paths_and_nulls(tmp_path: Path) -> None:
    with RequestFile(tmp_path / "requests.parquet") as file:
        file(np.array([0.5, 1.0]), np.array([0.1, np.nan]), np.array([0, 3], np.int8))
        file(np.array([2.0]), np.array([np.nan]), np.array([4], np.int8))
    frame = pd.read_parquet(tmp_path / "requests.parquet")
    assert frame["arrival_s"].tolist() == [0.5, 1.0, 2.0]
    assert frame["path"].tolist() == ["instances", "refused", "lost"]
    assert frame["response_s"].isna().tolist() == [False, True, True]


def test_an_empty_episode_gives_an_empty_file(tmp_path: Path) -> None:
    with RequestFile(tmp_path / "requests.parquet"):
        pass
    assert len(pd.read_parquet(tmp_path / "requests.parquet")) == 0


def test_run_writes_every_request_and_latency_by_window(tmp_path: Path) -> None:
    target = tmp_path / "episode"
    settings = ["record_requests=true", "cloud.latency_window_s=120", f"output={target}"]
    assert main([*EPISODE, *settings]) == 0
    summary = json.loads((target / "summary.json").read_text())
    frame = pd.read_parquet(target / "requests.parquet")
    requests = summary["requests"]
    assert len(frame) == requests["total"]
    counts = frame["path"].value_counts()
    assert counts.get("instances", 0) == requests["instances"]
    assert counts.get("lambda", 0) + counts.get("lambda_cold", 0) == requests["lambda"]
    assert frame["arrival_s"].is_monotonic_increasing
    in_time = (frame["response_s"] <= summary["slo"]["rt_max_s"] + 1e-9).mean()
    assert in_time == pytest.approx(summary["slo"]["attainment"], abs=1e-12)
    windows = pd.read_parquet(target / "latency_windows.parquet")
    whole = windows[windows["path"] == "all"]
    assert len(whole) == 5
    assert whole["answered"].sum() == frame["response_s"].notna().sum()
    first = frame[frame["arrival_s"] < whole["start_s"].iloc[1]]["response_s"]
    assert whole["p98_s"].iloc[0] == pytest.approx(first.quantile(0.98, "higher"), rel=0.01)


def test_compare_refuses_to_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "record_requests=true", f"output={tmp_path}/x"]) == 2
    assert "record_requests" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
