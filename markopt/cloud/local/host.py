"""The host: the process that is the local cloud, told what to do over a socket by its owner.

It outlives a controller that crashes, if it is to: with ``keep``, the next controller finds fleet,
bill and decisions as they are; without, or when nobody comes back, it ends all that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from markopt.cloud.local.balancer import Balancer, configuration, haproxy_path
from markopt.cloud.local.counts import RequestCounts
from markopt.cloud.local.fleet import FleetSettings, LocalFleet, LocalOffer, Servers
from markopt.cloud.local.functions import FunctionPool, FunctionSettings
from markopt.cloud.local.nest import Child, EnvironmentNest, Nest, end_leftovers
from markopt.cloud.local.nursery import fork_nursery, listening_socket
from markopt.cloud.local.servers import ModelServers, StandIns
from markopt.cloud.local.timing import CloudTime
from markopt.errors import BackendError, MarkoptError

ADMIN, CONFIG, CONTROL, LOCK = "haproxy.sock", "host.json", "control.sock", "lock"
REGISTRY, REQUESTS, LOG = "processes.json", "requests.csv", "host.log"
LINE_LIMIT = 1 << 22
LOCKED = 3
"""Exit code where another host has the folder."""


@final
class Host:
    """One local cloud.

    Args:
        config: what ``settings.host_config`` writes.
        folder: for sockets, registry and logs.
        nursery: the connection to it.
    """

    def __init__(self, config: Mapping[str, Any], folder: Path, nursery: socket.socket) -> None:
        self._config = config
        self._folder = folder
        self._time = CloudTime(**config["time"])
        self._nest = Nest(nursery, folder / REGISTRY, self._child_ended)
        self._balancer = Balancer(folder / ADMIN)
        self._counts = RequestCounts(
            start_s=config["first_bin_s"],
            bin_s=config["bin_s"],
            rt_max_s=config["rt_max_s"],
            speed=self._time.speed,
        )
        self._fleet = LocalFleet(
            FleetSettings(**config["fleet"]),
            offers={one["name"]: LocalOffer(**one) for one in config["offers"]},
            servers=self._servers(),
            balancer=self._balancer,
            time=self._time,
        )
        self._pool: FunctionPool | None = None
        self._haproxy: Child | None = None
        self._load: Child | None = None
        self._port = 0
        self._reports: dict[str, dict[str, Any]] = {}
        self._seen_bins = 0
        self._owner: asyncio.StreamWriter | None = None
        self._sampling = asyncio.Lock()
        self._lease: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self.over = asyncio.Event()

    def _servers(self) -> Servers:
        if self._config["model"] is None:
            return StandIns(self._nest, int(self._config["fleet"]["seed"]) % 2**31)
        return ModelServers(self._nest, self._folder, self._config["model"])

    # --- start and end ---

    async def start(self) -> None:
        """Start load balancer, functions, first fleet and load, then listen to the owner."""
        self._nest.listen()
        function_port = await self._start_functions()
        log = await asyncio.start_server(self._read_log, "127.0.0.1", 0)
        text = configuration(
            admin=self._folder / ADMIN,
            log_port=log.sockets[0].getsockname()[1],
            function_port=function_port,
            data_plane=self._config["data_plane"],
            bouncer=self._config["bouncer"],
        )
        path = self._folder / "haproxy.cfg"
        path.write_text(text, encoding="utf-8")
        self._haproxy = await self._nest.execute(
            [haproxy_path(), "-db", "-f", str(path)], listeners=1
        )
        self._port = self._haproxy.ports[0]
        await self._wait_for_balancer()
        for name, number in self._config["initial_fleet"].items():
            await self._fleet.add_ready(name, number)
        self._spawn(self._sample_every_bin())
        await self._start_load()
        control = self._folder / CONTROL
        control.unlink(missing_ok=True)
        await asyncio.start_unix_server(self._serve_owner, path=str(control), limit=LINE_LIMIT)
        self._expect_owner()

    async def _wait_for_balancer(self) -> None:
        for _ in range(500):
            if self._haproxy is not None and not self._nest.alive(self._haproxy):
                break
            with contextlib.suppress(BackendError):
                await self._balancer.requests()
                return
            await asyncio.sleep(0.01)
        raise BackendError(f"Local cloud: HAProxy does not start; see {self._folder / LOG}")

    async def _start_functions(self) -> int | None:
        function = self._config["function"]
        if function is None:
            return None
        listener = listening_socket()
        self._pool = FunctionPool(
            FunctionSettings(**function["settings"]),
            EnvironmentNest(self._nest, function["server"]),
            now_s=self._time.now_s,
            speed=self._time.speed,
            on_request=self._spilled,
        )
        self._spawn(self._pool.serve(listener))
        port: int = listener.getsockname()[1]
        return port

    async def _start_load(self) -> None:
        load = self._config["load"]
        if load is None:
            return
        settings = {
            **load,
            **self._config["time"],
            "url": f"http://127.0.0.1:{self._port}/inference",
            "output": str(self._folder / REQUESTS),
        }
        self._load = await self._nest.fork("load", settings)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def end(self) -> None:
        """End everything that this host started."""
        for task in tuple(self._background):
            task.cancel()
        if self._load is not None:
            await self._nest.end(self._load.key)
        await self._fleet.end_all()
        (self._folder / CONTROL).unlink(missing_ok=True)

    def _child_ended(self, key: str, status: int) -> None:
        if self._haproxy is not None and key == self._haproxy.key:
            print(f"HAProxy ended with {status}", file=sys.stderr)  # noqa: T201 - the host's log
            self.over.set()
        self._fleet.vanished(key)
        if self._pool is not None:
            self._pool.vanished(key)

    @property
    def nest(self) -> Nest:
        """The children."""
        return self._nest

    # --- requests ---

    def _spilled(self, accepted: bool) -> None:
        if accepted:
            self._counts.spilled(self._time.now_s())

    async def _read_log(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # asyncio reports it as a fault
            while line := await reader.readline():
                self._counts.log_line(line.decode(errors="replace"), self._time.now_s())

    async def _sample_every_bin(self) -> None:
        while True:
            await self._time.sleep_until(self._counts.end_s(self._counts.closed))
            await self._sample(self._counts.ended(self._time.now_s()))

    async def _sample(self, upto: int) -> None:
        async with self._sampling:
            if upto > self._counts.closed:
                self._counts.close_bins(await self._balancer.requests(), upto)

    # --- the owner ---

    def _expect_owner(self) -> None:
        """End where no owner comes within the lease."""
        if self._lease is not None:
            self._lease.cancel()
        self._lease = asyncio.create_task(self._end_without_owner())

    async def _end_without_owner(self) -> None:
        await asyncio.sleep(self._config["lease_s"])
        print("no owner came: ending", file=sys.stderr)  # noqa: T201 - the host's log
        self.over.set()

    async def _serve_owner(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._owner is not None:
            refusal = {"error": "another process drives this deployment"}
            await reader.readline()  # closing with it unread would lose the refusal
            writer.write(json.dumps(refusal).encode() + b"\n")
            writer.close()
            return
        self._owner = writer
        if self._lease is not None:
            self._lease.cancel()
        try:
            while line := await reader.readline():
                answer = await self._answer(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._owner = None
            writer.close()
            if self._config["keep"] and not self.over.is_set():
                self._expect_owner()
            else:
                self.over.set()

    async def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        requests = {
            "hello": self._hello,
            "observe": self._observe,
            "apply": self._apply,
            "finish": self._finish,
        }
        try:
            return await requests[message["do"]](message)
        except MarkoptError as error:
            return {"error": str(error)}

    async def _hello(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Introduce the host; what the owner before saw last need not have been noted anywhere."""
        until_s = message["observed_until_s"]
        if until_s is not None:
            self._seen_bins = min(self._counts.ended(until_s), self._seen_bins)
        return {
            "now_s": self._time.now_s(),
            "port": self._port,
            "sold": self._config["sold"],
            "first_bin_s": self._config["first_bin_s"],
        }

    async def _observe(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fleet now, at the ages of ``time_s``, and counts of bins not seen yet."""
        time_s: float = message["time_s"]
        ended = self._counts.ended(time_s)
        await self._sample(ended)
        first, self._seen_bins = self._seen_bins, max(ended, self._seen_bins)
        return {
            "instances": [one.status(time_s) for one in self._fleet.instances],
            "counts": self._counts.between(first, max(ended, first)),
            "bin_s": self._config["bin_s"],
            "warm_functions": 0 if self._pool is None else self._pool.kept_warm,
            "bill": self._bill(time_s),
        }

    def _bill(self, time_s: float) -> dict[str, Any]:
        cost = self._fleet.cost_usd(time_s)
        if self._pool is not None:
            cost["lambda"] = self._pool.use_usd
            cost["warm"] = self._pool.warm_usd(time_s)
        return {
            "cost_usd": cost,
            "billed_s": self._fleet.billed_s(time_s),
            "launches": self._fleet.launches,
            "interruptions": self._fleet.interruptions,
        }

    async def _apply(self, message: Mapping[str, Any]) -> dict[str, Any]:
        decision_id = message["decision_id"]
        if decision_id in self._reports:
            return self._reports[decision_id]
        refused: list[str] = []
        launched: dict[str, list[str]] = {}
        insufficient: list[str] = []
        for name, number in message["launch"].items():
            if number > 0:
                ids, reasons, lacking = self._fleet.launch(name, number)
                launched[name] = ids
                refused += reasons
                insufficient += [name] * lacking
        terminated = []
        for instance_id in message["terminate"]:
            reason = self._fleet.terminate(instance_id)
            if reason is None:
                terminated.append(instance_id)
            else:
                refused.append(reason)
        warm = message["warm_functions"]
        if warm is not None:
            if self._pool is not None:
                self._pool.keep_warm(warm)
            elif warm > 0:
                refused.append(f"warm {warm} functions: no function is on offer")
        if message["function_share"] is not None:
            await self._balancer.set_function_share(message["function_share"])
        report = {
            "launched": launched,
            "terminated": terminated,
            "refused": refused,
            "insufficient": insufficient,
        }
        self._reports[decision_id] = report
        return report

    async def _finish(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Let the load's last answers come, end everything, and return the final bill."""
        if self._load is not None and self._nest.alive(self._load):
            await self._nest.end(self._load.key, patience_s=message["patience_s"])
        await self._fleet.end_all()
        if self._pool is not None:
            self._pool.keep_warm(0)
        bill = self._bill(max(message["time_s"], self._time.now_s()))
        self.over.set()
        return bill


async def _run(config: Mapping[str, Any], folder: Path, nursery: socket.socket) -> None:
    host = Host(config, folder, nursery)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.over.set)
    try:
        await host.start()
        await asyncio.wait(
            {asyncio.create_task(host.over.wait()), asyncio.create_task(host.nest.gone.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        await asyncio.sleep(0.0)
    finally:
        with contextlib.suppress(BackendError, OSError):
            await host.end()


def main(folder: Path) -> int:
    """Be the host of a folder until it is over; the nursery and all its children end with it."""
    import aiohttp.web  # noqa: F401 - loaded once, before the nursery is forked

    from markopt.cloud.local import load, stand_in

    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return LOCKED
    lock.truncate(0)
    print(os.getpid(), file=lock, flush=True)
    end_leftovers(folder / REGISTRY)
    (folder / CONTROL).unlink(missing_ok=True)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    nursery, _ = fork_nursery({"stand_in": stand_in.serve, "load": load.replay})
    try:
        asyncio.run(_run(config, folder, nursery))
    except MarkoptError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the host's log
        return 1
    finally:
        nursery.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
