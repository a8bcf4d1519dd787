"""A small deployment on the surviving cloud: everything real but cloud and planner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from markopt.control import ControllerSettings
from markopt.control.guards import GuardSettings
from markopt.core import Plan, Problem, PurchaseOption, RateSeries
from markopt.deployment import DeploySettings, Parts
from markopt.forecasting import LastValue
from markopt.workload.protocol import Workload
from tests.control.fake_backend import SERVICE, curves, make_offer
from tests.deployment.surviving_cloud import SurvivingCloud

OFFERS = (
    make_offer("small", saturation_rps=10.0, launch_delay_s=60.0),
    make_offer(
        "spot",
        saturation_rps=10.0,
        price_usd_per_s=3e-5,
        launch_delay_s=40.0,
        purchase=PurchaseOption.SPOT,
    ),
)
HISTORY = RateSeries(-300.0, 60.0, [9.0, 10.0, 11.0, 10.0, 10.0])
UNTIL_S = 600.0


@dataclass(frozen=True)
class ByLoad:
    """One instance per 10 requests/s of the mean forecast: one small one, spot beyond it."""

    def plan(self, problem: Problem) -> Plan:
        wanted = max(math.ceil(float(problem.forecast.mean_rps()[0]) / 10.0), 2)
        stock = {offer.name: offer.stock for offer in problem.offers}
        spot = wanted - 1 if stock["spot"] is None else min(wanted - 1, stock["spot"])
        counts = np.array([[wanted - spot], [spot]], dtype=np.int64)
        return Plan(
            planner="by_load",
            time_s=problem.time_s,
            offers=("small", "spot"),
            targets=np.repeat(counts, problem.horizon, axis=1),
            warm_functions=np.full(problem.horizon, wanted // 4),
            rung="rule",
            reason=f"{wanted} for the load",
        )


def toy_parts(
    folder: Path,
    *,
    for_s: float = UNTIL_S,
    mode: str = "act",
    guards: GuardSettings | None = None,
    **deploy: object,
) -> Parts:
    controller = ControllerSettings(
        horizon=3,
        samples=10,
        monitor_period_s=20.0,
        monitor_weight=0.01,
        suspect_silence_s=0.0,
        mode=mode,
        guards=guards or GuardSettings(),
    )
    settings = {"start": "trace", "clock": "stepped", "name": "toy"} | deploy
    return Parts(
        deploy=DeploySettings(journal=str(folder / "journal"), for_s=for_s, **settings),  # type: ignore[arg-type]
        controller=controller,
        cloud=SurvivingCloud(str(folder / "cloud")),
        service=SERVICE,
        offers=OFFERS,
        function=None,
        required_throughput=curves(OFFERS),
        workload=Workload("toy", HISTORY, 0.0, UNTIL_S, None),  # type: ignore[arg-type]
        forecaster=LastValue(),
        planner=ByLoad(),
        time_limit_s=None,
        seed=0,
        config={
            "controller": {"mode": mode},
            "planner": {"_target_": "tests.deployment.toy.ByLoad"},
        },
    )
