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
from study_tables import Row, Study, cases, episode_row, main, markdown, output_folder

from markopt.assembly import ConfigParts, compare_settings
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.folder import replace_text, whole_folder
from markopt.evaluation.outcome import EpisodeResult
from markopt.evaluation.tabulation import csv_text
from markopt.evaluation.tape import ForecastTape, RecordedForecaster
from markopt.evaluation.tuning import Trial, tune
from markopt.planning.requirement import function_in_time, mix_of, required_rps
from markopt.planning.statement import Formulation

STUDY = Study("planners", {})
RUNS, TRIALS, TABLE = "runs.csv", "trials.csv", "table.md"
DAY_S = 86400.0
MEAN, PEAK, CARRIED = "lstm_calibrated", "lstm_peak", "lstm_carried"
Values = Mapping[str, float | str]


@dataclass(frozen=True)
class Setting:
    """A service and where it runs; ``function_s`` takes the place of the profile's Lambda time."""

    overrides: tuple[str, ...]
    function_s: float | None = None


SETTINGS = {
    # A prototype's setting: five types, launches of three minutes, Lambda at 44 USD per million.
    "inception_v3": Setting(
        (
            "service=inception_v3",
            "service.slo.rt_max_s=1.0",
            "catalog.instance_types=[c5.large,c5.xlarge,c5.2xlarge,c5.4xlarge,p2.xlarge]",
            "catalog.launch_delay_s=180",
        ),
        function_s=0.9,
    ),
    "inception_bn": Setting(("service=inception_bn",)),
    "nasnet": Setting(("service=nasnet",)),  # no function in time: what is not served, misses
}
PURCHASES = {"on demand": "[on_demand]", "with spot": "[on_demand,spot]"}


@dataclass(frozen=True)
class Policy:
    """A planner's option and overrides, what is tuned one after another, and its forecaster."""

    planner: str
    overrides: tuple[str, ...] = ()
    knobs: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)
    forecaster: str = MEAN


def _program(*overrides: str, forecaster: str = MEAN, **knobs: tuple[float | str, ...]) -> Policy:
    return Policy("program", overrides, knobs, forecaster)


_RISK = {
    "quantile": {"risk.violation_share": (0.05, 0.1, 0.2)},
    "saa": {"risk.violation_share": (0.05, 0.1, 0.2)},
    "cvar": {"risk.violation_share": (0.1, 0.2, 0.4)},
    "gaussian": {"risk.violation_share": (0.05, 0.1, 0.2)},
    "wasserstein": {"risk.violation_share": (0.05, 0.1, 0.2)},
}
POLICIES: dict[str, Policy] = {
    "mark": Policy(
        "greedy",
        ("planner.quantile=0.5",),
        {"headroom": (0.85, 0.95, 1.05, 1.15, 1.3, 1.5)},
        PEAK,
    ),
    "greedy": Policy("greedy", (), {"quantile": (0.8, 0.9, 0.93, 0.95, 0.97, 0.99, 1.0)}),
    "greedy, carried": Policy(
        "greedy", (), {"quantile": (0.8, 0.9, 0.93, 0.95, 0.97, 0.99, 1.0)}, CARRIED
    ),
}


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene with what its policies share: conditions, and a tape per forecaster."""

    scene: Scene
    conditions: Conditions
    tapes: Mapping[str, ForecastTape]


def stage(
    setting: Setting, overrides: Sequence[str], forecasters: Sequence[str], seed: int, *, bound: bool
) -> Stage:
    """Return the stage of a seed: every forecaster's tape, recorded once for all policies."""
    parts = {name: ConfigParts([*overrides, f"forecaster={name}"]) for name in forecasters}
    scene = parts[forecasters[0]].scene(seed)
    if setting.function_s is not None and scene.function is not None:
        function = dataclasses.replace(scene.function, service_time_s=setting.function_s)
        scene = dataclasses.replace(scene, function=function)
    conditions = set_conditions(scene, bound=bound)
    tapes = {}
    for name in forecasters:
        fitted = fit_forecaster(parts[name].forecaster(), scene, conditions)
        tapes[name] = forecast_once(scene, conditions, fitted)
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
    name: str, policy: Policy, on: Stage, overrides: Sequence[str], target: float
) -> tuple[Values, list[Row]]:
    """Return the values of a policy's knobs: the cheapest that attain ``target``, one by one."""
    chosen: dict[str, float | str] = {}
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
    return float(scene.required_throughput(np.array([rate_rps]), mix)[0])
