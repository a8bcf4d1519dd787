"""One episode of the planners study: its service and day, its policy, and what is counted."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from planner_policies import MEAN, Policy, Values
from study_tables import Row, episode_row

from markopt.assembly import ConfigParts
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.outcome import EpisodeResult
from markopt.evaluation.tape import ForecastTape, RecordedForecaster
from markopt.planning.requirement import function_in_time, mix_of
from markopt.planning.statement import Formulation

HOUR_S = 3600.0


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


@dataclass(frozen=True, eq=False)
class Stage:
    """A day with a seed: what its policies share is worked out once, when it is first needed."""

    setting: Setting
    overrides: Sequence[str]
    forecasters: Mapping[str, str]
    seed: int
    bound: bool
    _tapes: dict[str, ForecastTape] = field(default_factory=dict)

    @cached_property
    def scene(self) -> Scene:
        """The scene, its function as fast as the setting says."""
        scene = self._parts(MEAN).scene(self.seed)
        if self.setting.function_s is None or scene.function is None:
            return scene
        function = dataclasses.replace(scene.function, service_time_s=self.setting.function_s)
        return dataclasses.replace(scene, function=function)

    @cached_property
    def conditions(self) -> Conditions:
        """The realized rates, the first fleet, and the clairvoyant bound if wanted."""
        return set_conditions(self.scene, bound=self.bound)

    @property
    def function_in_time(self) -> bool:
        """Whether a spilled request can still be in time."""
        return function_in_time(self.scene.function, self.scene.service.slo)

    def forecasts(self, target: str) -> ForecastTape:
        """Return every forecast of a target, recorded once for all policies."""
        if target not in self._tapes:
            forecaster = self._parts(target).forecaster()
            fitted = fit_forecaster(forecaster, self.scene, self.conditions)
            self._tapes[target] = forecast_once(self.scene, self.conditions, fitted)
        return self._tapes[target]

    def _parts(self, target: str) -> ConfigParts:
        return ConfigParts([*self.overrides, f"forecaster={self.forecasters[target]}"])


def play(name: str, policy: Policy, values: Values, on: Stage) -> tuple[EpisodeResult, Any]:
    """Run a policy with its parameters at ``values``; return the episode and the planner."""
    chosen = [f"planner.{key}={value}" for key, value in values.items()]
    parts = ConfigParts([*on.overrides, f"planner={policy.planner}", *policy.overrides, *chosen])
    planner = parts.planner(next(iter(parts.policies)))
    recorded = RecordedForecaster(on.forecasts(policy.forecaster))
    setup = EpisodeSetup(name, on.scene, on.conditions, copy.copy(recorded), planner)
    return run_episode(setup), planner


def shortages(result: EpisodeResult, on: Stage) -> dict[str, float]:
    """Return the shares of intervals whose requirement exceeded what served.

    ``short`` compares the required throughput of the realized mean rate with the ready instances;
    ``violated`` adds the warm functions where they are in time, as a promise does.
    """
    scene = on.scene
    saturation = {offer.name: offer.saturation_rps for offer in scene.offers}
    function = scene.function
    warm_rps = 0.0
    if function is not None and on.function_in_time:
        warm_rps = function.warm_rps * function.concurrency_limit
    short, violated = [], []
    for record, rate in zip(result.intervals, on.conditions.realized.rate_rps, strict=True):
        held = [o for o in scene.offers if record.ready.get(o.name, 0)]
        serves = sum(saturation[o.name] * record.ready[o.name] for o in held)
        mix = mix_of(scene.offers, [record.ready.get(o.name, 0) for o in scene.offers])
        needed = float(scene.required_throughput.at(np.array([rate]), mix)[0])
        short.append(needed > serves + 1e-9)
        violated.append(needed > serves + warm_rps + 1e-9)
    return {"short": float(np.mean(short)), "violated": float(np.mean(violated))}


def values_text(values: Values) -> str:
    """Return a policy's parameters in one cell."""
    return " ".join(f"{key}={value:g}" for key, value in values.items())


def judged_row(name: str, policy: Policy, values: Values, on: Stage) -> Row:
    """Run and return a judged run as one row; ``promised`` is what a plan allows.

    ``hours_usd`` is the bill of each hour of the span.
    """
    result, planner = play(name, policy, values, on)
    found = episode_row(result)
    promised = None
    if isinstance(planner, Formulation) and planner.risk.promises:
        promised = planner.risk.violation_share
    shares = {key: round(value, 5) for key, value in shortages(result, on).items()}
    del found["worst_minute_attainment"]
    about = {
        "values": values_text(values),
        "sl_min": on.scene.service.slo.sl_min,
        "promised": promised,
    }
    return {**found, "policy": name, **about, **shares, "hours_usd": hourly_bills(result)}


def hourly_bills(result: EpisodeResult) -> list[float]:
    """Return what each hour since the start added to the bill, in USD."""
    hours = [int((r.start_s - result.start_s) / HOUR_S + 1e-9) for r in result.intervals]
    bills_usd = np.diff([record.bill_usd for record in result.intervals], prepend=0.0)
    return [round(float(usd), 5) for usd in np.bincount(hours, weights=bills_usd)]


def trial_row(name: str, policy: Policy, values: Values, on: Stage) -> Row:
    """Run and return a run on the past day as one row."""
    result, _ = play(name, policy, values, on)
    return {
        "policy": name,
        "values": values_text(values),
        "attainment": round(result.statistics.attainment, 6),
        "cost_usd": round(result.ledger.total_usd, 6),
    }
