"""The AWS back end keeps the contract of every back end, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cloud.aws.worlds import SPOT, open_backend, workload
from tests.cloud.contract import BackendContract, World


class TestAws(BackendContract):
    @pytest.fixture
    def new_world(self, moto_url: str, name: str) -> Callable[[], World]:
        made: list[str] = []

        def new() -> World:
            made.append(f"{name}-{len(made)}")
            backend = open_backend(
                moto_url, made[-1], load=workload(start_s=300.0), look_period_s=60.0
            )
            return World(backend, SPOT.name, 300.0, 60.0, 4)

        return new
