"""The program against the textbook formulation in cvxpy, PuLP with CBC, and MArk's greedy.

Run from the repository root: ``.venv/bin/python benchmarks/planner.py [SIZE ...] [--limit S]``, a
SIZE such as 20x30x100 (offers x intervals x scenarios). Every row is a process of its own, all rows
of a size in the same run, on the same statement: launch delays, correlated spot pools (joint
states), priced warm functions, stock, pool, launch and vCPU quotas, whole instances in the same
first intervals. Prints its table and writes it to ``benchmarks/results/planner.md``. The textbook
rows run into their time limit from the third size on, so all of it takes half an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from planner_problems import next_fleet, next_problem, planner_problem  # noqa: E402

from markopt.core import Problem, WarmStart  # noqa: E402
from markopt.planning import CvxpyProgram, Greedy, PulpProgram  # noqa: E402
from markopt.planning.program.builder import build_program  # noqa: E402
from markopt.planning.program.pricing import starting_offers  # noqa: E402
from markopt.planning.program.relaxation import Relaxation  # noqa: E402
from markopt.planning.program.search import search  # noqa: E402
from markopt.planning.program.sleeping import calmer_states  # noqa: E402
from markopt.planning.program.solver import SolverOptions  # noqa: E402
from markopt.planning.program.warm import read, saved  # noqa: E402
from markopt.planning.requirement import fleet_mix  # noqa: E402
from markopt.planning.statement import Formulation, Statement  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "planner.md"
SIZES = ("5x10x20", "20x30x100", "100x30x100", "400x30x100", "600x60x200")
GOAL_MS = {"20x30x100": 50.0, "400x30x100": 500.0, "600x60x200": 1000.0}
GAP = 1e-3
SEEDS = (0, 1, 2)
REPEATS = 3
DECISIONS = 8
SETTINGS: dict[str, Any] = {
    **{"window": None, "integer_intervals": 4, "interruptions": "joint"},
    **{"spread": "open_loop", "spill_weight": 3.0},
}
Row = dict[str, Any]


def statement_of(size: str, seed: int) -> Statement:
    offers, horizon, scenarios = (int(part) for part in size.split("x"))
    return stated(planner_problem(offers, horizon, scenarios, seed=seed))


def stated(problem: Problem) -> Statement:
    formulation = Formulation(**SETTINGS)
    problem = formulation.stated_problem(problem)
    return formulation.state(problem, problem.offers, fleet_mix(problem, problem.offers))


def clocks() -> tuple[float, float]:
    """Return elapsed and CPU seconds, those of solvers in processes of their own among them."""
    children = os.times()
    cpu_s = time.process_time() + children.children_user + children.children_system
    return time.perf_counter(), cpu_s


def measured(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what an action gives, and its elapsed and CPU seconds."""
    wall_s, cpu_s = clocks()
    answer = action()
    return answer, clocks()[0] - wall_s, clocks()[1] - cpu_s


def in_sequence(statement: Statement, seed: int) -> tuple[list[float], list[float]]:
    """Return CPU seconds of consecutive decisions, each from nothing and from the last one."""
    options = SolverOptions(GAP, max_nodes=2000)
    cold_s: list[float] = []
    warm_s: list[float] = []
    start: WarmStart | None = None
    for number in range(1, DECISIONS + 1):
        hint = read(start, statement)
        cold = measured(lambda now=statement: search(now, options, price_offers=True))
        warm = measured(
            lambda now=statement, near=hint: search(now, options, price_offers=True, hint=near)
        )
        if start is not None:  # the first has nothing to begin from
            cold_s.append(cold[2])
            warm_s.append(warm[2])
        built, found = warm[0]
        if found.hint is None:
            break
        start = saved(statement, found.hint)
        names = [offer.name for offer in built.statement.offers]
        first = np.rint(found.values[np.stack([built.launch[:, 0], built.ready[:, 0]])]).astype(int)
        launched, ready = (dict(zip(names, counts.tolist(), strict=True)) for counts in first)
        fleet = next_fleet(statement.problem, launched, ready)
        statement = stated(next_problem(statement.problem, fleet, number, seed=seed))
    return cold_s, warm_s


