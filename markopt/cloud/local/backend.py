"""The controller's side of the local cloud: starts or finds the host and talks to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, final

import numpy as np

from markopt.cloud.live import Deployment
from markopt.cloud.local.host import CONFIG, CONTROL, LOCK, LOCKED, LOG, REQUESTS
from markopt.cloud.local.requests import RequestLog, read_requests
from markopt.cloud.local.settings import LocalCloud, host_config, require_wall_clock
from markopt.core import (
    ActionReport,
    Actions,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
    Offer,
    RequestStatistics,
)
from markopt.errors import BackendError, ConfigError

_START_LIMIT_S = 180.0
_LAST_ANSWERS_S = 10.0


def open_backend(cloud: LocalCloud, deployment: Deployment) -> LocalBackend:
    """Take over the host of a deployment, or start one."""
    require_wall_clock(deployment.clock)
    folder = cloud.folder_of(deployment.name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise ConfigError(f"cloud.folder: {folder} belongs to another user")
    arrivals = folder / "arrivals.f64" if cloud.replay else None
    config = host_config(cloud, deployment, arrivals)
    found = _is_hosted(folder)
    if not found:
        for stale in (REQUESTS, CONTROL):
            (folder / stale).unlink(missing_ok=True)
        if arrivals is not None:
            arrivals.write_bytes(_arrivals_s(deployment).tobytes())
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        _start_host(folder)
    return LocalBackend(cloud, deployment, folder, sold=config["sold"], found=found)


def _arrivals_s(deployment: Deployment) -> Any:
    """Return the arrivals of the workload's span: the very ones of a simulation of this seed."""
    from markopt.cloud.simulated.arrivals import ArrivalBuffer, arrival_generator

    workload = deployment.workload
    source = ArrivalBuffer(
        workload.new_arrivals(), arrival_generator(deployment.seed), workload.start_s, 60.0
    )
    return np.concatenate([*source.until(workload.end_s), np.empty(0)])


def _is_hosted(folder: Path) -> bool:
    """Tell whether a host lives: it holds the folder's lock as long as it does."""
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def _start_host(folder: Path) -> None:
    """Start the host and wait until it listens.

    Raises:
        BackendError: it ends, or takes too long.
    """
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "markopt.cloud.local.host", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    limit_s = time.monotonic() + _START_LIMIT_S
    while not (folder / CONTROL).exists():
        code = process.poll()
        if code is not None and code != LOCKED:
            lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
            last = lines[-1] if lines else f"exit code {code}"
            raise BackendError(f"Local cloud: the host does not start: {last} ({folder / LOG})")
        if time.monotonic() > limit_s:
            process.terminate()
            raise BackendError(f"Local cloud: the host takes too long to start; see {folder / LOG}")
        time.sleep(0.01)
    # It is nobody's child to wait for any more: it may outlive this process.
    process.returncode = 0


