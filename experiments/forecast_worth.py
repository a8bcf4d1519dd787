"""What is a better forecast worth? Cost against attainment of policies, forecaster by forecaster.

Every forecaster plans the same arrivals. Each policy tunes its head-room for each forecaster on the
past: on a span as long as the judged one that begins ``compare.tune_s`` earlier (the same hours of
the day before), by a forecaster that has learnt from what lies before that. It walks through
``HEADROOMS`` and takes the cheapest that attains the SLO there. Judged are later hours, which no
tuning has seen, at that head-room with every seed.

``results/forecast_worth`` gets one row per run, and from these what each forecaster costs and which
share of the way from the last value to perfect foresight it goes. With functions every policy
answers in time and cost alone differs; without them the SLO binds.
``paper_figs/forecast_worth.py`` draws the figure.

    python experiments/forecast_worth.py [headroom=0.9,1.1] [KEY=VALUE ...]
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from study_tables import Case, Row, Study, cases, episode_row, main, markdown, output_folder
from worth_table import tuned_run, walk, worth

from markopt.assembly import ConfigParts, compare_settings
from markopt.composition import take_lists
from markopt.errors import ConfigError
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.tape import ForecastTape, RecordedForecaster
from markopt.forecasting.scores import pinball_loss

STUDY = Study(
    "forecast_worth",
    {"functions": lambda config: config.catalog.function_memory_mb is not None},
)
HEADROOMS = (0.15, 0.25, 0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0)
TOO_SLOW_WITHOUT_FUNCTIONS = ("program",)
"""Policies left out where no function can be used: there each plan takes four times as long."""

RUNS, WORTH, TABLE = "runs.csv", "worth.csv", "table.md"
TUNING, JUDGED = "tuning", "judged"


def option(case: Case) -> str:
    """Return the option of the group ``forecaster`` that a case chose."""
    chosen = [text.split("=", 1)[1] for text in case.overrides if text.startswith("forecaster=")]
    return chosen[-1] if chosen else "default"


def forecast_row(tape: ForecastTape) -> Row:
    """Return how good a tape's forecasts were: pinball loss of log(1 + rate), mean over the steps.

    A forecast of anything else than the mean rate has no such loss.
    """
    forecasts, realized = tape.forecasts, np.log1p(tape.observed.rate_rps)
    horizon = forecasts[0].horizon
    row: Row = {"target": forecasts[0].statistic, "pinball": None}
    scored = len(forecasts) - horizon + 1
    if row["target"] == "mean" and scored > 0:
        paths = np.log1p(np.stack([f.paths_rps for f in forecasts[:scored]]))
        truth = np.lib.stride_tricks.sliding_window_view(realized, horizon)
        row["pinball"] = round(float(np.nanmean(pinball_loss(paths, truth))), 5)
    return row


@dataclass(frozen=True, eq=False)
class Played:
    """A forecaster's forecasts of a span, to be planned on by any policy at any head-room."""

    labels: Row
    scene: Scene
    conditions: Conditions
    tape: ForecastTape
    parts: ConfigParts

    def run(self, policy: str, headroom: float) -> Row:
        """Run an episode and return its row."""
        planner = self.parts.planner(policy, headroom)
        recorded = RecordedForecaster(self.tape)
        setup = EpisodeSetup(policy, self.scene, self.conditions, recorded, planner)
        return {**self.labels, "headroom": headroom, **episode_row(run_episode(setup))}


