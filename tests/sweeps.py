"""What tests of sweeps share: a small trace, small episodes, planners that break, a fake SLURM."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "planner=greedy",
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "catalog.batching=none",
    "workload.path=trace.csv",
    "workload.history_s=1800",
    "workload.evaluate_s=600",
    "controller.horizon=3",
    "controller.samples=10",
)
BREAKING = """
import os
from markopt.planning import Greedy


class Exiting(Greedy):
    def plan(self, problem):
        os._exit(9)


class Faulty(Greedy):
    def plan(self, problem):
        raise RuntimeError("a fault of its own")
"""
SBATCH = """
import os, re, subprocess, sys

text = open(sys.argv[-1]).read()
open(sys.argv[-1] + ".seen", "w").write(text)
count = int(re.search(r"--array=0-(\\d+)", text).group(1)) + 1
for task in range(count):
    names = {"JOB_ID": 100 + task, "ARRAY_JOB_ID": 100, "ARRAY_TASK_ID": task, "NTASKS": 1}
    zero = {"PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_NUM_NODES": 1}
    environment = {f"SLURM_{k}": str(v) for k, v in {**names, **zero}.items()}
    subprocess.Popen(["bash", sys.argv[-1]], env={**os.environ, **environment},
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job 100")
"""
SRUN = """
import os, sys

rest = sys.argv[1:]
while rest[0].startswith("-"):
    rest = rest[2:] if rest[0] in ("--output", "--error") else rest[1:]
os.execvp(rest[0], rest)
"""
SACCT = "print('JobID|State|NodeList')"


def write_trace(folder: Path) -> None:
    """Write an hour of counts in 10 s bins."""
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    (folder / "trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")


def fake_slurm(folder: Path) -> Path:
    """Write ``sbatch``, ``srun`` and ``sacct`` that run an array's tasks on this machine."""
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (folder / name).write_text(f"#!{sys.executable}\n{text}")
        (folder / name).chmod(0o755)
    return folder


def markopt(
    folder: Path, *arguments: str, path: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in ``folder``."""
    known = os.environ.get("PYTHONPATH")
    modules = os.pathsep.join([str(folder), str(ROOT), *([known] if known else [])])
    paths = os.pathsep.join([*([path] if path else []), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "markopt.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": modules, "PATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
