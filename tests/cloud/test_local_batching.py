"""A stand-in batches as the simulated model server does."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cloud.local.stand_in import BatchQueue, BatchRule
from markopt.engine import Bouncer, Dispatcher, EngineSettings, RequestEngine, ServerKind


class VirtualTime:
    """An event loop's timers, in virtual time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._calls: list[tuple[float, int, Alarm]] = []
        self._order = count()

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], None], /) -> Alarm:
        alarm = Alarm(callback)
        heapq.heappush(self._calls, (when, next(self._order), alarm))
        return alarm

    def run_until(self, until_s: float) -> None:
        """Make all calls before a time."""
        while self._calls and self._calls[0][0] < until_s:
            when_s, _, alarm = heapq.heappop(self._calls)
            self.now_s = max(self.now_s, when_s)
            if not alarm.cancelled:
                alarm.callback()
        self.now_s = until_s


class Alarm:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def answers_s(rule: BatchRule, arrivals_s: Sequence[float]) -> list[float]:
    """Return when a stand-in answers requests."""
    timer = VirtualTime()
    queue = BatchQueue(timer, rule)
    answered = [math.nan] * len(arrivals_s)

    def answer(number: int) -> Callable[[int], None]:
        def note(_: int) -> None:
            answered[number] = timer.time()

        return note

    for number, arrival_s in enumerate(arrivals_s):
        timer.run_until(arrival_s)
        queue.join(answer(number))
    timer.run_until(1e6)
    return answered


def engine_answers_s(rule: BatchRule, arrivals_s: Sequence[float]) -> list[float]:
    """Return when the engine's server answers them."""
    engine = RequestEngine(
        EngineSettings(
            rt_max_s=1.0,
            dispatcher=Dispatcher.JOIN_SHORTEST_QUEUE,
            bouncer=Bouncer.NONE,
            queue_limit_s=1e6,
            record_requests=True,
        ),
        [ServerKind(rule.service_times_s, wait_s=rule.wait_s)],
        None,
        start_s=0.0,
        end_s=1e6,
        seed=0,
    )
    engine.add_server(0, 0.0)
    engine.serve(np.asarray(arrivals_s))
    engine.finish()
    response_s, _ = engine.request_results()
    return [float(a + r) for a, r in zip(arrivals_s, response_s, strict=True)]


@settings(deadline=None)  # the first call compiles
@given(
    gaps_ms=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    times_ms=st.lists(st.integers(10, 300), min_size=1, max_size=5),
    wait_ms=st.integers(0, 250),
)
def test_answers_come_when_the_simulated_server_gives_them(
    gaps_ms: list[int], times_ms: list[int], wait_ms: int
) -> None:
    # Offset by a third of a millisecond: no arrival falls on a start.
    arrivals_s = np.cumsum([gap / 1000.0 + 1e-3 / 3.0 for gap in gaps_ms]).tolist()
    rule = BatchRule(tuple(t / 1000.0 for t in times_ms), wait_ms / 1000.0)
    assert answers_s(rule, arrivals_s) == pytest.approx(engine_answers_s(rule, arrivals_s))


def test_a_full_batch_does_not_wait() -> None:
    rule = BatchRule((0.1, 0.15), wait_s=10.0)
    assert answers_s(rule, [0.0, 0.05]) == pytest.approx([0.2, 0.2])


def test_service_times_have_the_mean_and_dispersion_that_are_given() -> None:
    factor = BatchRule((0.1,), service_time_cv=0.3).factors(seed=3)
    drawn = np.array([factor() for _ in range(20_000)])
    assert drawn.mean() == pytest.approx(1.0, abs=0.01)
    assert drawn.std() == pytest.approx(0.3, abs=0.01)
