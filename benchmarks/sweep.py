"""Measure a sweep of episodes on Ray and on all cores beside the same sweep serially.

Run from the repository root:
``.venv/bin/python benchmarks/sweep.py [--jobs 100] [--hours 1,2] [--workers 2]
[--launchers NAME ...]``.
Every command is timed whole, its start included: composing, Ray's local cluster, workers that
import everything, result files and reports. Every process has one thread, so that only processes
are compared. For each length of the episodes there is also a ceiling: the same jobs as several
serial sweeps side by side, one per worker, which is what this machine's cores can give at most. The
summaries of all sweeps of a length must be the same bytes. Prints the table and writes it to
``benchmarks/results/sweep.md``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
    "controller.horizon=10",
    "controller.samples=30",
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SERIAL, CEILING = "serial", "serial sweeps side by side"


@dataclass(frozen=True)
class Row:
    """One way to do the jobs: wall seconds, and the load average at its start."""

    hours: float
    name: str
    wall_s: float
    load: float


def launchers(workers: int) -> dict[str, tuple[str, ...]]:
    """Return the overrides of each way to run the sweep, the serial one first."""
    return {
        SERIAL: (),
        "joblib": ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={workers}"),
        "ray": ("hydra/launcher=ray", f"+hydra.launcher.ray.init.num_cpus={workers}"),
    }


def command(hours: float, seeds: range, launcher: Sequence[str] = ()) -> list[str]:
    """Return the arguments of ``markopt`` but for the output."""
    length = f"workload.evaluate_s={3600 * hours:g}"
    return ["run", "-m", *EPISODE, length, f"seed=range({seeds.start},{seeds.stop})", *launcher]


def run(*sweeps: tuple[Sequence[str], Path]) -> float:
    """Run sweeps side by side, each into its folder, and return the seconds until all ended."""
    environment = {**os.environ, **dict.fromkeys(ONE_THREAD, "1")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as an installation is
    begin_s = time.perf_counter()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "markopt.cli", *arguments, f"output={output}"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for arguments, output in sweeps
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"a sweep ended with exit code {max(codes)}")
    return time.perf_counter() - begin_s


def summaries(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every job's summary below a folder."""
    return {path.parent.name: path.read_bytes() for path in folder.rglob("summary.json")}


def measure(
    hours: float, jobs: int, workers: int, scratch: Path, wanted: Sequence[str]
) -> list[Row]:
    """Return a row for each wanted way to do the jobs, and check that their results agree."""
    run((command(hours, range(1)), scratch / "warm"))  # what is cached is there from here on
    ways = {
        name: [(command(hours, range(jobs), launcher), scratch / name)]
        for name, launcher in launchers(workers).items()
        if name in (SERIAL, *wanted)
    }
    bounds = [jobs * part // workers for part in range(workers + 1)]
    if CEILING in wanted:
        ways[CEILING] = [
            (command(hours, range(low, high)), scratch / CEILING / str(low))
            for low, high in itertools.pairwise(bounds)
            if high > low
        ]
    rows = []
    for name, sweeps in ways.items():
        load = os.getloadavg()[0]
        rows.append(Row(hours, name, run(*sweeps), load))
        print(
            f"{span(hours)}, {name}: {rows[-1].wall_s:.1f} s (load average {load:.1f})",
            file=sys.stderr,
        )
    expected = summaries(scratch / SERIAL)
    if len(expected) != jobs or any(summaries(scratch / name) != expected for name in ways):
        raise SystemExit("the sweeps' summaries differ")
    return rows


def span(hours: float) -> str:
    """Return a length in words."""
    return "one hour" if hours == 1 else f"{hours:g} hours"


def lines_of(rows: Sequence[Row], jobs: int) -> list[str]:
    """Return the table's lines for episodes of one length."""
    walls = {row.name: row.wall_s for row in rows}
    return [
        f"| {span(row.hours)} | {row.name} | {row.wall_s:.1f} | {row.wall_s / jobs:.2f} | "
        f"{walls[SERIAL] / row.wall_s:.2f} | {_share(walls.get(CEILING), row.wall_s)} | "
        f"{row.load:.1f} |"
        for row in rows
    ]


def _share(ceiling_s: float | None, wall_s: float) -> str:
    return "" if ceiling_s is None else f"{100 * ceiling_s / wall_s:.0f} %"


def table(blocks: Sequence[Sequence[Row]], jobs: int, workers: int) -> str:
    """Return the result as Markdown."""
    shown = " ".join(command(blocks[0][0].hours, range(jobs)))
    called = " ".join(["benchmarks/sweep.py", *sys.argv[1:]])
    lines = [
        "# Sweeps in parallel",
        "",
        f"Written by `.venv/bin/python {called}`, which runs",
        f"`markopt {shown}`",
        "as it is, with joblib's launcher and on a local Ray cluster, for each length of the "
        "episodes.",
        "",
        f"Machine: {os.cpu_count()} cores, Python {platform.python_version()}; {workers} workers "
        "of one thread. Whole commands, start included; all summaries are the same bytes. Goal: "
        f"{GOAL} times as fast on two cores. *{CEILING.capitalize()}*: the jobs shared out among "
        f"{workers} serial sweeps that run at the same time, the most that these cores give.",
        "",
        "| episodes of | launcher | whole, s | per episode, s | times as fast | of the ceiling "
        "| load average at the start |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(line for rows in blocks for line in lines_of(rows, jobs)),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--hours", default="1,2", help="lengths of the episodes")
    parser.add_argument("--workers", type=int, default=2)
    ways = [*launchers(1), CEILING]
    parser.add_argument("--launchers", nargs="+", choices=ways, default=ways)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    blocks = []
    for hours in [float(text) for text in given.hours.split(",")]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            blocks.append(measure(hours, given.jobs, given.workers, folder, given.launchers))
    text = table(blocks, given.jobs, given.workers)
    print(text)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
