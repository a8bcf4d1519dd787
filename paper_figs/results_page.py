"""docs/results.md: what was promised beside what was measured, each number with its command.

Reads committed result files only, so that no number of the page is typed:

    python paper_figs/results_page.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import all_planners
import numpy as np
from ablations_page import ABLATIONS
from figure_style import chosen, distinct, read_markdown, read_rows, values
from macro import savings
from planner_speed import LOOKS, SIZE, decisions, median_s
from studies_page import markdown, with_half_width

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
STUDIES, BENCHMARKS = ROOT / "experiments" / "results", ROOT / "benchmarks" / "results"
HEAD = (
    "# Results\n\n"
    "What was aimed at beside what was measured, losses included. Every number is read from a "
    "committed table by `paper_figs/results_page.py`, and the command beside it makes that table "
    "again; a goal that is missed says so. Costs are means over the seeds, and what follows ± is "
    "half of a 95 % interval, paired over them. Times are of the machine that the linked page "
    "names.\n\n"
    "<!-- Written by paper_figs/results_page.py; change the tables or that script. -->\n"
)


@dataclass(frozen=True)
class Line:
    """A line of the page: a question, its goal (empty: none was set), what was found, whence.

    ``met`` is None where there was no goal. ``page`` lies in ``docs`` or, with ``../``, above it.
    """

    question: str
    goal: str
    found: str
    met: bool | None
    command: str
    page: str

    def cells(self) -> list[str]:
        """Return the line's cells."""
        met = "" if self.met is None else ("yes" if self.met else "**no**")
        return [f"[{self.question}]({self.page})", self.found, self.goal, met, f"`{self.command}`"]


def costs() -> Iterator[Line]:
    """Yield what a whole day of Twitter's stream costs at equal service level."""
    rows = read_rows(STUDIES / "planners" / "runs.csv")
    for service, sold in dict.fromkeys((row["service"], row["purchase"]) for row in rows):
        of_case = chosen(rows, service=service, purchase=sold)
        usd = {
            policy: values(chosen(of_case, policy=policy), "cost_usd")
            for policy in distinct(of_case, "policy")
        }
        command = f"python experiments/planners.py service={service} planner=mark,greedy,program"
        where = f"{service}, a day of Twitter's stream, {sold}"
        page = "studies.md#planners-risk-measures-and-recourse"
        half = float(usd["program"].mean() / usd["mark"].mean())
        with_spot = sold == "with spot"
        yield Line(
            f"The program's bill over MArk's as published: {where}",
            "0.50" if with_spot else "",
            f"{half:.2f}",
            half <= 0.5 if with_spot else None,
            command,
            page,
        )
        change = 100.0 * (usd["program"] / usd["greedy"] - 1.0)
        yield Line(
            f"The program against a greedy with the same forecasts: {where}",
            "-10 %",
            f"{with_half_width(change, 1)} %",
            bool(change.mean() <= -10.0),
            command,
            page,
        )
        own = chosen(of_case, policy="program")
        bound_usd = values(own, "clairvoyant_bound_usd")
        over = float((values(own, "cost_usd") / bound_usd).mean())
        yield Line(
            f"The program's bill over the clairvoyant bound: {where}",
            "1.25",
            f"{over:.2f}",
            over <= 1.25,
            command,
            page,
        )


def macro() -> Iterator[Line]:
    """Yield how much less than SageMaker-style scaling policies cost."""
    found = savings(read_rows(STUDIES / "macro" / "episodes.csv"))
    own = [factor for (_, _, policy), factor in found.items() if policy == "program"]
    command, page = "make study NAME=macro", "ablations.md#macro-benchmark"
    yield Line(
        "SageMaker-style scaling's bill over the program's: the most of 9 services on 3 loads",
        "7.8 (MArk's abstract)",
        f"{max(own):.1f}",
        max(own) >= 7.8,
        command,
        page,
    )
    yield Line(
        "The same in the middle, and at the least",
        "",
        f"{np.median(own):.1f}, {min(own):.1f}",
        None,
        command,
        page,
    )


