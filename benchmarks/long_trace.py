"""Measure a two-week episode with a policy in the loop: time, memory, requests per second.

Run from the repository root: ``.venv/bin/python benchmarks/long_trace.py``. Plays 13 days of the
Twitter trace (about 70 million requests) from ``MARKOPT_DATA`` or ``../shared/data``; where it is
absent, as many requests of a daily rhythm. Prints the result and writes it to
``benchmarks/results/long_trace.md``.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "long_trace.md"
TRACE = "traces/twitter_2021-08_14d_per_second.csv.gz"
POLICY = ["planner=target_tracking", "forecaster=last_value", "service=inception_v3"]
SPAN = ["workload.evaluate_s=1121400", "workload.history_s=86400"]


def command(output: Path) -> list[str]:
    data = Path(os.environ.get("MARKOPT_DATA", ROOT.parent / "shared" / "data"))
    real = (data / TRACE).exists()
    workload = ["workload=twitter" if real else "workload=poisson", "workload.scale=1.0"]
    return ["run", *POLICY, *workload, *SPAN, f"output={output}"]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "episode"
        arguments = command(output)
        load = os.getloadavg()[0]
        begin_s = time.perf_counter()
        program = [sys.executable, "-m", "markopt.cli", *arguments]
        subprocess.run(program, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        whole_s = time.perf_counter() - begin_s
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.loads((output / "summary.json").read_text())
        timing = json.loads((output / "timing.json").read_text())
    episode_s = float(timing["wall_s"]["episode"])
    total = int(summary["requests"]["total"])
    shown = " ".join(argument for argument in arguments if not argument.startswith("output="))
    text = "\n".join(
        [
            "# A two-week episode",
            "",
            "Written by `.venv/bin/python benchmarks/long_trace.py`, which runs",
            f"`markopt {shown}`",
            "",
            f"Machine: {os.cpu_count()} cores (one is used; load average {load:.1f} at the start), "
            f"Python {platform.python_version()}. The whole command: start, reading the trace, the "
            "clairvoyant bound, the episode, result files and report.",
            "",
            "| requests, M | whole, s | processor, s | episode, s | episode, M requests/s "
            "| peak memory, MB |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            f"| {total / 1e6:.1f} | {whole_s:.1f} | {used.ru_utime + used.ru_stime:.1f} "
            f"| {episode_s:.1f} | {total / episode_s / 1e6:.2f} "
            f"| {used.ru_maxrss * 1.024e-3:.0f} |",
            "",
        ]
    )
    print(text)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    partial = RESULT.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(RESULT)


if __name__ == "__main__":
    main()
