"""Small local clouds to test: short lives in compressed time, and processes to look for after."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from markopt.cloud.clock import Clock, WallClock
from markopt.cloud.live import Deployment
from markopt.cloud.local.backend import LocalBackend
from markopt.cloud.local.balancer import haproxy_path
from markopt.cloud.local.load import OpenLoop
from markopt.cloud.local.processes import start_ticks
from markopt.cloud.local.requests import RequestLog
from markopt.cloud.local.settings import LocalCloud
from markopt.core import FunctionOffer, Observation, Offer, RateSeries
from markopt.errors import BackendError
from markopt.workload.protocol import ArrivalProcess, Workload
from tests.cloud.worlds import SERVICE, Times


def has_haproxy() -> bool:
    try:
        haproxy_path()
    except BackendError:
        return False
    return True


needs_haproxy = pytest.mark.skipif(
    not has_haproxy(), reason="HAProxy is not installed (apt-get install haproxy)"
)


@dataclass(frozen=True)
class Given:
    """An arrival source that makes the same process each time."""

    times_s: tuple[float, ...]

    def new_process(self) -> ArrivalProcess:
        return Times(np.array(self.times_s))


def deployment(
    offers: Sequence[Offer],
    *,
    times_s: Sequence[float] = (),
    function: FunctionOffer | None = None,
    fleet: Mapping[str, int] | None = None,
    start_s: float = 0.0,
    end_s: float = 600.0,
    speed: float = 20.0,
    clock: Clock | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Deployment:
    """Return a deployment whose clock begins with the workload."""
    history = RateSeries(start_s - 60.0, 60.0, np.array([1.0]))
    return Deployment(
        name=name or f"t{uuid.uuid4().hex[:8]}",
        service=SERVICE,
        offers=tuple(offers),
        function=function,
        interval_s=60.0,
        workload=Workload("made up", history, start_s, end_s, Given(tuple(times_s))),
        clock=clock or WallClock(start_s=start_s, speed=speed),
        seed=np.random.SeedSequence(seed),
        initial_fleet=fleet or {},
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder whose path is short enough for sockets, as pytest's are not everywhere."""
    folder = Path(tempfile.mkdtemp(prefix="mo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path, **changes: object) -> LocalCloud:
    return LocalCloud(**{"folder": str(folder), "launch_cv": 0.0, "replay": False, **changes})  # type: ignore[arg-type]


def send(backend: LocalBackend, offsets_s: Sequence[float]) -> RequestLog:
    """Send requests so many seconds from now, and return what came back."""
    now_s = time.monotonic()
    loop = OpenLoop(backend.url, [(at, now_s + at) for at in offsets_s])
    asyncio.run(loop.run())
    rows = sorted(loop.rows)
    numbers = np.array([row[:4] for row in rows], dtype=np.float64).reshape(-1, 4)
    return RequestLog(
        numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3], tuple(row[4] for row in rows)
    )


def all_seen(backend: LocalBackend) -> Observation:
    """Return the counts of all bins, the one that runs included."""
    seen = backend.observe()
    backend.advance(backend.clock.now_s() + seen.bin_s)
    rest = backend.observe()
    counts = {
        name: np.concatenate([getattr(seen, name), getattr(rest, name)])
        for name in ("arrivals", "late", "refused", "spilled")
    }
    return dataclasses.replace(rest, **counts)


def processes_of(folder: Path) -> list[tuple[int, int]]:
    """Return pid and start of all that the host's registry names and that still runs."""
    path = folder / "processes.json"
    noted = json.loads(path.read_text()) if path.exists() else []
    return [(pid, ticks) for pid, ticks in noted if start_ticks(pid) == ticks]
