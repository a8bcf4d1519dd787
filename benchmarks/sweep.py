"""Measure a sweep of short episodes on Ray and on all cores beside the same sweep serially.

Run from the repository root: ``.venv/bin/python benchmarks/sweep.py [--jobs 100] [--workers 2]``.
Every command is timed whole, its start included: composing, Ray's local cluster, workers that
import everything, result files and reports. Every process has one thread, so that only processes
are compared. The summaries of all sweeps must be the same bytes. Prints the table and writes it to
``benchmarks/results/sweep.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "sweep.md"
GOAL = 1.7
EPISODE = (
    "planner=program",
    "forecaster=last_value",
    "service=inception_v3",
    "catalog.instance_types=[c5.large,c5.xlarge,c5.2xlarge]",
    "workload.scale=10",
    "workload.evaluate_s=3600",
    "controller.horizon=10",
    "controller.samples=30",
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def launchers(workers: int) -> dict[str, tuple[str, ...]]:
    """Return the overrides of each way to run the sweep, the serial one first."""
    return {
        "serial": (),
        "joblib": ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}"),
        "ray": ("hydra/launcher=ray", f"+hydra.launcher.ray.init.num_cpus={workers}"),
    }


def command(jobs: int, launcher: Sequence[str]) -> list[str]:
    """Return the arguments of ``markopt`` but for the output."""
    return ["run", "-m", *EPISODE, f"seed=range(0,{jobs})", *launcher]


def run(arguments: Sequence[str], output: Path) -> float:
    """Run a sweep and return its seconds."""
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    begin_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "markopt.cli", *arguments, f"output={output}"],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin_s


def summaries(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every job's summary."""
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/summary.json")}


def measure(jobs: int, workers: int, scratch: Path) -> list[tuple[str, float, float]]:
    """Return name, seconds and load average at the start of each way, and check their results."""
    run(command(1, ()), scratch / "warm")  # calibrations and compiled code are cached from here on
    rows: list[tuple[str, float, float]] = []
    for name, launcher in launchers(workers).items():
        load = os.getloadavg()[0]
        rows.append((name, run(command(jobs, launcher), scratch / name), load))
        print(f"{name}: {rows[-1][1]:.1f} s (load average {load:.1f})", file=sys.stderr)
    expected = summaries(scratch / "serial")
    if len(expected) != jobs or any(summaries(scratch / name) != expected for name, *_ in rows):
        raise SystemExit("the sweeps' summaries differ")
    return rows


def table(rows: Sequence[tuple[str, float, float]], jobs: int, workers: int) -> str:
    """Return the result as Markdown."""
    serial_s = rows[0][1]
    shown = " ".join(command(jobs, ()))
    lines = [
        "# Sweeps in parallel",
        "",
        "Written by `.venv/bin/python benchmarks/sweep.py`, which runs",
        f"`markopt {shown}`",
        "as it is, with joblib's launcher and on a local Ray cluster.",
        "",
        f"Machine: {os.cpu_count()} cores, Python {platform.python_version()}; {workers} workers "
        "of one thread. Whole commands, start included; all summaries are the same bytes. Goal: "
        f"{GOAL} times as fast on two cores.",
        "",
        "| launcher | whole, s | per episode, s | times as fast | load average at the start |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {wall:.1f} | {wall / jobs:.2f} | {serial_s / wall:.2f} | {load:.1f} |"
            for name, wall, load in rows
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(given.jobs, given.workers, Path(scratch))
    text = table(rows, given.jobs, given.workers)
    print(text)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
