"""Which policy serves a day of the Twitter stream for the least, at equal attainment?

MArk's greedy with a point forecast of the maximum, the same greedy on sample paths, and the program
with every risk measure and every recourse, on the services of ``SETTINGS``, on demand only and with
spot. Every policy's few parameters (``POLICIES``) are tuned with the first seed on the same hours
of the day before, by a forecaster that has learnt from what came before them, and judged on hours
that no tuning has seen, with every seed. ``results/planners`` gets one row per judged run, one per
tuning trial, and the table; ``paper_figs/planners.py`` draws the figure.

    python experiments/planners.py [KEY=VALUE ...]
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from planners_table import table_rows
from study_tables import Case, Row, Study, cases, episode_row, main, markdown, output_folder

from markopt.assembly import ConfigParts, compare_settings
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
from markopt.evaluation.outcome import EpisodeResult
from markopt.evaluation.tape import ForecastTape, RecordedForecaster
from markopt.evaluation.tuning import Trial, tune
from markopt.planning.requirement import function_in_time, mix_of
from markopt.planning.statement import Formulation

STUDY = Study(
    "planners",
    {
        "service": lambda config: config.service.name,
        "purchase": lambda config: (
            "with spot" if "spot" in config.catalog.purchase else "on demand"
        ),
    },
)
RUNS, TRIALS, TABLE = "runs.csv", "trials.csv", "table.md"
DAY_S = 86400.0
MEAN, PEAK, CARRIED = "mean", "peak", "carried"
FORECASTERS = {MEAN: "lstm_calibrated", PEAK: "lstm_peak", CARRIED: "lstm_carried"}
Values = Mapping[str, float | str]


@dataclass(frozen=True)
class Setting:
    """Overrides of a service; ``function_s`` takes the place of the profile's Lambda time."""

    overrides: tuple[str, ...]
    function_s: float | None = None


SETTINGS = {
    # A prototype's setting: five types, launches of three minutes, Lambda at 44 USD per million.
    "inception_v3": Setting(
        (
            "service.slo.rt_max_s=1.0",
            "catalog.instance_types=[c5.large,c5.xlarge,c5.2xlarge,c5.4xlarge,p2.xlarge]",
            "catalog.launch_delay_s=180",
        ),
        function_s=0.9,
    ),
    "inception_bn": Setting(("workload.scale=20",)),
    "nasnet": Setting(()),  # no function in time: what is not served, misses
}


@dataclass(frozen=True)
class Policy:
    """A planner's option and overrides, what is tuned one after another, and its forecaster.

    What the policy ``like`` was tuned to holds for this one too.
    """

    planner: str
    overrides: tuple[str, ...] = ()
    knobs: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)
    forecaster: str = MEAN
    like: str | None = None


_QUANTILE = {"quantile": (0.85, 0.9, 0.95, 0.98, 1.0)}
_HEADROOM = {"headroom": (0.85, 1.0, 1.15, 1.3)}
_MEASURES = ("quantile", "saa", "cvar", "gaussian", "wasserstein")
_RECOURSE = {
    "wait_and_see": ("planner.spread=open_loop", "planner.integer_intervals=1"),
    "delayed": ("planner.spread=open_loop", "planner.window=8", "planner.integer_intervals=4"),
    "open_loop": ("planner.spread=open_loop",),
}


def policies(*, function: bool) -> dict[str, Policy]:
    """Return the policies by name; ``function``: one is in time, so that a spill misses nothing.

    Then a promise counts the warm functions, which are nearly free, and is not worth tuning.
    """
    price = {"spill_weight": (1.0, 2.0)} if function else {"miss_weight": (8.0, 12.0, 16.0)}
    share = {"risk.violation_share": (0.05,) if function else (0.05, 0.1, 0.2)}
    found = {
        "mark": Policy("greedy", ("planner.quantile=0.5",), _HEADROOM, PEAK),
        "greedy": Policy("greedy", (), _QUANTILE),
        "program": Policy("program", (), price),
    }
    for measure in _MEASURES:
        risk = (f"planner.risk.measure={measure}",)
        found[f"program_{measure}"] = Policy("program", risk, share, like="program")
    for recourse, others in _RECOURSE.items():
        chosen = (f"planner.recourse={recourse}", "planner.scenario_groups=[4]", *others)
        found[f"program_{recourse}"] = Policy("program", chosen, like="program")
    found["program_carried"] = Policy("program", (), price, CARRIED)
    return found


