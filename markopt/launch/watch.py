"""What is seen of a sweep while it runs: a line per job that has ended, counts, time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from markopt.launch.ledger import Entry, Ledger

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

POLL_S = 0.5
MARKS = {"finished": "done", "skipped": "skip", "failed": "FAIL"}


class Watch:
    """Reads the ledger of a sweep of ``total`` jobs (None: unknown) and tells what has ended."""

    def __init__(self, ledger: Ledger, total: int | None) -> None:
        self.ledger = ledger
        self.total = total
        self._seen: dict[Path, Entry] = {}
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def open(self) -> None:
        """Show a live line on a terminal; elsewhere there are the jobs' lines alone."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=console)
            self._bar.start()
            self._task = self._bar.add_task(self.status(), total=self.total)

    def look(self) -> None:
        """Tell of the jobs that have ended since the last look."""
        for path, entry in self.ledger.besides(self._seen).items():
            if entry.state == "begun":
                continue
            self._seen[path] = entry
            if entry.state != "failed":  # those are listed at the end
                self._tell(self._line(entry))
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=len(self._seen), description=self.status())

    def close(self) -> None:
        """Take a last look and end the live line."""
        self.look()
        if self._bar is not None:
            self._bar.stop()

    def status(self) -> str:
        """Return the counts, and the time that the rest will take."""
        counts = dict.fromkeys(MARKS, 0)
        for entry in self._seen.values():
            counts[entry.state] += 1
        told = ", ".join(f"{count} {state}" for state, count in counts.items())
        if self.total is None:
            return told
        left = max(self.total - len(self._seen), 0)
        return f"{told}, {left} left{self._time_left(left, counts)}"

    def _time_left(self, left: int, counts: dict[str, int]) -> str:
        worked = counts["finished"] + counts["failed"]
        if not left or not worked:
            return ""
        seconds = (time.monotonic() - self._began) / worked * left
        return (
            f", about {seconds / 60.0:.0f} min" if seconds >= 90.0 else f", about {seconds:.0f} s"
        )

    def _line(self, entry: Entry) -> str:
        of = "" if self.total is None else f"/{self.total}"
        spent = f", {entry.wall_s:.1f} s" if entry.state == "finished" else ""
        number = f"{len(self._seen)}{of}"
        return f"{number} {MARKS[entry.state]} {entry.name}: {entry.text}{spent}"

    def _tell(self, line: str) -> None:
        if self._bar is None:
            typer.echo(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)


@contextmanager
def watched(ledger: Ledger, total: int | None) -> Iterator[Watch]:
    """Watch a sweep from a thread until the block has ended."""
    watch, ended = Watch(ledger, total), threading.Event()

    def keep_looking() -> None:
        while not ended.wait(POLL_S):
            watch.look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    watch.open()
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
        watch.close()