def program_row(statement: Statement, _: float, seed: int) -> Row:
    """Measure the program: rebuilt from the statement at every repeat, the best of them."""
    options = SolverOptions(GAP, max_nodes=2000)
    numbers = starting_offers(statement)

    def rebuild() -> None:
        part = statement.of(numbers)
        stands_for = calmer_states(part)
        built = build_program(part, 6, np.unique(stands_for))
        Relaxation(built, stands_for, options, 1.0, joined=True)

    def solve() -> Any:
        return search(statement, options, price_offers=True)

    rebuild_cpu_s = min(measured(rebuild)[2] for _ in range(REPEATS))
    found = [measured(solve) for _ in range(REPEATS)]
    built, solution = found[0][0]
    cold_s, warm_s = in_sequence(statement, seed)
    return {
        "rung": solution.rung,
        "usd": solution.objective_usd,
        "bound": solution.bound_usd,
        "build_s": rebuild_cpu_s,
        "wall_s": min(wall for _, wall, _ in found),
        "cpu_s": min(cpu for _, _, cpu in found),
        "offers": len(built.statement.offers),
        "sequence_cold_s": median(cold_s),
        "sequence_warm_s": median(warm_s),
        "sequence_warm_most_s": max(warm_s),
    }


def textbook_row(planner: Any, statement: Statement) -> Row:
    """Measure a textbook formulation, once; its time includes building."""
    solved, wall_s, cpu_s = measured(lambda: planner.solve(statement))
    return {
        "rung": solved.rung,
        "usd": solved.objective_usd,
        "bound": solved.bound_usd,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
    }


def cvxpy_row(statement: Statement, limit_s: float, _: int) -> Row:
    planner = CvxpyProgram(**SETTINGS, mip_rel_gap=GAP, max_nodes=10**7, time_limit_s=limit_s)
    return textbook_row(planner, statement)


def pulp_row(statement: Statement, limit_s: float, _: int) -> Row:
    planner = PulpProgram(
        **SETTINGS, solver="cbc", mip_rel_gap=GAP, max_nodes=10**7, time_limit_s=limit_s
    )
    return textbook_row(planner, statement)


def launches_and_ready(statement: Statement, billed: Any) -> tuple[Any, Any]:
    """Return launches and ready counts of billed counts, (offers, intervals)."""
    fleet = statement.fleet
    launched = np.maximum(np.diff(billed, axis=1, prepend=fleet.billed_now[:, None]), 0.0)
    ready = billed - fleet.pending
    for k, delay in enumerate(fleet.d.tolist()):
        for back in range(delay):
            ready[k, back:] -= launched[k, : launched.shape[1] - back]
    return launched, ready


def greedy_row(statement: Statement, _: float, __: int) -> Row:
    """Measure MArk's greedy; its plan costs what the statement says of it, the rest at its best."""
    plan, wall_s, cpu_s = measured(lambda: Greedy().plan(statement.problem))
    launched, ready = launches_and_ready(statement, np.asarray(plan.targets, dtype=np.float64))
    built = build_program(statement, 3)
    program = Relaxation(built, calmer_states(statement), SolverOptions(GAP), 1e3)
    columns = np.concatenate([built.launch.ravel(), built.ready.ravel()])
    values = np.concatenate([launched.ravel(), ready.ravel()]).astype(np.float64)
    usd = None
    for _ in range(20 if (values >= 0.0).all() else 0):
        answer = program.fixed(columns, values)
        if answer.values is None:
            break
        usd = built.exact_usd(answer.values)
        if not program.tighten(answer.values, 1e-4 * usd):
            break
    return {"rung": plan.rung, "usd": usd, "bound": None, "wall_s": wall_s, "cpu_s": cpu_s}


ROWS = {
    "program": program_row,
    "cvxpy, HiGHS": cvxpy_row,
    "PuLP, CBC": pulp_row,
    "greedy": greedy_row,
}


def child(size: str, name: str, seed: int, limit_s: float) -> None:
    statement = statement_of(size, seed)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = ROWS[name](statement, limit_s, seed)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kids_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    row["memory_mb"] = (max(peak_kb, kids_kb) - before_kb) / 1024.0
    print(json.dumps(row))


