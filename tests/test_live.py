"""The studies on the local back end at toy size, end to end."""

import csv
import importlib
import sys
import uuid
from pathlib import Path

import pytest

from tests.cloud.local_worlds import needs_haproxy

ROOT = Path(__file__).resolve().parent.parent


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def load(monkeypatch):
    """Import a script of a folder as it is when run by itself."""

    def imported(folder: str, name: str):
        monkeypatch.syspath_prepend(str(ROOT / folder))
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    return imported


@needs_haproxy
def test_the_twin_check_serves_simulated_and_live_the_same_requests(load, tmp_path):
    script = load("experiments", "twin")
    folder = script.run(
        [
            f"output={tmp_path / 'twin'}",
            "twin.cases=[stand_in]",
            "twin.stand_in.repeats=4",
            "twin.stand_in.instances=3",
            "twin.stand_in.largest_batch=1",
            "workload.interval_s=10",
            "workload.evaluate_s=10",
            "cloud.bouncer=none",
        ]
    )
    compared = rows_of(folder / "comparison.csv")
    assert [row["quantity"] for row in compared] == ["attainment", "p50_ms", "p98_ms", "mean_ms"]
    assert len({row["requests"] for row in compared}) == 1
    assert int(compared[0]["requests"]) > 10
    for row in compared:
        ratio = float(row["measured"]) / float(row["predicted"])
        assert float(row["difference_percent"]) == pytest.approx(100.0 * (ratio - 1.0))
    profiles = rows_of(folder / "profiles.csv")
    assert [row["batch_size"] for row in profiles] == ["1"]
    quantiles = rows_of(folder / "quantiles.csv")
    for key in ("predicted_ms", "measured_ms", "lateness_ms"):
        found = [float(row[key]) for row in quantiles]
        assert found == sorted(found)


@needs_haproxy
def test_the_live_study_controls_a_real_fleet_and_keeps_account_of_every_request(load, tmp_path):
    script = load("experiments", "live")
    folder = script.run(
        [
            f"output={tmp_path / 'live'}",
            f"deploy.name=toy-{uuid.uuid4().hex[:8]}",
            "deploy.speed=4",
            "planner=greedy",
            "controller.horizon=3",
            "controller.samples=5",
            "workload.history_s=3600",
            "workload.evaluate_s=60",
            "workload.scale=0.1",
            "workload.interval_s=15",
            "controller.interval_s=15",
        ]
    )
    (whole,) = rows_of(folder / "requests.csv")
    assert int(whole["requests"]) > 20
    windows = rows_of(folder / "windows.csv")
    assert len(windows) == 6
    counted = sum(10.0 * float(row["rate_rps"]) for row in windows)
    assert counted == pytest.approx(int(whole["requests"]))
    assert (folder / "report.html").is_file()
    assert (folder / "live.journal").is_file()
    assert float(whole["cost_usd"]) > 0.0
