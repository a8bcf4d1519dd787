"""A stand-in for a model server: batches requests by the model server's rule, holds each for T(b).

A batch starts when it is full or its first request has waited long enough, once the server is free.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, final

if TYPE_CHECKING:
    import socket


@dataclass(frozen=True)
class BatchRule:
    """Service times by batch size, the wait for company, and the dispersion of service times.

    ``service_times_s[b-1]`` belongs to a batch of b = 1 .. the largest batch.
    """

    service_times_s: tuple[float, ...]
    wait_s: float = 0.0
    service_time_cv: float = 0.0

    def factors(self, seed: int) -> Callable[[], float]:
        """Return a source of lognormal factors of mean one, for service times."""
        if self.service_time_cv <= 0.0:
            return lambda: 1.0
        variance = math.log1p(self.service_time_cv**2)
        mean, deviation = -0.5 * variance, math.sqrt(variance)
        draws = random.Random(seed)
        return lambda: draws.lognormvariate(mean, deviation)


class Timer(Protocol):
    """What a batch queue needs of an event loop."""

    def time(self) -> float:
        """Return the time."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> Any:
        """Call back at a time; what is returned can be cancelled."""
        ...


@final
class BatchQueue:
    """The queue of one model server.

    Starts and ends are computed from arrivals, not from when a timer fired, so that late timers do
    not add up.
    """

    def __init__(self, timer: Timer, rule: BatchRule, seed: int = 0) -> None:
        self._timer = timer
        self._rule = rule
        self._factor = rule.factors(seed)
        self._waiting: deque[tuple[float, Callable[[int], None]]] = deque()
        self._free_at_s = -math.inf
        self._busy = False
        self._alarm: Any = None

    def join(self, answer: Callable[[int], None]) -> None:
        """Queue a request; ``answer`` is called with its batch's size when that is done."""
        self._waiting.append((self._timer.time(), answer))
        self._consider()

    def _start_s(self) -> float:
        largest = len(self._rule.service_times_s)
        if len(self._waiting) >= largest:
            due_s = self._waiting[largest - 1][0]
        else:
            due_s = self._waiting[0][0] + self._rule.wait_s
        return max(due_s, self._free_at_s)

    def _consider(self) -> None:
        """Start a batch if it is time, else see to it that it is thought of again."""
        if self._busy or not self._waiting:
            return
        start_s = self._start_s()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if start_s > self._timer.time():
            self._alarm = self._timer.call_at(start_s, self._consider)
            return
        size = min(len(self._waiting), len(self._rule.service_times_s))
        answers = [self._waiting.popleft()[1] for _ in range(size)]
        self._busy = True
        self._free_at_s = start_s + self._rule.service_times_s[size - 1] * self._factor()
        self._timer.call_at(self._free_at_s, lambda: self._finish(answers))

    def _finish(self, answers: Sequence[Callable[[int], None]]) -> None:
        self._busy = False
        for answer in answers:
            answer(len(answers))
        self._consider()


def serve(settings: Mapping[str, Any], listeners: Sequence[socket.socket]) -> None:
    """Serve HTTP on every listener, each as one model server, until this process is ended."""
    rule = BatchRule(
        tuple(settings["service_times_s"]), settings["wait_s"], settings["service_time_cv"]
    )
    asyncio.run(_serve(rule, settings["seed"], listeners))


async def _serve(rule: BatchRule, seed: int, listeners: Sequence[socket.socket]) -> None:
    from aiohttp import web

    loop = asyncio.get_running_loop()
    for number, listener in enumerate(listeners):
        queue = BatchQueue(loop, rule, seed + number)
        runner = web.ServerRunner(web.Server(_handler(queue), access_log=None))
        await runner.setup()
        await web.SockSite(runner, listener, backlog=1024).start()
    await asyncio.Event().wait()


def _handler(queue: BatchQueue) -> Callable[[Any], Any]:
    from aiohttp import web

    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        queue.join(lambda size: None if answered.done() else answered.set_result(size))
        size = await answered
        return web.Response(body=b"[]", headers={"x-batch-size": str(size)})

    return handle