@dataclass
class Stage:
    """Plays a study's cases; what they have in common is made once and kept."""

    found: Sequence[Case]
    policies: Sequence[str]
    _scenes: dict[tuple[str, bool], Scene] = field(default_factory=dict)
    _parts: dict[int, ConfigParts] = field(default_factory=dict)

    def played(self, span: str, seed: int, forecaster: str) -> Iterator[Played]:
        """Yield what plays a forecaster on a span, with functions and without.

        The arrivals are the same either way, so all replay one tape of forecasts.
        """
        tape = None
        about: Row = {"span": span, "forecaster": forecaster}
        for case in self.found:
            functions = case.labels["functions"]
            if option(case) != forecaster:
                continue
            scene = dataclasses.replace(self._scene(span, functions), seed=seed)
            conditions = set_conditions(scene, bound=span == JUDGED)
            if tape is None:
                made = fit_forecaster(self._parts_of(case).forecaster(), scene, conditions)
                tape = forecast_once(scene, conditions, made)
                about |= forecast_row(tape)
                print(f"{STUDY.name}: {about}, seed {seed}", file=sys.stderr, flush=True)
            labels = {**about, "functions": functions}
            yield Played(labels, scene, conditions, tape, self._parts_of(case))

    def _scene(self, span: str, functions: bool) -> Scene:
        if (span, functions) not in self._scenes:
            case = next(c for c in self.found if c.labels["functions"] == functions)
            if span == JUDGED:
                made = self._parts_of(case).scene(0)
            else:
                shifted = earlier(case, self._scene(JUDGED, functions))
                made = ConfigParts([*case.overrides, *shifted]).scene(0)
            self._scenes[span, functions] = made
        return self._scenes[span, functions]

    def _parts_of(self, case: Case) -> ConfigParts:
        if id(case) not in self._parts:
            self._parts[id(case)] = ConfigParts(case.overrides, self.policies)
        return self._parts[id(case)]


def earlier(case: Case, judged: Scene) -> tuple[str, ...]:
    """Return what moves a case to a span as long as the judged one, ``compare.tune_s`` earlier."""
    tune_s, load = float(case.config.compare.tune_s), judged.workload
    return (
        f"workload.start_s={load.start_s - tune_s}",
        f"workload.history_s={load.start_s - load.history.start_s - tune_s}",
        f"workload.evaluate_s={load.end_s - load.start_s}",
    )


def runs(found: Sequence[Case], headrooms: Sequence[float]) -> Iterator[Row]:
    """Tune with the first seed on the past, then judge with all; a seed's arrivals are common."""
    settings = compare_settings(found[0].config)
    target = float(found[0].config.service.slo.sl_min)
    forecasters = list(dict.fromkeys(option(case) for case in found))
    stage = Stage(found, settings.planners)
    tuned: dict[tuple[bool, str, str], float] = {}

    def policies(played: Played) -> list[str]:
        left_out = () if played.labels["functions"] else TOO_SLOW_WITHOUT_FUNCTIONS
        return [policy for policy in settings.planners if policy not in left_out]

    for forecaster in forecasters:
        for played in stage.played(TUNING, settings.seeds[0], forecaster):
            for policy in policies(played):
                tried = []
                for row in walk(headrooms, partial(played.run, policy), target):
                    tried.append(row)
                    yield row
                best = tuned_run(tried, target)
                tuned[best["functions"], policy, forecaster] = best["headroom"]
    for seed, forecaster in product(settings.seeds, forecasters):
        for played in stage.played(JUDGED, seed, forecaster):
            for policy in policies(played):
                headroom = tuned[played.labels["functions"], policy, forecaster]
                yield played.run(policy, headroom)


def numbers(texts: Sequence[str]) -> tuple[float, ...]:
    """Return head-rooms as numbers.

    Raises:
        ConfigError: one is none, or not positive.
    """
    try:
        values = tuple(float(text) for text in texts)
    except ValueError:
        values = ()
    if not values or not all(0.0 < value < np.inf for value in values):
        raise ConfigError(f"headroom: must be positive numbers, got {','.join(texts)}")
    return values


def run(overrides: Sequence[str]) -> Path:
    """Run the study and write its tables; ``overrides`` change its configuration.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    rest, lists = take_lists(overrides, ("headroom",))
    headrooms = numbers(lists["headroom"]) if lists["headroom"] else HEADROOMS
    found = cases(STUDY, rest)
    with whole_folder(output_folder(STUDY, found)) as folder:
        rows = []
        for row in runs(found, headrooms):
            rows.append(row)
            functions = "with" if row["functions"] else "without"
            print(
                f"  {functions} functions, {row['policy']} {row['headroom']:g}: "
                f"{row['cost_usd']:.3f} USD, {100.0 * row['attainment']:.3f} %",
                file=sys.stderr,
                flush=True,
            )
            replace_text(folder.path / RUNS, csv_text(rows))
        found_worth = worth(rows, float(found[0].config.service.slo.sl_min))
        replace_text(folder.path / WORTH, csv_text(found_worth))
        replace_text(folder.path / TABLE, markdown(found_worth))
    print(markdown(found_worth))
    print(folder.final)
    return folder.final


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
