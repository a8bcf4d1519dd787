"""The function pool: environments started on demand, kept while they are used, limited."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, final

if TYPE_CHECKING:
    import socket

    from aiohttp import web


@dataclass(frozen=True)
class FunctionSettings:
    """A function as the pool runs it; times are the cloud's, ``speed`` of which pass in one."""

    cold_start_s: float
    idle_timeout_s: float
    concurrency_limit: int
    billing_step_s: float
    memory_gb: float
    price_usd_per_gb_s: float
    warm_use_price_usd_per_gb_s: float
    price_usd_per_invocation: float
    warm_price_usd_per_s: float
    burst: float = math.inf
    burst_per_s: float = 0.0


@dataclass
class Environment:
    """One environment: a process that answers one request at a time on ``port``."""

    key: str
    port: int
    idle_since_s: float = math.inf


class Nest(Protocol):
    """Starts and ends the processes of environments."""

    async def start(self) -> Environment:
        """Start one."""
        ...

    async def end(self, environment: Environment) -> None:
        """End one."""
        ...


@final
class FunctionPool:
    """Answers requests on environments: idle ones first, else new ones, which start cold.

    Args:
        settings: the function.
        nest: starts and ends environments.
        now_s: the cloud's time.
        speed: its seconds per real second.
        on_request: is told of each request that came, and if it was accepted.
    """

    def __init__(
        self,
        settings: FunctionSettings,
        nest: Nest,
        *,
        now_s: Callable[[], float],
        speed: float,
        on_request: Callable[[bool], None],
    ) -> None:
        self._settings = settings
        self._nest = nest
        self._now_s = now_s
        self._speed = speed
        self._on_request = on_request
        self._idle: deque[Environment] = deque()
        self._busy = 0
        self._starting = 0
        self._tokens = settings.burst
        self._tokens_at_s = now_s()
        self._warm_since_s = now_s()
        self._warm_usd = 0.0
        self.use_usd = 0.0
        self._session: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.kept_warm = 0
        self.invocations = 0
        self.cold_starts = 0
        self.throttles = 0

    @property
    def environments(self) -> int:
        """Environments that are there, or starting."""
        return len(self._idle) + self._busy + self._starting

    def warm_usd(self, now_s: float) -> float:
        """Return what environments kept warm have cost."""
        running_s = max(now_s - self._warm_since_s, 0.0)
        running_usd = self.kept_warm * running_s * self._settings.warm_price_usd_per_s
        return self._warm_usd + running_usd

    async def serve(self, listener: socket.socket) -> None:
        """Accept requests on a socket, and end what is idle for too long, until cancelled."""
        from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

        timeout = ClientTimeout(total=600.0)
        self._session = ClientSession(connector=TCPConnector(limit=0), timeout=timeout)
        runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await runner.setup()
        await web.SockSite(runner, listener, backlog=1024).start()
        try:
            while True:
                await asyncio.sleep(min(self._settings.idle_timeout_s / self._speed / 10.0, 1.0))
                await self._end_idle()
        finally:
            self._closed = True
            for task in self._tasks:
                task.cancel()
            await self._session.close()
            await runner.cleanup()

    def keep_warm(self, number: int) -> None:
        """Keep a number of environments initialised, starting what is missing and allowed."""
        now_s = self._now_s()
        elapsed_s = now_s - self._warm_since_s
        self._warm_usd += self.kept_warm * elapsed_s * self._settings.warm_price_usd_per_s
        self._warm_since_s = now_s
        wanted = min(number, self._settings.concurrency_limit)
        while self.environments < wanted and self._take_token():
            self._starting += 1
            task = asyncio.create_task(self._warm_up())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.kept_warm = min(wanted, self.environments)

    async def _warm_up(self) -> None:
        try:
            environment = await self._start_cold()
        finally:
            self._starting -= 1
        self._release(environment)

    async def _start_cold(self) -> Environment:
        environment = await self._nest.start()
        await asyncio.sleep(self._settings.cold_start_s / self._speed)
        return environment

    def _take_token(self) -> bool:
        now_s = self._now_s()
        gained = (now_s - self._tokens_at_s) * self._settings.burst_per_s
        self._tokens = min(self._tokens + gained, self._settings.burst)
        self._tokens_at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _release(self, environment: Environment) -> None:
        environment.idle_since_s = self._now_s()
        self._idle.append(environment)

    async def _end_idle(self) -> None:
        limit_s = self._now_s() - self._settings.idle_timeout_s
        while (
            self._idle
            and self._idle[0].idle_since_s < limit_s
            and self.environments > self.kept_warm
        ):
            await self._nest.end(self._idle.popleft())

    def vanished(self, key: str) -> None:
        """Take note that an environment has ended by itself."""
        self._idle = deque(one for one in self._idle if one.key != key)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        from aiohttp import web

        body = await request.read()
        start: Callable[[], Awaitable[Environment]] | None = None
        environment: Environment | None = None
        kept = self._busy < self.kept_warm
        if self._idle:
            environment = self._idle.pop()
        elif self.environments < self._settings.concurrency_limit and self._take_token():
            start = self._start_cold
            self.cold_starts += 1
        else:
            self.throttles += 1
            self._on_request(False)
            return web.Response(status=429)
        self._on_request(True)
        self._busy += 1
        try:
            if start is not None:
                environment = await start()
            return await self._invoke(environment, body, kept, cold=start is not None)
        finally:
            self._busy -= 1

    async def _invoke(
        self, environment: Environment | None, body: bytes, kept: bool, *, cold: bool
    ) -> web.Response:
        """Run one request on an environment, bill it, and have the environment back."""
        from aiohttp import ClientError, web

        if environment is None:
            return web.Response(status=502)
        began_s = self._now_s()
        try:
            async with self._session.post(
                f"http://127.0.0.1:{environment.port}/", data=body
            ) as response:
                answer = await response.read()
        except (ClientError, OSError):
            await self._nest.end(environment)  # its process is gone, or as good as gone
            return web.Response(status=502)
        self._bill(self._now_s() - began_s, kept)
        self._release(environment)
        return web.Response(body=answer, headers={"x-cold-start": str(int(cold))})

    def _bill(self, duration_s: float, kept: bool) -> None:
        settings = self._settings
        steps = math.ceil(duration_s / settings.billing_step_s - 1e-9)
        per_gb_s = settings.warm_use_price_usd_per_gb_s if kept else settings.price_usd_per_gb_s
        billed_gb_s = steps * settings.billing_step_s * settings.memory_gb
        self.use_usd += settings.price_usd_per_invocation + billed_gb_s * per_gb_s
        self.invocations += 1
