"""Time in a deployment: a back end and its clock kept together, and stops at safe points only."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, Self, final

import numpy as np

from markopt.cloud.clock import Clock, SteppedClock
from markopt.cloud.protocol import Backend
from markopt.core import ActionReport, Actions, Ledger, Observation
from markopt.errors import BackendError

SLICE_WALL_S = 0.5
"""How long a wait may go on before it is asked whether to stop."""


class Stopped(Exception):
    """The deployment was told to end; raised between two calls of the cloud only."""


@final
class StopSignal:
    """Turns the first SIGINT or SIGTERM into a wish that waits see, the second into an interrupt.

    A process that is told to end in the middle of a launch first learns what became of it. (Signals
    reach the main thread only: in another one there is nothing to hear.)
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Stop here, if that is wished.

        Raises:
            Stopped: it is.
        """
        if self.requested is not None:
            raise Stopped(self.requested)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = signal.Signals(number).name


@final
class PacedBackend:
    """Wraps a back end: waits by the clock, and is patient with a cloud that does not answer.

    A time that the clock has passed already is not waited for: the loop then sees that it is late.
    ``end_s`` is the last moment that the cloud has (of a replayed workload). An observation that
    fails is taken for one without data, for ``give_up_s`` at most.
    """

    def __init__(
        self,
        inner: Backend,
        clock: Clock,
        *,
        end_s: float,
        give_up_s: float,
        speed: float = 1.0,
        check_stop: Callable[[], None] = lambda: None,
        on_blind: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._end_s = end_s
        self._give_up_s = give_up_s
        self._slice_s = np.inf if isinstance(clock, SteppedClock) else SLICE_WALL_S * speed
        self._check_stop = check_stop
        self._on_blind = on_blind
        self._seen: Observation | None = None
        self._seen_s = 0.0

    def observe(self) -> Observation:
        """Return what the cloud shows; what it last showed, without counts, where it is silent.

        Raises:
            BackendError: it has not answered for too long, or never.
        """
        try:
            self._seen = self._inner.observe()
        except BackendError as error:
            now_s = self._clock.now_s()
            if self._seen is None or now_s - self._seen_s > self._give_up_s:
                raise
            self._on_blind(str(error))
            none = np.empty(0, dtype=np.int64)
            return replace(
                self._seen, time_s=now_s, arrivals=none, late=none, refused=none, spilled=none
            )
        self._seen_s = self._seen.time_s
        return self._seen

    def apply(self, actions: Actions) -> ActionReport:
        """Carry out actions."""
        return self._inner.apply(actions)

    def advance(self, until_s: float) -> None:
        """Wait, in slices between which a wish to stop is heard.

        Raises:
            Stopped: there was one.
        """
        goal_s = max(until_s, min(self._clock.now_s(), self._end_s))
        while True:
            self._check_stop()
            next_s = min(goal_s, self._clock.now_s() + self._slice_s)
            self._inner.advance(next_s)
            self._clock.wait_until(next_s)
            if next_s >= goal_s:
                return

    def close(self) -> Ledger:
        """End everything that still runs and return the final bill."""
        return self._inner.close()
