"""The future has no influence, and the same seed is the same world in every process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from markopt.cloud.simulated import SimulatedCloud, SimulationSettings, arrival_generator
from markopt.core import Actions, Observation
from markopt.workload import ArrivalProcess, PoissonWorkload, realised_rates
from tests.cloud.worlds import SERVICE, Poisson, cloud, function, offer

OFFERS = (
    offer(launch_delay_s=40.0),
    offer("p2.xlarge/spot", hazard_per_h=6.0, service_times_s=(0.1, 0.12, 0.15, 0.2)),
)


def episode(
    arrivals: ArrivalProcess, *, seed: int = 3, until_s: float = 1200.0, step_s: float = 60.0
) -> tuple[SimulatedCloud, list[Observation]]:
    """Drive a cloud by what it shows: launch where requests were refused or spilled."""
    backend = cloud(
        OFFERS,
        arrivals=arrivals,
        function=function(concurrency_limit=20),
        fleet={"c5.large/on_demand": 2},
        end_s=1200.0,
        seed=seed,
        settings=SimulationSettings(arrival_block_s=60.0),
    )
    seen = [backend.observe()]
    for step in range(1, int(until_s / step_s) + 1):
        trouble = int(seen[-1].spilled.sum() + seen[-1].refused.sum())
        names = [o.name for o in OFFERS]
        idle = [i.instance_id for i in seen[-1].instances if trouble == 0][:1]
        backend.apply(
            Actions(
                f"d{step}",
                launch={names[step % 2]: min(trouble // 50, 3)},
                terminate=tuple(idle),
                warm_functions=min(trouble // 20, 10),
            )
        )
        backend.advance(step * step_s)
        seen.append(backend.observe())
    return backend, seen


def equal(a: Observation, b: Observation) -> bool:
    return (
        a.instances == b.instances
        and a.bill_usd == b.bill_usd
        and a.warm_functions == b.warm_functions
        and all(
            np.array_equal(getattr(a, k), getattr(b, k))
            for k in ("arrivals", "late", "refused", "spilled")
        )
    )


@pytest.mark.parametrize("later_rps", [0.0, 300.0])
def test_altering_the_future_of_the_arrivals_changes_nothing_before(later_rps: float) -> None:
    _, plain = episode(Poisson(30.0))
    _, altered = episode(Poisson(30.0, later_rps=later_rps, changes_s=600.0))
    before = [equal(a, b) for a, b in zip(plain, altered, strict=True) if a.time_s <= 600.0]
    assert len(before) == 11
    assert all(before)
    after = [equal(a, b) for a, b in zip(plain, altered, strict=True) if a.time_s > 600.0]
    assert not any(after)


def test_the_end_of_the_span_changes_nothing_before() -> None:
    def run(end_s: float) -> list[Observation]:
        backend = cloud(OFFERS, arrivals=Poisson(30.0), fleet={"p2.xlarge/spot": 5}, end_s=end_s)
        seen = []
        for step in range(1, 11):
            backend.advance(step * 60.0)
            seen.append(backend.observe())
        return seen

    assert all(equal(a, b) for a, b in zip(run(600.0), run(7200.0), strict=True))


def test_the_arrivals_do_not_depend_on_the_policy_or_on_how_time_is_advanced() -> None:
    counts = []
    for launch, steps in ((0, 20), (5, 7)):
        backend = cloud(OFFERS, arrivals=Poisson(25.0), function=function(), end_s=1200.0, seed=8)
        backend.apply(Actions("d", launch={"p2.xlarge/spot": launch}, warm_functions=launch))
        for time_s in np.linspace(0.0, 1200.0, steps + 1)[1:]:
            backend.advance(float(time_s))
        counts.append(backend.statistics().arrivals)
    np.testing.assert_array_equal(*counts)


def test_the_cloud_sees_the_very_arrivals_that_were_counted_beforehand() -> None:
    workload = PoissonWorkload(
        rates_rps=(5.0, 40.0), bin_s=300.0, history_s=600.0, evaluate_s=1200.0
    ).build()
    seed = np.random.SeedSequence(12)
    known = realised_rates(workload, 60.0, arrival_generator(seed))
    backend = SimulatedCloud(
        SimulationSettings(arrival_block_s=60.0),
        service=SERVICE,
        offers=OFFERS,
        function=None,
        arrivals=workload.new_arrivals(),
        start_s=workload.start_s,
        end_s=workload.end_s,
        seed=seed,
    )
    for step in range(1, 21):
        backend.advance(workload.start_s + 60.0 * step)
        assert backend.observe().arrivals.sum() == round(known.rate_rps[step - 1] * 60.0)
    assert known.rate_rps.max() > 20.0


def test_another_seed_is_another_world() -> None:
    _, one = episode(Poisson(30.0), seed=3)
    _, other = episode(Poisson(30.0), seed=4)
    assert not any(
        np.array_equal(a.arrivals, b.arrivals) for a, b in zip(one[1:], other[1:], strict=True)
    )


def digest() -> str:
    """Return a digest of an episode: instances, counts and bills to the last bit."""
    backend, seen = episode(Poisson(30.0))
    text = hashlib.sha256()
    for one in seen:
        text.update(repr((one.instances, one.bill_usd, one.warm_functions)).encode())
        for name in ("arrivals", "late", "refused", "spilled"):
            text.update(getattr(one, name).tobytes())
    text.update(repr(backend.close()).encode())
    text.update(backend.statistics().latency_counts["instances"].tobytes())
    return text.hexdigest()


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    here = digest()
    assert digest() == here
    answer = subprocess.run(
        [sys.executable, "-c", "from tests.cloud.test_causality import digest; print(digest())"],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert answer.stdout.strip() == here
