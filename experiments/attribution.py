"""Where does a policy's cost above the clairvoyant bound come from?

Every episode is run again and again on the same arrivals, each time with one more part in its
perfect version, as docs/evaluation.md explains, forwards and backwards. The sample trace is always
there; the last hour of Twitter's stream joins it where the trace is (``MARKOPT_DATA``).
``results/attribution`` gets one row per part and one per run; ``paper_figs/attribution.py`` draws
the figure.

    python experiments/attribution.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from study_tables import Case, Row, Study, cases, main, markdown, output_folder

from markopt.assembly import ConfigParts, compare_settings
from markopt.composition import parse
from markopt.evaluation.attribution import (
    PARTS,
    Attribution,
    World,
    attribute,
    loss_rows,
    run_rows,
)
from markopt.evaluation.differences import paired_t_interval
from markopt.evaluation.episode import fit_forecaster, forecast_once, set_conditions
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.tape import RecordedForecaster

if TYPE_CHECKING:
    from omegaconf import DictConfig

LOSSES, RUNS, TABLE = "losses.csv", "runs.csv", "table.md"
TWITTER = (
    "workload=twitter",
    "workload.start_s=null",
    "workload.history_s=259200",
    "catalog.purchase=[on_demand,spot]",
)


def trace(config: DictConfig) -> str:
    """Return a short name of the load: the first word of its file's name."""
    path = config.workload.get("path")
    return str(config.workload.name) if path is None else Path(str(path)).name.split(".")[0]


STUDY = Study(
    "attribution",
    {
        "trace": lambda config: trace(config).split("_")[0],
        "spot": lambda config: "spot" in config.catalog.purchase,
    },
)


def all_cases(overrides: Sequence[str]) -> list[Case]:
    """Return the study's cases, with Twitter's where its trace is and no other load is wanted."""
    found = cases(STUDY, overrides)
    if any(override.key_or_group == "workload" for override in parse(overrides)):
        return found
    more = cases(STUDY, [*overrides, *TWITTER])
    if Path(str(more[0].config.workload.path)).is_file():
        return [*found, *more]
    print(f"{STUDY.name}: without Twitter's trace, see MARKOPT_DATA", file=sys.stderr)
    return found


def attributions(case: Case) -> Iterator[Attribution]:
    """Split the loss of every policy with every seed; forecasts of a seed are made once."""
    settings = compare_settings(case.config)
    parts = ConfigParts(case.overrides, settings.planners)
    for seed in settings.seeds:
        scene = parts.scene(seed)
        conditions = set_conditions(scene)
        made = fit_forecaster(parts.forecaster(), scene, conditions)
        recorded = RecordedForecaster(forecast_once(scene, conditions, made))
        for policy in settings.planners:
            world = World(scene, parts.planner(policy), recorded)
            yield attribute(policy, world, conditions)


def rounded(row: Row, digits: int = 6) -> Row:
    """Return a row whose fractional numbers have so many digits."""
    return {k: round(v, digits) if isinstance(v, float) else v for k, v in row.items()}


def summary(losses: Sequence[Row], runs: Sequence[Row]) -> list[Row]:
    """Return one row per case and policy, for people: bound, bill and parts, means over seeds."""
    rows = []
    keys = [*STUDY.labels, "policy"]
    for group in dict.fromkeys(tuple(row[key] for key in keys) for row in losses):
        about = dict(zip(keys, group, strict=True))

        def usd(rows: Sequence[Row], key: str, about: Row = about, **wanted: Any) -> str:
            chosen = [r for r in rows if all(r[k] == v for k, v in {**about, **wanted}.items())]
            return with_half_width([float(r[key]) for r in chosen])

        rows.append(
            {
                **about,
                "bill USD": usd(runs, "cost_usd", order="forward", perfect="nothing"),
                "bound": usd(runs, "cost_usd", order="end", perfect="bound"),
                **{part: usd(losses, "usd", part=part) for part in PARTS},
            }
        )
    return rows


def with_half_width(found: Sequence[float]) -> str:
    """Return a mean and, of several different values, half of its 95 % interval (Student's t)."""
    values = np.array(found)
    if len(values) < 2 or not values.std():
        return f"{values.mean():.3f}"
    low, high = paired_t_interval(values)
    return f"{values.mean():.3f} ± {(high - low) / 2.0:.3f}"


def run(overrides: Sequence[str]) -> Path:
    """Run the study and write its tables; ``overrides`` change its configuration.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    found = all_cases(overrides)
    losses: list[Row] = []
    runs: list[Row] = []
    with whole_folder(output_folder(STUDY, found)) as folder:
        for case in found:
            for one in attributions(case):
                print(
                    f"{STUDY.name}: {case.labels}, {one.policy}, seed {one.seed}: "
                    f"{one.episode.cost_usd:.3f} USD, bound {one.bound_usd:.3f}",
                    file=sys.stderr,
                    flush=True,
                )
                about = {**case.labels, "policy": one.policy, "seed": one.seed}
                losses += [{**about, **rounded(row)} for row in loss_rows(one)]
                runs += [{**about, **rounded(row)} for row in run_rows(one)]
        table = markdown(summary(losses, runs))
        replace_text(folder.path / LOSSES, csv_text(losses))
        replace_text(folder.path / RUNS, csv_text(runs))
        replace_text(folder.path / TABLE, table)
    print(table)
    print(folder.final)
    return folder.final


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