@final
class LocalBackend:
    """A ``Backend`` of real processes; ``LocalCloud.open`` makes it.

    Observations are of the moment that was advanced to, the workload's start at first where that is
    still to come. Requests sent to ``url`` are served.
    """

    def __init__(
        self, cloud: LocalCloud, deployment: Deployment, folder: Path, *, sold: str, found: bool
    ) -> None:
        self._cloud = cloud
        self._deployment = deployment
        self._folder = folder
        self._offers = {offer.name: offer for offer in deployment.offers}
        self.clock = require_wall_clock(deployment.clock)
        self._socket = _connect(folder / CONTROL)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        try:
            hello = self._ask({"do": "hello", "observed_until_s": deployment.observed_until_s})
        except BackendError:
            self._disconnect()
            raise
        if hello["sold"] != sold:
            self._disconnect()
            raise ConfigError(
                f"cloud=local: deployment '{deployment.name}' runs with other settings, offers or "
                f"service; close it first or give another name"
            )
        self.url = f"http://127.0.0.1:{hello['port']}/inference"
        self._first_bin_s = float(hello["first_bin_s"])
        if found:
            self.clock.set_to(hello["now_s"])
        self._now_s = max(self.clock.now_s(), self._first_bin_s)
        self._last: Observation | None = None
        self._ledger: Ledger | None = None

    # --- Backend protocol ---

    def observe(self) -> Observation:
        """Return the instances, and counts of the bins that ended since the last observation.

        Raises:
            BackendError: the host has ended.
        """
        if self._last is not None:
            return self._last
        seen = self._ask({"do": "observe", "time_s": self._now_s})
        return self._observation(seen)

    def _observation(self, seen: dict[str, Any]) -> Observation:
        instances = tuple(
            InstanceStatus(**{**one, "state": InstanceState(one["state"])})
            for one in seen["instances"]
        )
        counts: dict[str, Any] = {
            name: np.asarray(row, dtype=np.int64) for name, row in seen["counts"].items()
        }
        return Observation(
            time_s=self._now_s,
            instances=instances,
            bin_s=seen["bin_s"],
            warm_functions=seen["warm_functions"],
            bill_usd=sum(seen["bill"]["cost_usd"].values()),
            **counts,
        )

    def apply(self, actions: Actions) -> ActionReport:
        """Launch, drain and warm up as told; the same ``decision_id`` again changes nothing.

        Raises:
            ConfigError: an offer is not on sale, or a count or share is out of range; nothing is
                carried out.
            BackendError: the host has ended.
        """
        self._check(actions)
        done = self._ask(
            {
                "do": "apply",
                "decision_id": actions.decision_id,
                "launch": dict(actions.launch),
                "terminate": list(actions.terminate),
                "warm_functions": actions.warm_functions,
                "function_share": actions.function_share,
            }
        )
        return ActionReport(
            actions.decision_id,
            {name: tuple(ids) for name, ids in done["launched"].items()},
            tuple(done["terminated"]),
            tuple(done["refused"]),
            tuple(done["insufficient"]),
        )

    def advance(self, until_s: float) -> None:
        """Wait until ``until_s``.

        Raises:
            BackendError: it lies before the time that was advanced to last.
        """
        if until_s < self._now_s:
            raise BackendError(f"LocalCloud: can advance from {self._now_s} s on, got {until_s} s")
        self.clock.wait_until(until_s)
        self._now_s = until_s

    def close(self) -> Ledger:
        """End everything and return the bill; with ``keep``, leave it running."""
        if self._ledger is not None:
            return self._ledger
        if self._cloud.keep:
            bill = self._ask({"do": "observe", "time_s": self._now_s})["bill"]
        else:
            finish = {"do": "finish", "time_s": self._now_s, "patience_s": _LAST_ANSWERS_S}
            bill = self._ask(finish)
        self._ledger = Ledger(
            cost_usd=bill["cost_usd"],
            billed_s=bill["billed_s"],
            launches=bill["launches"],
            interruptions=bill["interruptions"],
        )
        none = np.zeros(0, dtype=np.int64)
        self._last = Observation(
            time_s=self._now_s,
            instances=(),
            bin_s=self._cloud.bin_s,
            arrivals=none,
            late=none,
            refused=none,
            spilled=none,
            bill_usd=self._ledger.total_usd,
        )
        self._disconnect()
        if not self._cloud.keep:
            _wait_until_free(self._folder)
        return self._ledger

    def detach(self) -> None:
        """Let go of the host, which ends with its fleet then, or with ``keep`` serves on."""
        self._disconnect()

    # --- what the clients saw ---

    def requests(self) -> RequestLog:
        """Return every request that the load generator sent and that has ended."""
        return read_requests(self._folder / REQUESTS)

    def statistics(self) -> RequestStatistics:
        """Return what happened to the requests so far, as the load generator saw it."""
        return self.requests().statistics(
            start_s=self._first_bin_s,
            bin_s=self._cloud.bin_s,
            rt_max_s=self._deployment.service.slo.rt_max_s,
        )

    # --- the host ---

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            line = self._lines.readline()
        except (OSError, ValueError):  # ValueError: closed before
            line = ""
        if not line:
            self._disconnect()
            raise BackendError(f"Local cloud: the host has ended; see {self._folder / LOG}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BackendError(f"Local cloud: {answer['error']}")
        return answer

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.close()
            self._socket.close()

    def _offer(self, name: str) -> Offer:
        if name not in self._offers:
            raise ConfigError(
                f"LocalCloud: offer '{name}' is not on sale; offers: {sorted(self._offers)}"
            )
        return self._offers[name]

    def _check(self, actions: Actions) -> None:
        for name, number in actions.launch.items():
            self._offer(name)
            if number < 0:
                raise ConfigError(
                    f"Actions '{actions.decision_id}': launch of '{name}' must not be negative, "
                    f"got {number}"
                )
        share = actions.function_share
        if share is not None and not (self._cloud.data_plane == "weighted" and 0.0 <= share <= 1.0):
            raise ConfigError(
                f"Actions '{actions.decision_id}': function_share must lie in [0, 1] and goes with "
                f"data_plane=weighted, got {share} with data_plane={self._cloud.data_plane}"
            )
        if actions.warm_functions is not None and actions.warm_functions < 0:
            raise ConfigError(
                f"Actions '{actions.decision_id}': warm_functions must not be negative, got "
                f"{actions.warm_functions}"
            )


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    limit_s = time.monotonic() + 5.0
    while True:
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:  # the socket is there a moment before it listens
            if time.monotonic() > limit_s:
                connection.close()
                raise BackendError(f"Local cloud: {path}: {error.strerror}") from None
            time.sleep(0.01)


def _wait_until_free(folder: Path) -> None:
    """Wait until the host, and with it all that it started, has ended."""
    limit_s = time.monotonic() + 30.0
    while _is_hosted(folder):
        if time.monotonic() > limit_s:
            raise BackendError(f"Local cloud: the host does not end; see {folder / LOG}")
        time.sleep(0.01)
