"""A browser for the session, and the reports of tiny runs, each made once for all workers."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from filelock import FileLock

from markopt.cli import main
from tests.browser.screen import Screen

TINY = (
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    "workload.evaluate_s=600",
    "controller.horizon=3",
    "controller.samples=10",
)
EPISODE = ("regret_every=5", "attribute_loss=true", "save_problems_every=2")
COMMANDS = {
    "run": [["run", "planner=greedy", *EPISODE, *TINY], ["report", "run", "--explain", "2"]],
    "comparison": [["compare", "planner=greedy,static_peak", "seed=0,1", *TINY]],
    "equal_slo": [
        ["compare", "--at-equal-slo", "0.9", "planner=greedy", "compare.tune_s=600", *TINY]
    ],
    "characterization": [
        [
            *("characterize", "service=inception_bn", "catalog=aws_2019"),
            *("characterize.requests=1000", "characterize.pool_instances=2"),
        ]
    ],
    "backtest": [
        [
            *("backtest", "forecaster=last_value,seasonal_naive", "workload=sample"),
            *("backtest.horizon=4", "backtest.samples=20", "backtest.stride=4"),
        ]
    ],
}
"""What makes each page, in a folder of its name."""


def make(folder: Path) -> None:
    """Make all pages in a folder."""
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    (folder / "trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()):
        patch.chdir(folder)
        patch.setenv("MARKOPT_CACHE", str(folder / "cache"))
        for name, (first, *more) in COMMANDS.items():
            assert main([*first, f"output={name}"]) == 0
            for command in more:
                assert main(command) == 0


@pytest.fixture(scope="session")
def chromium() -> tuple[str, str]:
    """Return where the browser and its driver are."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium and chromedriver (Debian: chromium-driver) are not both installed")
    return browser, driver


@pytest.fixture(scope="session")
def pages(
    chromium: tuple[str, str], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> dict[str, Path]:
    """Return every kind of report by name."""
    root = tmp_path_factory.getbasetemp()
    folder = (root if worker_id == "master" else root.parent) / "reports"
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").is_file():
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return {name: folder / name / "report.html" for name in COMMANDS}


@pytest.fixture(scope="session")
def screen(chromium: tuple[str, str]):
    """A browser window; tests say its width and color scheme when they open a page."""
    window = Screen(*chromium)
    yield window
    window.close()
