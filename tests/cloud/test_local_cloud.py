"""The local cloud: real processes behind HAProxy serve real requests, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from markopt.cloud.clock import SteppedClock
from markopt.cloud.local import balancer
from markopt.cloud.local.backend import LocalBackend
from markopt.cloud.local.fates import Fate, Fates
from markopt.cloud.local.nest import end_leftovers
from markopt.cloud.local.processes import start_ticks
from markopt.cloud.local.settings import LocalCloud
from markopt.core import Actions
from markopt.errors import BackendError, ConfigError
from tests.cloud.local_worlds import (
    all_seen,
    deployment,
    needs_haproxy,
    processes_of,
    send,
    settings,
    short_folder,
)
from tests.cloud.worlds import function, offer

LARGE = "c5.large/on_demand"


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def opened() -> Iterator[Callable[[LocalBackend], LocalBackend]]:
    """Close backends at the end, whatever a test did."""
    with contextlib.ExitStack() as stack:

        def note(backend: LocalBackend) -> LocalBackend:
            stack.callback(close, backend)
            return backend

        yield note


def close(backend: LocalBackend) -> None:
    with contextlib.suppress(BackendError):
        backend.close()


def evenly(rate_rps: float, start_s: float, end_s: float) -> list[float]:
    return np.arange(start_s, end_s, 1.0 / rate_rps).tolist()


def wait_for(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)


def all_gone(pids: Sequence[tuple[int, int]]) -> bool:
    return all(start_ticks(pid) != ticks for pid, ticks in pids)


Opened = Callable[[LocalBackend], LocalBackend]


@needs_haproxy
class TestRequests:
    def test_every_request_is_counted_once_and_answered_by_somebody(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(
            settings(folder, bouncer_queue_length=2, bin_s=0.5).open(
                deployment(
                    [offer(service_times_s=(0.08, 0.1))],
                    function=function(cold_start_s=0.2),
                    fleet={LARGE: 2},
                    speed=1.0,
                )
            )
        )
        log = send(backend, evenly(60.0, 0.0, 2.0))
        seen = all_seen(backend)
        assert len(log) == seen.arrivals.sum() == 120
        assert set(log.status.tolist()) == {200}
        on_instances, on_functions = log.by("instances"), log.by("functions")
        assert on_instances.sum() + on_functions.sum() == 120
        # Two servers of 20/s each take a part of 60/s; what overflows at arrival goes to functions.
        assert on_instances.sum() > 0
        assert on_functions.sum() == seen.spilled.sum() > 0
        assert {name for name in log.served_by if name.startswith("instances")} == {
            "instances/i-000001-0",
            "instances/i-000002-0",
        }
        statistics = log.statistics(start_s=0.0, bin_s=0.5, rt_max_s=0.5)
        assert statistics.requests == 120
        assert statistics.spilled.sum() == on_functions.sum()
        assert sum(int(row.sum()) for row in statistics.latency_counts.values()) == 120
        assert backend.close().cost_usd["lambda"] > 0.0

    def test_the_workload_is_replayed_at_its_own_times(self, folder: Path, opened: Opened) -> None:
        times_s = evenly(1.0, 300.0, 360.0)
        backend = opened(
            settings(folder, replay=True).open(
                deployment([offer()], times_s=times_s, fleet={LARGE: 4}, speed=80.0)
            )
        )
        backend.advance(400.0)
        log = backend.requests()
        assert log.arrival_s.tolist() == pytest.approx(times_s)
        assert backend.observe().arrivals.sum() == len(times_s)
        assert backend.statistics().requests == len(times_s)

    def test_without_functions_overflow_is_refused(self, folder: Path, opened: Opened) -> None:
        backend = opened(
            settings(folder, bouncer_queue_length=1, bin_s=0.5).open(
                deployment([offer()], fleet={LARGE: 1}, speed=1.0)
            )
        )
        log = send(backend, evenly(50.0, 0.0, 1.0))
        seen = all_seen(backend)
        assert set(log.status.tolist()) == {200, 503}
        assert log.refused.sum() == seen.refused.sum()
        assert seen.spilled.sum() == 0

    def test_functions_beyond_their_concurrency_limit_refuse(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(
            settings(folder, bin_s=0.5).open(
                deployment(
                    [offer()],
                    function=function(concurrency_limit=5, cold_start_s=2.0),
                    speed=1.0,
                )
            )
        )
        log = send(backend, [0.0] * 12)
        seen = all_seen(backend)
        assert np.sum(log.status == 200) == 5 == seen.spilled.sum()
        assert np.sum(log.status == 429) == 7 == seen.refused.sum()
        assert seen.late.sum() == 5  # all of them started cold

    def test_warm_functions_answer_without_a_cold_start(self, folder: Path, opened: Opened) -> None:
        backend = opened(
            settings(folder, bin_s=0.5).open(
                deployment([offer()], function=function(cold_start_s=1.0), speed=1.0)
            )
        )
        backend.apply(Actions("warm", warm_functions=4))
        backend.advance(backend.clock.now_s() + 1.5)
        log = send(backend, [0.0] * 4)
        assert log.by("functions").sum() == 4
        assert log.response_s.min() < 1.0
        assert backend.observe().warm_functions == 4
        assert len(processes_of(folder)) == 5  # four environments and HAProxy

    @pytest.mark.parametrize(("share", "to_functions"), [(0.0, 0), (1.0, 40)])
    def test_weighted_shares_are_set_while_it_runs(
        self, folder: Path, opened: Opened, share: float, to_functions: int
    ) -> None:
        backend = opened(
            settings(folder, data_plane="weighted", bouncer_queue_length=100).open(
                deployment(
                    [offer()],
                    function=function(cold_start_s=0.0),
                    fleet={LARGE: 1},
                    speed=1.0,
                )
            )
        )
        backend.apply(Actions("d1", function_share=share))
        log = send(backend, evenly(40.0, 0.0, 1.0))
        assert log.by("functions").sum() == to_functions
        assert log.by("instances").sum() == 40 - to_functions


@needs_haproxy
class TestLives:
    def test_draining_answers_what_is_held_and_takes_nothing_new(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(
            settings(folder, bouncer="none", drain_deadline_s=None).open(
                deployment([offer(service_times_s=(0.4, 0.5))], fleet={LARGE: 3}, speed=1.0)
            )
        )
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(send, backend, [0.0] * 12)
            wait_for(lambda: len(sessions(folder)) == 12)
            first = backend.observe().instances[0].instance_id
            assert backend.apply(Actions("d1", terminate=(first,))).terminated == (first,)
            log = sent.result()
        assert set(log.status.tolist()) == {200}
        assert sum(first in name for name in log.served_by) == 4
        wait_for(lambda: first not in {one.instance_id for one in backend.observe().instances})
        later = send(backend, [0.0] * 12)
        assert set(later.status.tolist()) == {200}
        assert not any(first in name for name in later.served_by)

    def test_a_killed_instance_is_lost_and_the_others_serve_on(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(
            settings(folder, bouncer="none").open(
                deployment([offer()], fleet={LARGE: 4}, speed=1.0)
            )
        )
        before = {one.instance_id for one in backend.observe().instances}
        victim = processes_of(folder)[-1][0]  # HAProxy was the first
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(send, backend, evenly(30.0, 0.0, 2.0))
            time.sleep(0.7)
            os.kill(victim, signal.SIGKILL)
            log = sent.result()
        after = {one.instance_id for one in backend.observe().instances}
        assert len(after) == 3
        assert after < before
        # Lost is at most what it held; afterwards nobody is sent there.
        assert np.sum(log.status != 200) < 15
        assert set(send(backend, [0.0] * 8).status.tolist()) == {200}

    def test_spot_instances_are_noticed_and_then_taken(self, folder: Path, opened: Opened) -> None:
        spot = "c5.large/spot"
        backend = opened(
            settings(folder, spot_notice_s=40.0).open(
                deployment([offer(spot, hazard_per_h=36000.0)], fleet={spot: 3}, speed=20.0)
            )
        )
        noticed: set[str] = set()
        start_s = backend.observe().time_s
        for step in range(1, 60):
            backend.advance(start_s + 5.0 * step)
            seen = backend.observe()
            noticed |= {one.instance_id for one in seen.instances if one.notice}
            if not seen.instances:
                break
        assert seen.instances == ()
        assert noticed == {"i-000001", "i-000002", "i-000003"}
        assert backend.close().interruptions == 3


@needs_haproxy
class TestProcesses:
    def test_closing_leaves_no_process(self, folder: Path, opened: Opened) -> None:
        backend = opened(
            settings(folder, replay=True).open(
                deployment(
                    [offer()],
                    times_s=evenly(5.0, 100.0, 500.0),
                    function=function(),
                    fleet={LARGE: 3},
                    speed=1.0,
                )
            )
        )
        backend.apply(Actions("d1", warm_functions=2))
        wait_for(lambda: len(processes_of(folder)) == 7)  # 3 + 2, HAProxy, the load
        pids = processes_of(folder)
        backend.close()
        assert all_gone(pids)
        assert processes_of(folder) == []

    @pytest.mark.parametrize("keep", [False, True])
    def test_a_killed_controller_leaves_what_it_was_to_leave(
        self, folder: Path, opened: Opened, keep: bool
    ) -> None:
        code = (
            "import sys, time; from pathlib import Path\n"
            "from tests.cloud.local_worlds import deployment, settings\n"
            "from tests.cloud.worlds import offer\n"
            "from markopt.core import Actions\n"
            f"backend = settings(Path({str(folder)!r}), keep={keep}).open(\n"
            f"    deployment([offer(launch_delay_s=1.0)], fleet={{{LARGE!r}: 2}}, name='kept'))\n"
            f"backend.apply(Actions('d1', launch={{{LARGE!r}: 1}}))\n"
            "print('ready', flush=True); time.sleep(600)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            wait_for(lambda: len(processes_of(folder)) == 4)
            pids = processes_of(folder)
            process.kill()
        if not keep:
            wait_for(lambda: all_gone(pids))
            return
        again = opened(
            settings(folder, keep=True).open(deployment([offer(launch_delay_s=1.0)], name="kept"))
        )
        seen = again.observe()
        assert {one.instance_id for one in seen.instances} == {"i-000001", "i-000002", "i-000003"}
        # A decision from before the crash is not carried out again.
        report = again.apply(Actions("d1", launch={LARGE: 1}))
        assert report.launched == {LARGE: ("i-000003",)}
        assert len(again.observe().instances) == 3
        assert set(processes_of(folder)) == set(pids)
        again.close()
        assert not all_gone(pids)
        host = _host_of(folder)
        os.kill(host, signal.SIGTERM)
        wait_for(lambda: all_gone(pids) and start_ticks(host) is None)

    def test_what_is_kept_and_not_taken_over_ends_with_its_lease(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(
            settings(folder, keep=True, lease_s=0.3).open(deployment([offer()], fleet={LARGE: 1}))
        )
        pids = processes_of(folder)
        assert len(pids) == 2
        backend.close()
        wait_for(lambda: all_gone(pids))

    def test_a_killed_host_takes_its_children_along_and_is_an_error(
        self, folder: Path, opened: Opened
    ) -> None:
        backend = opened(settings(folder).open(deployment([offer()], fleet={LARGE: 2})))
        pids = processes_of(folder)
        os.kill(_host_of(folder), signal.SIGKILL)
        wait_for(lambda: all_gone(pids))
        with pytest.raises(BackendError, match="the host has ended"):
            backend.observe()

    def test_a_second_controller_is_refused(self, folder: Path, opened: Opened) -> None:
        given = deployment([offer()], name="mine")
        opened(settings(folder).open(given))
        with pytest.raises(BackendError, match="another process drives"):
            settings(folder).open(given)

    def test_other_offers_under_the_same_name_are_refused(
        self, folder: Path, opened: Opened
    ) -> None:
        opened(settings(folder, keep=True, lease_s=1.0).open(deployment([offer()]))).close()
        with pytest.raises(ConfigError, match="other settings"):
            settings(folder, keep=True, lease_s=1.0).open(deployment([offer(launch_delay_s=77.0)]))


class TestFates:
    def test_equal_seeds_meet_equal_fates_whatever_else_is_launched(self) -> None:
        alone, beside = Fates(7, 0.3), Fates(7, 0.3)
        expected = [alone.next("a", 100.0, 2.0) for _ in range(5)]
        found = []
        for _ in range(5):
            beside.next("b", 50.0, 0.0)
            found.append(beside.next("a", 100.0, 2.0))
        assert found == expected
        assert [Fates(8, 0.3).next("a", 100.0, 2.0)] != expected[:1]

    def test_delays_and_notices_have_the_means_that_are_given(self) -> None:
        fates = Fates(0, 0.3)
        drawn = [fates.next("a", 100.0, 36.0) for _ in range(20_000)]
        delays_s = np.array([fate.delay_s for fate in drawn])
        assert delays_s.mean() == pytest.approx(100.0, rel=0.01)
        assert delays_s.std() == pytest.approx(30.0, rel=0.03)
        assert np.mean([fate.noticed_s for fate in drawn]) == pytest.approx(100.0, rel=0.03)
        assert Fates(0, 0.0).next("a", 100.0, 0.0) == Fate(100.0, math.inf)


def test_server_processes_load_nothing_heavy() -> None:
    code = (
        "import sys, aiohttp.web; from markopt.cloud.local import host, load, stand_in\n"
        "heavy = {'torch', 'pandas', 'numpy', 'hydra', 'scipy', 'pydantic', 'numba'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestLeftovers:
    def test_only_processes_that_were_noted_are_ended(self, folder: Path) -> None:
        noted, foreign = (
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            for _ in range(2)
        )
        ticks = start_ticks(noted.pid)
        registry = folder / "processes.json"
        # The foreign one has the pid of one that was noted, and another start.
        registry.write_text(json.dumps([[noted.pid, ticks], [foreign.pid, 1]]))
        assert end_leftovers(registry) == 1
        assert noted.wait(timeout=10.0) == -signal.SIGKILL
        assert foreign.poll() is None
        foreign.kill()
        foreign.wait(timeout=10.0)
        assert not registry.exists()

    def test_a_damaged_registry_ends_nothing(self, folder: Path) -> None:
        registry = folder / "processes.json"
        registry.write_text("[[1,")
        assert end_leftovers(registry) == 0


class TestSettings:
    def test_a_missing_haproxy_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(balancer.shutil, "which", lambda *_, **__: None)
        with pytest.raises(BackendError, match="apt-get install haproxy"):
            balancer.haproxy_path()

    def test_a_clock_that_does_not_run_is_refused(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="runs by the wall's clock"):
            settings(folder).open(deployment([offer()], clock=SteppedClock(0.0)))

    def test_a_folder_too_deep_for_sockets_is_refused(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="at most 90 bytes"):
            settings(folder / ("d" * 80)).open(deployment([offer()]))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("server", "cloudy"),
            ("data_plane", "none"),
            ("bouncer", "predicted_deadline"),
            ("bouncer_queue_length", 0),
            ("bin_s", 0.0),
            ("lease_s", float("inf")),
            ("launch_cv", -0.1),
            ("drain_deadline_s", -1.0),
        ],
    )
    def test_a_setting_out_of_range_is_named(self, folder: Path, key: str, value: object) -> None:
        with pytest.raises(ConfigError, match=rf"cloud\.{key}"):
            settings(folder, **{key: value})

    def test_a_name_that_leaves_the_folder_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="deployment name"):
            LocalCloud().open(deployment([offer()], name="../x"))


def _host_of(folder: Path) -> int:
    return int((folder / "lock").read_text())


def sessions(folder: Path) -> list[str]:
    """Return HAProxy's sessions that wait for an instance."""
    rows = asyncio.run(balancer.Balancer(folder / "haproxy.sock").command("show sess")).splitlines()
    return [row for row in rows if "be=instances" in row]
