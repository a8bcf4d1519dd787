"""What is a better forecast worth? Cost against attainment of policies, forecaster by forecaster.

Every forecaster plans the same arrivals. With the first seed each policy tries all head-rooms that
``conf/experiment/forecast_worth.yaml`` sweeps; with the others, the one that attains the SLO at the
least cost with the first. ``results/forecast_worth`` gets one row per run, and from these what each
forecaster costs at equal attainment and which share of the way from the last value to perfect
foresight it goes. ``paper_figs/forecast_worth.py`` draws the figure.

    python experiments/forecast_worth.py [KEY=VALUE ...]
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from study_tables import Case, Row, Study, cases, episode_row, main, markdown, output_folder
from worth_table import tuned_headrooms, worth

from markopt.assembly import ConfigParts, compare_settings
from markopt.evaluation.episode import (
    EpisodeSetup,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.tape import ForecastTape, RecordedForecaster
from markopt.forecasting.scores import pinball_loss

STUDY = Study("forecast_worth", {"headroom": lambda config: float(config.planner.headroom)})
RUNS, WORTH, TABLE = "runs.csv", "worth.csv", "table.md"


def by_forecaster(found: Sequence[Case]) -> dict[str, list[Case]]:
    """Return a study's cases by the option of the group ``forecaster`` that each chose."""
    groups: dict[str, list[Case]] = {}
    for case in found:
        chosen = [
            text.split("=", 1)[1] for text in case.overrides if text.startswith("forecaster=")
        ]
        groups.setdefault(chosen[-1] if chosen else "default", []).append(case)
    return groups


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


def runs(found: Sequence[Case]) -> Iterator[Row]:
    """Run the cases with every policy and seed; the arrivals of a seed are the same for all."""
    first = compare_settings(found[0].config)
    parts = {id(case): ConfigParts(case.overrides, first.planners) for case in found}
    shared = parts[id(found[0])].scene(first.seeds[0])
    target = float(found[0].config.service.slo.sl_min)
    tried: list[Row] = []
    tuned: dict[tuple[str, str], set[float]] = {}
    for seed in first.seeds:
        scene = dataclasses.replace(shared, seed=seed)
        conditions = set_conditions(scene)
        for name, group in by_forecaster(found).items():
            made = fit_forecaster(parts[id(group[0])].forecaster(), scene, conditions)
            tape = forecast_once(scene, conditions, made)
            about = {"forecaster": name, **forecast_row(tape)}
            print(f"{STUDY.name}: {about}, seed {seed}", file=sys.stderr)
            for case, policy in product(group, first.planners):
                wanted = tuned.get((policy, name))
                if wanted is not None and case.labels["headroom"] not in wanted:
                    continue
                planner = parts[id(case)].planner(policy)
                recorded = RecordedForecaster(tape)
                setup = EpisodeSetup(policy, scene, conditions, recorded, planner)
                tried.append({**about, **case.labels, **episode_row(run_episode(setup))})
                yield tried[-1]
        tuned = tuned or tuned_headrooms(tried, target)


def run(overrides: Sequence[str]) -> Path:
    """Run the study and write its tables; ``overrides`` change its configuration.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    found = cases(STUDY, overrides)
    with whole_folder(output_folder(STUDY, found)) as folder:
        rows = []
        for row in runs(found):
            rows.append(row)
            print(
                f"  {row['policy']} {row['headroom']:g}: {row['cost_usd']:.3f} USD, "
                f"{100.0 * row['attainment']:.3f} %",
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