def decision_speed() -> Iterator[Line]:
    """Yield how fast decisions are made and how far they are from the best."""
    rows = decisions(BENCHMARKS / "planner.md")
    command, page = "python benchmarks/planner.py --limit 20", "../benchmarks/results/planner.md"
    goals_ms = {"20 x 30 x 100": 50.0, "400 x 30 x 100": 500.0, "600 x 60 x 200": 1000.0}
    for size, goal_ms in goals_ms.items():
        cpu_ms = values(chosen(rows, **{SIZE: size, "planner": "program"}), "CPU, ms")
        yield Line(
            f"A decision over {size} (offers, intervals, scenarios), CPU time of three seeds",
            f"{goal_ms:g} ms",
            f"{', '.join(f'{one:.0f}' for one in cpu_ms)} ms",
            bool((cpu_ms <= goal_ms).all()),
            command,
            page,
        )
    gaps = [float(row["own gap"].rstrip(" %")) for row in chosen(rows, planner="program")]
    yield Line(
        "The largest proven gap of these and the smaller ones",
        "0.1 %",
        f"{max(gaps):.2f} %",
        max(gaps) <= 0.1,
        command,
        page,
    )
    sizes = distinct(rows, SIZE)
    textbook = "cvxpy, HiGHS"
    both = [size for size in sizes if np.isfinite(median_s(rows, size, textbook))]
    one = chosen(rows, **{SIZE: both[-1], "planner": textbook})
    slower = max(float(row["times slower"]) for row in one if row["times slower"])
    beyond = [size for size in sizes if size not in both]
    yield Line(
        f"How much slower the textbook program is in {textbook}, at {both[-1]}",
        "100 times",
        f"{slower:.0f} times",
        slower >= 100.0,
        command,
        page,
    )
    ended = {row["ended"] for row in rows if row["planner"] in (*LOOKS,)[1:3]}
    ended -= {"optimal"}
    yield Line(
        f"The same at {beyond[0]} and beyond, in cvxpy and PuLP",
        "",
        ", ".join(sorted(ended)),
        None,
        command,
        page,
    )


def simulation() -> Iterator[Line]:
    """Yield how fast requests are simulated and how true."""
    found = read_markdown(BENCHMARKS / "engine.md")
    by_fleet = next(table for table in found if "servers" in table[0])
    models = next(table for table in found if "model" in table[0])
    command, page = "python benchmarks/engine.py", "../benchmarks/results/engine.md"
    fifty = chosen(by_fleet, servers="50")[0]
    speeds = [float(cell) for name, cell in fifty.items() if name != "servers"]
    yield Line(
        "Requests a second on a core, 50 servers (batch 1, batch 8, two kinds)",
        "10 million",
        f"{', '.join(f'{speed:.1f}' for speed in speeds)} million",
        min(speeds) >= 10.0,
        command,
        page,
    )
    same = [row["same answers"] for row in models if row["same answers"]]
    yield Line(
        "The same answers, request by request, as independent models in Python",
        "all",
        f"{same.count('yes')} of {len(same)}",
        same.count("yes") == len(same),
        command,
        page,
    )
    rows = read_rows(STUDIES / "twin" / "comparison.csv")
    cases = {"stand_in": "stand-ins", "model": "real model servers"}
    for case, name in cases.items():
        own = chosen(rows, case=case)
        worst = np.abs(values(own, "difference_percent")).max()
        quantities = ", ".join(row["quantity"].removesuffix("_ms") for row in own)
        yield Line(
            f"How far the simulation is off {own[0]['instances']} {name} ({quantities})",
            "10 %",
            f"{worst:.1f} %",
            bool(worst <= 10.0),
            "make study NAME=twin",
            "live.md",
        )


def forecasts() -> Iterator[Line]:
    """Yield how good forecasts are, and what promises made of them are worth."""
    rows = read_rows(STUDIES / "backtest" / "traces.csv")
    command = "OMP_NUM_THREADS=1 python experiments/backtest.py"
    page = "forecasting.md#which-one-to-use"
    of = {row["forecaster"]: row for row in chosen(rows, trace="twitter")}
    for column, steps in (("pinball_log_15", 15), ("pinball_log", 30)):
        loss = {name: float(of[name][column]) for name in ("lstm", "last_value")}
        less = 100.0 * (1.0 - loss["lstm"] / loss["last_value"])
        yield Line(
            f"The LSTM's loss below the last value's on Twitter's stream, over {steps} minutes",
            "50 %",
            f"{less:.1f} %",
            less >= 50.0,
            command,
            page,
        )
    held = values(chosen(rows, forecaster="lstm_calibrated"), "fair_coverage_90", 100.0)
    yield Line(
        f"What the calibrated LSTM's 90 % band holds, over {len(held)} traces",
        "88 to 92 %",
        f"{held.min():.1f} to {held.max():.1f} %",
        bool(held.min() >= 88.0 and held.max() <= 92.0),
        command,
        page,
    )
    text = (BENCHMARKS / "lstm_training.md").read_text(encoding="utf-8")
    elapsed_s, goal_s = (
        int(re.findall(pattern, text)[0]) for pattern in (r"(\d+) s elapsed", r"Goal: (\d+) s")
    )
    yield Line(
        "Training the LSTM on 14 days of minutes",
        f"{goal_s} s",
        f"{elapsed_s} s",
        elapsed_s <= goal_s,
        "python benchmarks/forecasting.py training",
        "../benchmarks/results/lstm_training.md",
    )
    (costs_ms,) = (t for t in read_markdown(BENCHMARKS / "forecasting.md") if "in all, ms" in t[0])
    slowest = max(costs_ms, key=lambda row: float(row["in all, ms"]))
    yield Line(
        "An interval's update and 100 paths of the slowest forecaster",
        "20 ms",
        f"{float(slowest['in all, ms']):.1f} ms ({slowest['forecaster']})",
        float(slowest["in all, ms"]) <= 20.0,
        "python benchmarks/forecasting.py",
        "../benchmarks/results/forecasting.md",
    )
    (measures,) = read_markdown(BENCHMARKS / "promises.md")
    for measure, goal_percent in (("saa, confidence 0.95", 5.0), ("quantile", None)):
        broken = [float(row["broken"].rstrip("%")) for row in chosen(measures, measure=measure)]
        yield Line(
            f"How often a promise of at most 5 % violations is broken: {measure}",
            "" if goal_percent is None else f"{goal_percent:g} %",
            f"{min(broken):.1f} to {max(broken):.1f} %",
            None if goal_percent is None else max(broken) <= goal_percent,
            "python benchmarks/promises.py",
            "../benchmarks/results/promises.md",
        )


