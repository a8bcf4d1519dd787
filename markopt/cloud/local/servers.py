"""What an instance runs: stand-ins, or the real model behind a real model server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, final

from markopt.cloud.local.fleet import LocalOffer, Started
from markopt.cloud.local.nest import Nest
from markopt.errors import BackendError

_START_LIMIT_S = 120.0


@final
class StandIns:
    """One process per instance, in which each of the offer's servers has a port and a queue."""

    def __init__(self, nest: Nest, seed: int) -> None:
        self._nest = nest
        self._seeds = count(seed, 64)

    async def start(self, offer: LocalOffer, instance_id: str) -> Started:
        """Fork one; its sockets listen already."""
        settings = {**offer.server, "seed": next(self._seeds)}
        child = await self._nest.fork("stand_in", settings, listeners=offer.servers)
        return Started(child.key, child.ports)

    async def end(self, key: str) -> None:
        """Kill it."""
        await self._nest.end(key)


@final
class ModelServers:
    """One mosec server per instance, with the model of ``model_server``."""

    def __init__(self, nest: Nest, folder: Path, model: Mapping[str, Any]) -> None:
        self._nest = nest
        self._folder = folder
        self._model = model

    async def start(self, offer: LocalOffer, instance_id: str) -> Started:
        """Start one and wait until it answers.

        Raises:
            BackendError: it ends, or does not answer in time.
        """
        folder = self._folder / instance_id
        shutil.rmtree(folder, ignore_errors=True)  # a host before this one may have left sockets
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        child = await self._nest.execute(
            model_server_command(
                port,
                folder=folder,
                largest_batch=len(offer.server["service_times_s"]),
                wait_s=offer.server["wait_s"],
                seed=self._model["seed"],
            )
        )
        loop = asyncio.get_running_loop()
        limit_s = loop.time() + _START_LIMIT_S
        while not await _answers(port, self._model["body"]):
            if not self._nest.alive(child) or loop.time() > limit_s:
                await self._nest.end(child.key)
                raise BackendError(f"Local cloud: the model server of {instance_id} does not start")
            await asyncio.sleep(0.1)
        return Started(child.key, (port,))

    async def end(self, key: str) -> None:
        """End it, with its workers."""
        await self._nest.end(key)


def model_server_command(
    port: int, *, folder: Path, largest_batch: int, wait_s: float, seed: int
) -> list[str]:
    """Return the arguments that start a real model server."""
    options = {
        "--port": port,
        "--folder": folder,
        "--largest-batch": largest_batch,
        "--wait-ms": max(round(1000.0 * wait_s), 1),
        "--seed": seed,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", "markopt.cloud.local.model_server", *words]


async def _answers(port: int, body: str) -> bool:
    """Tell whether a model server answers an inference, which also warms it up."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    url = f"http://127.0.0.1:{port}/inference"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=10.0)) as session,
            session.post(url, data=body.encode()) as response,
        ):
            return response.status == 200
    except (ClientError, TimeoutError, OSError):
        return False