def chosen_policies(names: Sequence[str], known: Mapping[str, Policy]) -> dict[str, Policy]:
    """Return the policies of these names, and those that they are ``like``.

    Raises:
        ConfigError: a name is unknown.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"compare.planners: expected of {list(known)}, got {unknown}")
    wanted = {*names, *(known[name].like for name in names)}
    return {name: policy for name, policy in known.items() if name in wanted}


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene with what its policies share: conditions, and a tape per forecaster."""

    scene: Scene
    conditions: Conditions
    tapes: Mapping[str, ForecastTape]


def stage(setting: Setting, overrides: Sequence[str], seed: int, *, bound: bool) -> Stage:
    """Return the stage of a seed: every forecaster's tape, recorded once for all policies."""
    parts = {
        target: ConfigParts([*overrides, f"forecaster={name}"])
        for target, name in FORECASTERS.items()
    }
    scene = parts[MEAN].scene(seed)
    if setting.function_s is not None and scene.function is not None:
        function = dataclasses.replace(scene.function, service_time_s=setting.function_s)
        scene = dataclasses.replace(scene, function=function)
    conditions = set_conditions(scene, bound=bound)
    tapes = {}
    for target, own in parts.items():
        fitted = fit_forecaster(own.forecaster(), scene, conditions)
        tapes[target] = forecast_once(scene, conditions, fitted)
    return Stage(scene, conditions, tapes)


def play(
    name: str, policy: Policy, values: Values, on: Stage, overrides: Sequence[str]
) -> tuple[EpisodeResult, Any]:
    """Run a policy with its parameters at ``values``; return the episode and the planner."""
    chosen = [f"planner.{key}={value}" for key, value in values.items()]
    parts = ConfigParts([*overrides, f"planner={policy.planner}", *policy.overrides, *chosen])
    planner = parts.planner(next(iter(parts.policies)))
    recorded = RecordedForecaster(on.tapes[policy.forecaster])
    setup = EpisodeSetup(name, on.scene, on.conditions, copy.copy(recorded), planner)
    return run_episode(setup), planner


def tuned_values(
    name: str,
    policy: Policy,
    on: Stage,
    overrides: Sequence[str],
    *,
    target: float,
    known: Mapping[str, Values],
) -> tuple[Values, list[Row]]:
    """Return the values of a policy's knobs: the cheapest that attain ``target``, one by one."""
    chosen = dict(known[policy.like]) if policy.like else {}
    trials: list[Row] = []
    for knob, grid in policy.knobs.items():
        if len(grid) == 1:
            chosen[knob] = grid[0]
            continue

        def attempt(at: float, knob: str = knob, grid: tuple[float | str, ...] = grid) -> Trial:
            values = {**chosen, knob: grid[int(at)]}
            result, _ = play(name, policy, values, on, overrides)
            trial = Trial(at, result.statistics.attainment, result.ledger.total_usd)
            trials.append(
                {
                    "policy": name,
                    "values": _text(values),
                    "attainment": round(trial.attainment, 6),
                    "cost_usd": round(trial.cost_usd, 6),
                }
            )
            return trial

        places = tuple(float(at) for at in range(len(grid)))
        found = tune(name, knob, places, target, attempt=attempt)
        chosen[knob] = grid[int(found.value or 0.0)]
    return chosen, trials


