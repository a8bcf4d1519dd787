"""The real model behind a real model server: seeded, checked, served, ended with its group."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from markopt.cloud.clock import WallClock
from markopt.cloud.local.load import OpenLoop
from markopt.cloud.local.model_server import (
    CLASSES,
    LENGTH,
    build_model,
    checked_tokens,
    example_bodies,
)
from markopt.cloud.local.processes import start_ticks
from markopt.core import Actions
from markopt.errors import ConfigError
from tests.cloud.local_worlds import (
    deployment,
    needs_haproxy,
    processes_of,
    settings,
    short_folder,
)
from tests.cloud.worlds import offer


def test_equal_seeds_give_equal_models_and_leave_the_generator_alone() -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    tokens = torch.arange(2 * LENGTH).reshape(2, LENGTH)
    with torch.inference_mode():
        first, again, other = (build_model(seed)(tokens) for seed in (1, 1, 2))
    assert first.shape == (2, CLASSES)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "request_",
    [None, {}, [0] * (LENGTH - 1), [-1] * LENGTH, [0.5] * LENGTH, [True] * LENGTH, ["0"] * LENGTH],
)
def test_what_is_no_sequence_of_tokens_is_refused(request_: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        checked_tokens(request_)


@needs_haproxy
def test_a_fleet_of_the_model_answers_and_is_no_larger_than_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    kind = offer(service_times_s=(0.02, 0.04), launch_delay_s=0.0)
    bodies = [text.encode() for text in example_bodies(0)]
    with short_folder() as folder:
        given = deployment([kind], fleet={kind.name: 1}, speed=1.0)
        backend = settings(folder, server="model", bouncer="none").open(given)
        try:
            report = backend.apply(Actions("d1", launch={kind.name: 1}))
            now_s = time.monotonic()
            loop = OpenLoop(backend.url, [(float(k), now_s) for k in range(6)], bodies=bodies)
            asyncio.run(loop.run())
            refused = OpenLoop(backend.url, [(0.0, now_s)], bodies=[b"[1, 2]"])
            asyncio.run(refused.run())
            pids = processes_of(Path(folder))
        finally:
            backend.close()
        assert all(start_ticks(pid) != ticks for pid, ticks in pids)
    assert {row[3] for row in loop.rows} == {200}
    assert {row[3] for row in refused.rows} == {422}
    assert report.insufficient == (kind.name,)
    assert "1 cores are in use" in report.refused[0]


def test_a_model_takes_the_time_that_it_takes() -> None:
    with short_folder() as folder, pytest.raises(ConfigError, match="a clock of speed 1"):
        settings(folder, server="model").open(
            deployment([offer()], clock=WallClock(start_s=0.0, speed=2.0))
        )
