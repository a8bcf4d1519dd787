"""A compressed day through chaos ends with the fleet that it ends with undisturbed.

One call in five fails: throttled, broken, or done with the answer lost; launches are listed late,
instances vanish, and the controller is killed in the middle of calls and started again.
``make chaos`` makes it longer: CHAOS_AWS_RUNS, CHAOS_AWS_INTERVALS.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from markopt.cloud.aws import AwsCloud
from markopt.control import ControllerSettings
from markopt.control.guards import GuardSettings
from markopt.control.journal import JournalReader
from markopt.core import Plan, Problem, RateSeries
from markopt.deployment import DeploySettings, Parts, deploy
from markopt.deployment.replay.reproduction import Verdict, reproduce
from markopt.forecasting import LastValue
from markopt.workload.protocol import ArrivalProcess, Workload
from tests.cloud.aws.proxy import Call, Faults, Proxy, proxied
from tests.cloud.aws.worlds import (
    CREDENTIALS,
    ON_DEMAND,
    QUICK,
    SERVICE,
    SPOT,
    alive,
    client,
    instances,
    tags_of,
)
from tests.control.fake_backend import curves

RUNS = int(os.environ.get("CHAOS_AWS_RUNS", "1"))
INTERVALS = int(os.environ.get("CHAOS_AWS_INTERVALS", "14"))
CALM = 6
"""Intervals at the end in which the load is even and nothing vanishes; errors go on."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.cloud.aws.worlds", "markopt.deployment.session"])


def rate_rps(moment_s: float) -> float:
    """Return the day's load: a hill of 10 to 70 requests/s, even at the end."""
    turn = min(max(moment_s / 60.0, 0.0), INTERVALS - CALM) / (INTERVALS - CALM)
    return 40.0 - 30.0 * math.cos(2.0 * math.pi * 0.8 * turn)


@dataclass(frozen=True)
class Day:
    """Requests at even distances, so that every run sees the same."""

    def new_process(self) -> ArrivalProcess:
        return self

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        return np.linspace(start_s, end_s, round(rate_rps(start_s) * (end_s - start_s)), False)


@dataclass(frozen=True)
class ByLoad:
    """Two instances on demand, and spot for every 10 requests/s beyond 20."""

    def plan(self, problem: Problem) -> Plan:
        wanted = math.ceil(float(problem.forecast.mean_rps()[0]) / 10.0 - 1e-6)
        counts = np.array([[2], [max(wanted - 2, 0)]], dtype=np.int64)
        return Plan(
            planner="by_load",
            time_s=problem.time_s,
            offers=(ON_DEMAND.name, SPOT.name),
            targets=np.repeat(counts, problem.horizon, axis=1),
            warm_functions=np.zeros(problem.horizon, dtype=np.int64),
            rung="rule",
            reason=f"{wanted} for the load",
        )


def parts(folder: Path, url: str, name: str) -> Parts:
    history = RateSeries(-300.0, 60.0, np.full(5, rate_rps(0.0)))
    return Parts(
        deploy=DeploySettings(
            name=name, journal=str(folder / "journal"), clock="stepped", give_up_s=600.0
        ),
        controller=ControllerSettings(
            horizon=3,
            samples=10,
            monitor=False,
            mode="act",
            data_plane="weighted",
            guards=GuardSettings(),
        ),
        cloud=AwsCloud(endpoint_url=url, retry=QUICK, look_period_s=30.0),
        service=SERVICE,
        offers=(ON_DEMAND, SPOT),
        function=None,
        required_throughput=curves((ON_DEMAND, SPOT)),
        workload=Workload("day", history, 0.0, 60.0 * INTERVALS, Day()),
        forecaster=LastValue(),
        planner=ByLoad(),
        time_limit_s=None,
        seed=0,
        config={"cloud": {"endpoint_url": url}},
    )


def drive(folder: Path, url: str, name: str) -> None:
    os.environ.update(CREDENTIALS)
    deploy(parts(folder, url, name))


