"""The host's side of the nursery: starts and ends child processes and is told of their ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, final

from markopt.cloud.local.functions import Environment
from markopt.cloud.local.nursery import LARGEST_MESSAGE
from markopt.cloud.local.processes import end_process, start_ticks
from markopt.errors import BackendError


@dataclass(frozen=True)
class Child:
    """A child process: the nursery's key for it, its pid, and the ports that it listens on."""

    key: str
    pid: int
    ports: tuple[int, ...]


@final
class Nest:
    """Children of one host, also noted in a file, so that what a crash leaves can be ended.

    Args:
        nursery: the connection to it.
        registry: the file.
        on_end: is called with the key and exit status of a child that ended.
    """

    def __init__(
        self, nursery: socket.socket, registry: Path, on_end: Callable[[str, int], None]
    ) -> None:
        self._nursery = nursery
        self._nursery.setblocking(False)
        self._registry = registry
        self._on_end = on_end
        self._keys = count(1)
        self._starting: dict[str, asyncio.Future[Child]] = {}
        self._ending: dict[str, asyncio.Future[int]] = {}
        self._living: dict[str, tuple[int, int]] = {}
        self.gone = asyncio.Event()

    def listen(self) -> None:
        """Begin to listen to the nursery."""
        asyncio.get_running_loop().add_reader(self._nursery.fileno(), self._heard)

    def _heard(self) -> None:
        try:
            text = self._nursery.recv(LARGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        if not text:
            asyncio.get_running_loop().remove_reader(self._nursery.fileno())
            for future in self._starting.values():
                future.set_exception(BackendError("Local cloud: the nursery has ended"))
            self.gone.set()
            return
        message = json.loads(text)
        if "started" in message:
            key = message["started"]
            self._living[key] = (message["pid"], start_ticks(message["pid"]) or 0)
            self._note()
            child = Child(key, message["pid"], tuple(message["ports"]))
            self._starting.pop(key).set_result(child)
            return
        key = message["ended"]
        self._living.pop(key, None)
        self._note()
        waiting = self._ending.pop(key, None)
        if waiting is not None:
            waiting.set_result(message["status"])
        self._on_end(key, message["status"])

    def _note(self) -> None:
        text = json.dumps(list(self._living.values()))
        temporary = self._registry.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.rename(self._registry)

    async def fork(self, target: str, settings: Mapping[str, Any], listeners: int = 0) -> Child:
        """Fork a child that does what ``target`` names, with so many listening sockets."""
        return await self._ask(
            {"do": "fork", "target": target, "settings": settings, "listeners": listeners}
        )

    async def execute(self, arguments: Sequence[str], listeners: int = 0) -> Child:
        """Start another program, as the leader of a process group."""
        return await self._ask(
            {"do": "execute", "arguments": list(arguments), "listeners": listeners}
        )

    async def _ask(self, message: dict[str, Any]) -> Child:
        if self.gone.is_set():
            raise BackendError("Local cloud: the nursery has ended")
        loop = asyncio.get_running_loop()
        key = f"c{next(self._keys)}"
        started: asyncio.Future[Child] = loop.create_future()
        self._starting[key] = started
        await loop.sock_sendall(self._nursery, json.dumps({**message, "key": key}).encode())
        return await started

    def alive(self, child: Child) -> bool:
        """Tell whether a child has not ended."""
        return child.key in self._living

    async def end(self, key: str, *, patience_s: float = 0.0) -> None:
        """End a child and wait until it is gone; with patience, SIGTERM comes first."""
        if key not in self._living or self.gone.is_set():
            return
        loop = asyncio.get_running_loop()
        ended = self._ending.setdefault(key, loop.create_future())
        numbers = [signal.SIGTERM] * (patience_s > 0.0) + [signal.SIGKILL]
        for number in numbers:
            message = {"do": "signal", "key": key, "number": int(number)}
            await loop.sock_sendall(self._nursery, json.dumps(message).encode())
            limit_s = patience_s if number == signal.SIGTERM else 10.0
            done, _ = await asyncio.wait({ended}, timeout=limit_s)
            if done:
                return
        raise BackendError(f"Local cloud: child {key} does not end")


@final
class EnvironmentNest:
    """Function environments as children: stand-ins that serve one request at a time."""

    def __init__(self, nest: Nest, settings: Mapping[str, Any]) -> None:
        self._nest = nest
        self._settings = settings
        self._seeds = count(int(settings["seed"]))

    async def start(self) -> Environment:
        """Start one."""
        settings = {**self._settings, "seed": next(self._seeds)}
        child = await self._nest.fork("stand_in", settings, listeners=1)
        return Environment(child.key, child.ports[0])

    async def end(self, environment: Environment) -> None:
        """End one."""
        await self._nest.end(environment.key)


def end_leftovers(registry: Path) -> int:
    """End what a host that crashed has left; returns how many processes."""
    try:
        noted = json.loads(registry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    ended = sum(end_process(int(pid), int(ticks)) for pid, ticks in noted)
    registry.unlink(missing_ok=True)
    return ended