def sweeps() -> Iterator[Line]:
    """Yield how much faster sweeps are in parallel."""
    for table in read_markdown(BENCHMARKS / "sweep.md"):
        for row in table:
            if row["launcher"] == "serial":
                continue
            times = float(row["times as fast"])
            what = row.get("episodes of", "one hour")
            goal = 1.7 if row["launcher"] == "ray" else None
            yield Line(
                f"100 episodes of {what} on two cores, beside serial: {row['launcher']}",
                "" if goal is None else f"{goal:g} times",
                f"{times:.2f} times",
                None if goal is None else times >= goal,
                "python benchmarks/sweep.py",
                "../benchmarks/results/sweep.md",
            )


def ablations() -> Iterator[Line]:
    """Yield what greedy costs beside the program wherever one part is changed."""
    for name in ABLATIONS:
        path = STUDIES / name / "episodes.csv"
        if not path.exists():
            continue
        rows = read_rows(path)
        labels = list(rows[0])[: list(rows[0]).index("policy")]
        cases = dict.fromkeys(tuple(row[key] for key in labels) for row in rows)
        change = []
        for case in cases:
            of_case = chosen(rows, **dict(zip(labels, case, strict=True)))
            usd, base = (
                values(chosen(of_case, policy=policy), "cost_usd").mean()
                for policy in ("greedy_quantile", "program")
            )
            change.append(100.0 * (usd / base - 1.0))
        shown = name.replace("_", " ")
        dearer = sum(one > 0.0 for one in change)
        yield Line(
            f"Greedy on a quantile against the program, {len(change)} cases of {shown}",
            "",
            f"{min(change):+.0f} to {max(change):+.0f} %, dearer in {dearer}",
            None,
            f"make study NAME={name}",
            "ablations.md",
        )


SECTIONS: dict[str, tuple[Callable[[], Iterator[Line]], ...]] = {
    "What it costs": (costs, macro),
    "How fast decisions are made": (decision_speed,),
    "How fast and how true the simulation is": (simulation,),
    "Forecasts and promises": (forecasts,),
    "Sweeps": (sweeps,),
    "One part at a time": (ablations,),
}


def lines(make: Callable[[], Iterator[Line]]) -> list[Line]:
    """Return a section's lines; a study without committed tables has none yet."""
    try:
        return [*make()]
    except FileNotFoundError:
        return []


def page() -> str:
    """Return the page as Markdown."""
    parts = [HEAD]
    for title, makers in SECTIONS.items():
        found = [line for make in makers for line in lines(make)]
        head = ["question", "found", "goal", "met", "command"]
        table = [head, ["---", "---:", "---:", ":---:", "---"], *(line.cells() for line in found)]
        parts.append(f"## {title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table))
    if (source := STUDIES / "all_planners").exists():
        parts.append(
            "## All planners on three real traces\n\n"
            "<!-- not run: takes half an hour, and needs traces that are not shipped -->\n"
            f"```sh\nmake study NAME=all_planners\n```\n\n{markdown(all_planners.table(source))}\n"
            f"![{all_planners.ENTRIES['all_planners'].title}](images/all_planners.svg)\n"
        )
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write the page."""
    if arguments:
        print("usage: results_page.py", file=sys.stderr)
        return 2
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
