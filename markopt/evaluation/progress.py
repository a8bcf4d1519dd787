"""A progress bar on a terminal for anything that takes longer than two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 2.0
_BARS: ContextVar[bool] = ContextVar("bars", default=True)
T = TypeVar("T")


class LateBar:
    """Counts steps silently; a bar appears once two seconds have gone by, on terminals only."""

    def __init__(self, description: str, total: int) -> None:
        self.description = description
        self.total = total
        self.done = 0
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def step(self, count: int = 1) -> None:
        """Note that ``count`` steps are done."""
        self.done += count
        late = time.monotonic() - self._began > PATIENCE_S
        if self._bar is None and late and _BARS.get():
            self._open()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done)

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, one step each."""
        for item in items:
            yield item
            self.step()

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task(self.description, total=self.total)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def late_bar(description: str, total: int) -> Iterator[LateBar]:
    """Yield a bar for ``total`` steps and remove it at the end."""
    bar = LateBar(description, total)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def without_bars() -> Iterator[None]:
    """Show no bars within the block, such as where another view shows what is being done."""
    token = _BARS.set(False)
    try:
        yield
    finally:
        _BARS.reset(token)