def _text(values: Values) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def shortages(result: EpisodeResult, on: Stage) -> dict[str, float]:
    """Return the shares of intervals whose requirement exceeded what served.

    ``short`` compares the required throughput of the realized mean rate with the ready instances;
    ``violated`` adds the warm functions where they are in time, as a promise does.
    """
    scene = on.scene
    saturation = {offer.name: offer.saturation_rps for offer in scene.offers}
    function, slo = scene.function, scene.service.slo
    warm_rps = 0.0
    if function is not None and function_in_time(function, slo):
        warm_rps = function.warm_rps * function.concurrency_limit
    short, violated = [], []
    for record, rate in zip(result.intervals, on.conditions.realized.rate_rps, strict=True):
        held = [o for o in scene.offers if record.ready.get(o.name, 0)]
        serves = sum(saturation[o.name] * record.ready[o.name] for o in held)
        mix = mix_of(scene.offers, [record.ready.get(o.name, 0) for o in scene.offers])
        needed = float(_required(scene, rate, mix))
        short.append(needed > serves + 1e-9)
        violated.append(needed > serves + warm_rps + 1e-9)
    return {"short": float(np.mean(short)), "violated": float(np.mean(violated))}


def _required(scene: Scene, rate_rps: float, mix: Mapping[str, float]) -> float:
    return float(scene.required_throughput.at(np.array([rate_rps]), mix)[0])


def judged_row(name: str, result: EpisodeResult, planner: Any, values: Values, on: Stage) -> Row:
    """Return a judged run as one row; ``promised`` is what a plan allows."""
    found = episode_row(result)
    promised = None
    if isinstance(planner, Formulation) and planner.risk.promises:
        promised = planner.risk.violation_share
    shares = {key: round(value, 5) for key, value in shortages(result, on).items()}
    del found["worst_minute_attainment"]
    about = {"values": _text(values), "sl_min": on.scene.service.slo.sl_min, "promised": promised}
    return {**found, "policy": name, **about, **shares}


def case_rows(case: Case) -> tuple[list[Row], list[Row]]:
    """Tune and judge every policy on one service and purchase; return judged rows and trials."""
    setting = SETTINGS[case.labels["service"]]
    base = [*setting.overrides, *case.overrides]
    workload, slo = case.config.workload, case.config.service.slo
    seeds = compare_settings(case.config).seeds
    before = [
        *base,
        f"workload.start_s={float(workload.start_s) - DAY_S}",
        f"workload.history_s={float(workload.history_s) - DAY_S}",
    ]
    tuning = stage(setting, before, seeds[0], bound=False)
    function = function_in_time(tuning.scene.function, tuning.scene.service.slo)
    wanted = compare_settings(case.config).planners
    candidates = chosen_policies(wanted, policies(function=function))
    tuned: dict[str, Values] = {}
    trials: list[Row] = []
    for name, policy in candidates.items():
        tuned[name], tried = tuned_values(
            name, policy, tuning, before, target=float(slo.sl_min), known=tuned
        )
        trials += [{**case.labels, **row} for row in tried]
        _tell(case, f"{name}: {_text(tuned[name])}")
    rows: list[Row] = []
    for seed in seeds:
        judging = stage(setting, base, seed, bound=True)
        for name, policy in candidates.items():
            result, planner = play(name, policy, tuned[name], judging, base)
            row = judged_row(name, result, planner, tuned[name], judging)
            rows.append({**case.labels, **row})
            cost, attained = row["cost_usd"], 100.0 * row["attainment"]
            _tell(case, f"{name}, seed {seed}: {cost:.3f} USD, {attained:.3f} %")
    return rows, trials


def _tell(case: Case, text: str) -> None:
    print(f"{STUDY.name} {case.labels}: {text}", file=sys.stderr, flush=True)


def run(overrides: Sequence[str]) -> Path:
    """Run the study and write its tables; ``overrides`` change its configuration.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    found = cases(STUDY, overrides)
    jobs = compare_settings(found[0].config).jobs
    rows: list[Row] = []
    trials: list[Row] = []
    with whole_folder(output_folder(STUDY, found)) as folder:
        for judged, tried in Parallel(n_jobs=jobs)(delayed(case_rows)(case) for case in found):
            rows += judged
            trials += tried
        table = markdown(table_rows(rows))
        replace_text(folder.path / RUNS, csv_text(rows))
        replace_text(folder.path / TRIALS, csv_text(trials))
        replace_text(folder.path / TABLE, table)
    print(table)
    print(folder.final)
    return folder.final


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
