"""The simulated cloud keeps the contract of every backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from markopt.cloud.simulated import SimulationSettings
from tests.cloud.contract import BackendContract, World
from tests.cloud.worlds import Poisson, cloud, function, launches, offer


class TestSimulatedCloud(BackendContract):
    @pytest.fixture(params=["bouncer", "queues", "round robin", "pending first"])
    def new_world(self, request: pytest.FixtureRequest) -> Callable[[], World]:
        settings = {
            "bouncer": SimulationSettings(),
            "queues": SimulationSettings(bouncer="none", bin_s=7.0),
            "round robin": SimulationSettings(dispatcher="weighted_round_robin"),
            "pending first": SimulationSettings(launch=launches(pending_s=20.0)),
        }[request.param]

        def new() -> World:
            backend = cloud(
                [offer(), offer("p2.xlarge/on_demand", service_times_s=(0.1, 0.12, 0.2))],
                arrivals=Poisson(12.0),
                function=function(),
                fleet={"c5.large/on_demand": 1},
                start_s=300.0,
                end_s=900.0,
                settings=settings,
            )
            return World(backend, "p2.xlarge/on_demand", 300.0, 60.0, 8)

        return new
