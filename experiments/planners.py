"""Which policy serves a day of the Twitter stream for the least, at equal attainment?

MArk's greedy with a point forecast of the maximum, the same greedy on sample paths, and the program
with every risk measure and every recourse (``planner_policies``), on three services
(``planner_episodes.SETTINGS``), on demand only and with spot. Every policy's few parameters are
tuned with the first seed on the whole day before, by a forecaster that has learnt from what came
before it, and judged on a day that no tuning has seen, with every seed.

Every run's row is kept as it comes in ``results/planners.unfinished``; a study that was cut off
goes on from there, with the rows of the same code and configuration; they go when all of it is
done, and stay when only some cases, policies or seeds were asked for. ``results/planners`` gets
a row per judged run, the paired differences, the bills by hour, a row per tuning trial, and the
table; ``paper_figs/planners.py`` draws the figure.

    python experiments/planners.py [KEY=VALUE ...]
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import planner_episodes
from finished_rows import FinishedRows, setting_digest
from planner_episodes import SETTINGS, Stage, judged_row, trial_row, values_text
from planner_policies import FORECASTERS, Policy, Values, chosen_policies, policies
from planners_table import difference_rows, hour_rows, table_rows
from study_tables import Case, Row, Study, cases, main, markdown, output_folder

from markopt.assembly import compare_settings
from markopt.evaluation.folder import csv_text, replace_text, require_free, whole_folder

STUDY = Study(
    "planners",
    {
        "service": lambda config: config.service.name,
        "purchase": lambda config: (
            "with spot" if "spot" in config.catalog.purchase else "on demand"
        ),
    },
)
RUNS, DIFFERENCES, HOURS = "runs.csv", "differences.csv", "hours.csv"
TRIALS, TABLE = "trials.csv", "table.md"
DAY_S = 86400.0


def descend(
    grid: Sequence[float], start: float, worth: Callable[[float], tuple[bool, float]]
) -> float:
    """Return the value of ``grid`` at which a walk from ``start`` finds no better neighbor.

    ``worth`` is least at the best. Where it has one minimum along the grid, that is found.
    """
    known: dict[int, tuple[bool, float]] = {}

    def at(place: int) -> tuple[bool, float]:
        if place not in known:
            known[place] = worth(grid[place])
        return known[place]

    here = grid.index(start)
    while True:
        around = [place for place in (here, here - 1, here + 1) if 0 <= place < len(grid)]
        best = min(around, key=at)  # of equal ones the first: it stays
        if best == here:
            return grid[here]
        here = best


@dataclass(frozen=True, eq=False)
class CaseRuns:
    """One service and purchase: its days, made when they are needed, and its finished rows."""

    case: Case
    candidates: Mapping[str, Policy]
    finished: FinishedRows
    past: Stage
    judged: Mapping[int, Stage]

    def tuned(self, name: str) -> tuple[Values, list[Row]]:
        """Return a policy's values, and the trials that found them, knob by knob.

        Each is moved along its grid while that gives a cheaper past day that attains the SLO (where
        none does: a closer one).
        """
        policy = self.candidates[name]
        if policy.like is not None:
            return self.tuned(policy.like)[0], []
        chosen = dict(policy.start)
        target = float(self.case.config.service.slo.sl_min)
        trials: list[Row] = []

        def attempt(knob: str, at: float) -> tuple[bool, float]:
            row = self._row("past", name, {**chosen, knob: at}, self.past)
            if row not in trials:
                trials.append(row)
            short = float(row["attainment"]) < target
            return short, -float(row["attainment"]) if short else float(row["cost_usd"])

        for knob, grid in policy.knobs.items():
            chosen[knob] = descend(grid, chosen[knob], partial(attempt, knob))
        return chosen, trials

    def rows(self, *, main: bool) -> tuple[list[Row], list[Row]]:
        """Run the main policies or the others; return their judged rows and their trials.

        All policies of a seed are run before those of the next.
        """
        names = [name for name, policy in self.candidates.items() if policy.main == main]
        tuned = {name: self.tuned(name) for name in names}
        rows = {
            (name, seed): self._row("judged", name, tuned[name][0], on)
            for seed, on in self.judged.items()
            for name in names
        }
        ordered = [rows[name, seed] for name in names for seed in self.judged]
        return ordered, [row for name in names for row in tuned[name][1]]

    def _row(self, day: str, name: str, values: Values, on: Stage) -> Row:
        policy = self.candidates[name]
        key = {
            "day": day,
            "planner": [policy.planner, *policy.overrides],
            "forecaster": on.forecasters[policy.forecaster],
            "values": values_text(values),
            "seed": on.seed,
        }
        row = self.finished.get(key)
        if row is None:
            began_s = time.process_time()
            make = trial_row if day == "past" else judged_row
            row = make(name, policy, values, on)
            self.finished.add(key, row)
            text = f"{day} day, {name}, seed {on.seed}, {values_text(values)}: "
            text += f"{row['cost_usd']:.3f} USD, {100.0 * row['attainment']:.3f} %"
            taken = f"{time.process_time() - began_s:.0f} s of processor"
            print(f"{STUDY.name} {self.case.labels}: {text} ({taken})", file=sys.stderr, flush=True)
        return {**self.case.labels, **row, "policy": name}


def case_runs(
    case: Case, unfinished: Path, forecasters: Mapping[str, str], before_s: float
) -> CaseRuns:
    """Return a case's runs; the past day lies ``before_s`` before the judged one.

    Raises:
        ConfigError: a policy is unknown.
    """
    setting = SETTINGS[case.labels["service"]]
    base = [*setting.overrides, *case.overrides]
    workload, settings = case.config.workload, compare_settings(case.config)
    before = [
        *base,
        f"workload.start_s={float(workload.start_s) - before_s}",
        f"workload.history_s={float(workload.history_s) - before_s}",
    ]
    past = Stage(setting, before, forecasters, settings.seeds[0], bound=False)
    judged = {seed: Stage(setting, base, forecasters, seed, bound=True) for seed in settings.seeds}
    known = policies(function=past.function_in_time)
    digest = setting_digest(
        case.config, ignored=("compare", "output"), measuring=Path(planner_episodes.__file__)
    )
    name = "-".join(str(label).replace(" ", "_") for label in case.labels.values())
    finished = FinishedRows(unfinished / f"{name}.jsonl", digest)
    return CaseRuns(case, chosen_policies(settings.planners, known), finished, past, judged)


def leg(*made_from: Any, main: bool) -> tuple[list[Row], list[Row]]:
    """Run one part of a case in a process of its own; return its judged rows and trials."""
    return case_runs(*made_from).rows(main=main)


def run(
    overrides: Sequence[str],
    *,
    forecasters: Mapping[str, str] = FORECASTERS,
    before_s: float = DAY_S,
) -> Path:
    """Run the study and write its tables; ``overrides`` change its configuration.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    found = cases(STUDY, overrides)
    output = output_folder(STUDY, found)
    require_free(output)
    unfinished = output.with_name(f"{output.name}.unfinished")
    parallel = Parallel(n_jobs=compare_settings(found[0].config).jobs)
    # The main policies of all cases come first: a study that is cut off has them.
    parts = [
        parallel(delayed(leg)(case, unfinished, forecasters, before_s, main=main) for case in found)
        for main in (True, False)
    ]
    pairs = [pair for of_case in zip(*parts, strict=True) for pair in of_case]
    rows = [row for judged, _ in pairs for row in judged]
    trials = [row for _, tried in pairs for row in tried]
    with whole_folder(output) as folder:
        table = markdown(table_rows(rows))
        replace_text(folder.path / RUNS, csv_text(without(rows, "hours_usd")))
        replace_text(folder.path / DIFFERENCES, csv_text(difference_rows(rows)))
        replace_text(folder.path / HOURS, csv_text(hour_rows(rows)))
        replace_text(folder.path / TRIALS, csv_text(trials))
        replace_text(folder.path / TABLE, table)
    if covers(found, cases(STUDY, [])):
        shutil.rmtree(unfinished)
    else:
        print(f"{STUDY.name}: part of the study; rows stay in {unfinished}", file=sys.stderr)
    print(table)
    print(folder.final)
    return folder.final


def covers(found: Sequence[Case], whole: Sequence[Case]) -> bool:
    """Return whether cases, policies and seeds hold those of the whole study."""
    of = {tuple(case.labels.values()): compare_settings(case.config) for case in found}
    for case in whole:
        own, all_of_it = of.get(tuple(case.labels.values())), compare_settings(case.config)
        if own is None or not set(own.planners) >= set(all_of_it.planners):
            return False
        if not set(own.seeds) >= set(all_of_it.seeds):
            return False
    return True


def without(rows: Sequence[Row], column: str) -> list[Row]:
    """Return the rows without a column."""
    return [{key: value for key, value in row.items() if key != column} for row in rows]


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
