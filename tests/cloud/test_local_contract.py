"""The local cloud keeps the contract of every backend."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from markopt.cloud.local.backend import LocalBackend
from markopt.errors import BackendError
from tests.cloud.contract import BackendContract, World
from tests.cloud.local_worlds import deployment, needs_haproxy, settings, short_folder
from tests.cloud.worlds import function, offer

SPEED = 40.0
STEP_S = 25.0


@needs_haproxy
class TestLocalCloud(BackendContract):
    @pytest.fixture
    def new_world(self) -> Iterator[Callable[[], World]]:
        with short_folder() as folder, contextlib.ExitStack() as opened:

            def new() -> World:
                return _world(Path(folder, str(len(backends))), backends)

            backends: list[LocalBackend] = []
            yield new
            for backend in backends:
                opened.callback(_close, backend)


def _world(folder: Path, backends: list[LocalBackend]) -> World:
    given = deployment(
        [
            offer(launch_delay_s=15.0),
            offer("p2.xlarge/on_demand", service_times_s=(0.1, 0.12, 0.2), launch_delay_s=15.0),
        ],
        function=function(),
        fleet={"c5.large/on_demand": 1},
        speed=SPEED,
    )
    backend = settings(folder).open(given)
    backends.append(backend)
    # A bin's begin soon: how long opening took shall not show.
    start_s = 5.0 * math.ceil(given.clock.now_s() / 5.0 + 1.0)
    backend.advance(start_s)
    backend.observe()
    return World(backend, "p2.xlarge/on_demand", start_s, STEP_S, 3, sees_requests=False)


def _close(backend: LocalBackend) -> None:
    with contextlib.suppress(BackendError):
        backend.close()