def fleet(url: str, name: str) -> Counter[str]:
    """Return what stays, by offer."""
    tags = [tags_of(entry) for entry in alive(url, name)]
    return Counter(one["markopt:offer"] for one in tags if "markopt:leaving-s" not in one)


def run_to_the_end(folder: Path, proxy: Proxy, name: str) -> int:
    """Drive the day to its end, with a new process for each that is killed; return how many."""
    for killed in range(50):
        process = context.Process(target=drive, args=(folder, proxy.url, name))
        proxy.on_kill = lambda started=process: os.kill(started.pid or 0, signal.SIGKILL)
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            assert process.exitcode == 0
            return killed
    raise AssertionError("killed fifty times")


@pytest.fixture(scope="module")
def undisturbed(
    moto_url: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Counter[str], int]:
    """Return the fleet at the end without chaos, and how many calls it took."""
    with proxied(moto_url) as proxy:
        assert run_to_the_end(tmp_path_factory.mktemp("calm"), proxy, "calm") == 0
        return fleet(moto_url, "calm"), len(proxy.calls)


def mischief(
    proxy: Proxy, url: str, name: str, calls: int, random_: random.Random
) -> Callable[[Call], None]:
    """Return what kills the process at three calls, and makes instances vanish at others."""
    busy = int(calls * (INTERVALS - CALM) / INTERVALS)
    kills = set(random_.sample(range(busy // 10, calls), 3))
    losses = set(random_.sample(range(busy // 3, busy), max(3, INTERVALS // 10)))

    def before(call: Call) -> None:
        number = len(proxy.calls)
        if number in losses and (running := alive(url, name)):
            victim = random_.choice(running)["InstanceId"]
            client(url, "ec2").terminate_instances(InstanceIds=[victim])
        if number in kills:
            if random_.random() < 0.5:
                proxy.kill_after(call)
            else:
                proxy.kill_now(call)

    return before


def check_launches(folder: Path, url: str, name: str) -> None:
    """No launch that nobody decided, none twice, none whose outcome is open; plans replay."""
    wanted: Counter[tuple[str, str]] = Counter()
    with JournalReader(folder / "journal") as reader:
        assert reader.pending() == ()
        assert {one.verdict for one in reproduce(reader, lambda _: ByLoad())} == {Verdict.EQUAL}
        for action in reader.actions():
            for offer, count in action.wanted.launch.items():
                wanted[action.decision_id, offer] += count
    made: Counter[tuple[str, str]] = Counter()
    for entry in instances(url, name):
        tags = tags_of(entry)
        made[tags["markopt:decision"], tags["markopt:offer"]] += 1
    made = Counter({key: n for key, n in made.items() if key[0] != "initial-fleet"})
    assert made <= wanted


def test_the_undisturbed_fleet_follows_the_load(undisturbed: tuple[Counter[str], int]) -> None:
    wanted = math.ceil(rate_rps(60.0 * INTERVALS) / 10.0 - 1e-6)
    assert undisturbed[0] == {ON_DEMAND.name: 2, SPOT.name: wanted - 2}


@pytest.mark.parametrize("number", range(RUNS))
def test_chaos_ends_with_the_same_fleet(
    moto_url: str, tmp_path: Path, undisturbed: tuple[Counter[str], int], number: int
) -> None:
    expected, calls = undisturbed
    name = f"chaos{number}"
    faults = Faults(seed=number, throttled=0.1, failed=0.07, lost=0.03, hidden_looks=2)
    with proxied(moto_url, faults) as proxy:
        proxy.before = mischief(proxy, moto_url, name, calls, random.Random(number))
        killed = run_to_the_end(tmp_path, proxy, name)
        outcomes = Counter(call.outcome for call in proxy.calls)
    assert killed == 3
    assert fleet(moto_url, name) == expected
    check_launches(tmp_path, moto_url, name)
    assert outcomes["throttled"] + outcomes["failed"] + outcomes["lost"] > 0.15 * sum(
        outcomes.values()
    )
    vanished = [e for e in instances(moto_url, name) if e["State"]["Name"] == "terminated"]
    assert vanished