def one(size: str, name: str, seed: int, limit_s: float) -> Row:
    """Run a cell in a process of its own; building must end as well, so it gets twice the time."""
    command = [sys.executable, __file__, "--child", size, name, str(seed), str(limit_s)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2.0 * limit_s + 60.0, check=False
        )
    except subprocess.TimeoutExpired:
        return {"rung": f"nothing within {2.0 * limit_s + 60.0:.0f} s"}
    if done.returncode != 0:
        return {"rung": done.stderr.strip().splitlines()[-1][:60] if done.stderr else "failed"}
    row: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def table(rows: list[Row]) -> str:
    """Return the table: a rival's cost is over the program's bound, its time over its time."""
    lines = [
        "| offers x intervals x scenarios | seed | planner | cost, USD | over the bound | own gap "
        "| elapsed, ms | CPU, ms | rebuild, ms | in sequence: cold, ms | warm, ms | memory, MB "
        "| times slower | ended |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        own = next(
            r
            for r in rows
            if (r["size"], r["seed"], r["name"]) == (row["size"], row["seed"], "program")
        )

        def number(key: str, scale: float, digits: int, row: Row = row) -> str:
            value = row.get(key)
            return "" if value is None else f"{scale * value:.{digits}f}"

        usd, bound = row.get("usd"), row.get("bound")
        over = "" if usd is None else f"{100.0 * (usd / own['bound'] - 1.0):.3f} %"
        gap = "" if usd is None or bound is None else f"{100.0 * (usd - bound) / usd:.3f} %"
        slower = ""
        if row is not own and row.get("cpu_s"):
            slower = f"{row['cpu_s'] / own['cpu_s']:.3g}"
        cells = [
            *(row["size"].replace("x", " x "), str(row["seed"]), row["name"]),
            *(number("usd", 1.0, 4), over, gap, number("wall_s", 1e3, 0)),
            *(number("cpu_s", 1e3, 0), number("build_s", 1e3, 1)),
            *(number("sequence_cold_s", 1e3, 0), number("sequence_warm_s", 1e3, 0)),
            number("memory_mb", 1.0, 0),
            *(slower, str(row["rung"])),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(rows: list[Row]) -> str:
    """Return what was reached, a line per size that has a goal."""
    lines = []
    for size, goal_ms in GOAL_MS.items():
        own = [r for r in rows if r["size"] == size and r["name"] == "program" and "wall_s" in r]
        if not own:
            continue

        def listed(key: str, digits: int = 0, own: list[Row] = own) -> str:
            return ", ".join(f"{1e3 * row[key]:.{digits}f}" for row in own)

        gap = max(100.0 * (row["usd"] - row["bound"]) / row["usd"] for row in own)
        most_ms = max(1e3 * row["sequence_warm_most_s"] for row in own)
        lines.append(
            f"- {size.replace('x', ' x ')}: CPU {listed('cpu_s')} ms, elapsed {listed('wall_s')} "
            f"(goal {goal_ms:.0f}); in sequence, warm, CPU {listed('sequence_warm_s')} (the "
            f"slowest decision {most_ms:.0f}); rebuild {listed('build_s', 1)}; largest gap "
            f"{gap:.3f} % (goal 0.1 %)"
        )
    return "\n".join(lines)


def page(rows: list[Row], limit_s: float) -> str:
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("highspy", "cvxpy", "pulp", "numpy")
    )
    load = ", ".join(f"{share:.1f}" for share in os.getloadavg())
    return f"""# How fast a decision is made

`.venv/bin/python benchmarks/planner.py --limit {limit_s:.0f}` on {machine}, {versions};
load averages at the end {load}: where others shared the cores, CPU times say more than elapsed
ones. One thread, relative gap 1e-3, limit of the textbook formulations' solvers {limit_s:.0f} s
(building comes on top, and ends after {2.0 * limit_s + 60.0:.0f} s in all). One statement for all
rows of a size and seed: launch delays, joint states of spot pools, priced warm functions, stock,
pool, launch and vCPU quotas, whole instances in the first 4 intervals.

*Over the bound*: above the program's proven bound. *Elapsed* and *CPU*: the best of {REPEATS} for
the program, from nothing; of one run for the others, building included; *times slower* compares CPU
times. *Rebuild*: CPU time of the program's model from a statement, in HiGHS. *In sequence*: median
CPU times of {DECISIONS - 1} decisions that follow the first one, the load walked on, the forecast
drawn anew and the fleet as the last one left it; cold from nothing, warm from what the last one
found. Greedy's plan without a cost breaks a limit of the statement.
[Where the time goes](planner_profile.md).

{verdict(rows)}

{table(rows)}
"""


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=size_of, metavar="SIZE", help="such as 20x30x100")
    parser.add_argument("--limit", type=float, default=60.0, help="of the rivals' solvers, seconds")
    parser.add_argument("--planners", nargs="+", choices=ROWS, default=list(ROWS))
    return parser.parse_args(arguments)


def size_of(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(
            f"expected OFFERSxINTERVALSxSCENARIOS such as 20x30x100, got {text!r}"
        )
    return text


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        child(arguments[1], arguments[2], int(arguments[3]), float(arguments[4]))
        return 0
    given = options(arguments)
    limit_s = given.limit
    rows: list[Row] = []
    for size in given.sizes or SIZES:
        for seed in SEEDS:
            for name in given.planners:
                rivals = name not in ("program", "greedy")
                if rivals and seed != SEEDS[0]:
                    continue
                row = one(size, name, seed, limit_s)
                rows.append({"size": size, "seed": seed, "name": name, **row})
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    text = page(rows, limit_s)
    print(text)
    if not given.sizes and given.planners == list(ROWS):
        RESULT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
