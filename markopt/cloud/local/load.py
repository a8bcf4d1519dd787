"""The load: an open-loop generator that sends each request when it is due, answers or not."""

from __future__ import annotations

import array
import asyncio
import math
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    import socket

    from aiohttp import ClientSession

COLUMNS = ("arrival_s", "lateness_s", "response_s", "status", "served_by")
"""What is written per request: when it was due, how much later it was sent, how long its answer
took from then (NaN: none came), the HTTP status (0: none) and which server answered."""

_WRITE_EVERY_S = 0.5
_STOP_AFTER_S = 0.5
"""Before a request that is due later than this it is asked whether to stop."""


@final
class OpenLoop:
    """Sends requests to ``url`` at given times of the monotonic clock and records what came back.

    Args:
        url: where to.
        due: (arrival time as it is to be recorded, monotonic time), in order.
        speed: recorded seconds per real second.
        bodies: what requests carry, in turn.
        timeout_s: real seconds after which an answer is given up.
    """

    def __init__(
        self,
        url: str,
        due: Sequence[tuple[float, float]],
        *,
        speed: float = 1.0,
        bodies: Sequence[bytes] = (b"",),
        timeout_s: float = 60.0,
    ) -> None:
        self._url = url
        self._due = due
        self._speed = speed
        self._bodies = bodies
        self._timeout_s = timeout_s
        self._stopped = False
        self.rows: list[tuple[float, float, float, int, str]] = []

    def stop(self) -> None:
        """Send no more; what has been sent is waited for."""
        self._stopped = True

    async def run(self) -> None:
        """Send all, and wait for the last answer."""
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        timeout = ClientTimeout(total=self._timeout_s)
        pending: set[asyncio.Task[None]] = set()
        connector = TCPConnector(limit=0, keepalive_timeout=600.0)
        async with ClientSession(connector=connector, timeout=timeout) as session:
            for number, (arrival_s, due_s) in enumerate(self._due):
                if due_s > time.monotonic():
                    await self._sleep_until(due_s)
                elif number % 16 == 0:
                    await asyncio.sleep(0)  # answers are read even while sending lags behind
                if self._stopped:
                    break
                body = self._bodies[number % len(self._bodies)]
                task = asyncio.create_task(self._send(session, arrival_s, due_s, body))
                pending.add(task)
                task.add_done_callback(pending.discard)
            if pending:
                await asyncio.wait(pending)

    async def _sleep_until(self, due_s: float) -> None:
        while not self._stopped and (wait_s := due_s - time.monotonic()) > 0.0:
            await asyncio.sleep(min(wait_s, _STOP_AFTER_S))

    async def _send(
        self, session: ClientSession, arrival_s: float, due_s: float, body: bytes
    ) -> None:
        from aiohttp import ClientError

        sent_s = time.monotonic()
        status, served_by = 0, ""
        try:
            async with session.post(self._url, data=body) as response:
                await response.read()
                status = response.status
                served_by = response.headers.get("x-served-by", "")
            response_s = (time.monotonic() - sent_s) * self._speed
        except (ClientError, TimeoutError, OSError):
            response_s = math.nan
        lateness_s = (sent_s - due_s) * self._speed
        self.rows.append((arrival_s, lateness_s, response_s, status, served_by))


def replay(settings: Mapping[str, Any], _: Sequence[socket.socket]) -> None:
    """Replay the arrivals of a file of float64 and write a CSV as the answers come.

    Arrivals that are past already are left out: they were nobody's to answer.
    """
    arrivals = array.array("d")
    arrivals.frombytes(Path(settings["arrivals"]).read_bytes())
    start_s, began_s, speed = settings["start_s"], settings["began_s"], settings["speed"]
    now_s = time.monotonic()
    due = [(t, began_s + (t - start_s) / speed) for t in arrivals]
    due = [pair for pair in due if pair[1] >= now_s]
    bodies = [text.encode() for text in settings["bodies"]]
    loop = OpenLoop(settings["url"], due, speed=speed, bodies=bodies)
    asyncio.run(_replay(loop, Path(settings["output"])))


async def _replay(loop: OpenLoop, output: Path) -> None:
    with output.open("a", encoding="utf-8") as file:
        if file.tell() == 0:
            file.write(",".join(COLUMNS) + "\n")
        running = asyncio.create_task(loop.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, loop.stop)
        while not running.done():
            await asyncio.wait({running}, timeout=_WRITE_EVERY_S)
            rows, loop.rows = loop.rows, []
            file.writelines(f"{a:.6f},{w:.6f},{r:.6f},{s},{by}\n" for a, w, r, s, by in rows)
            file.flush()
        await running
