"""Reading a journal, also while a controller writes it."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from markopt.control.journal.documents import (
    read_actions,
    read_cuts,
    read_observation,
    read_plan,
    read_problem,
    read_report,
)
from markopt.control.journal.entries import (
    ActionEntry,
    Entry,
    Epoch,
    IntervalEntry,
    ObservationEntry,
    PlanEntry,
    RateEntry,
    Session,
)
from markopt.control.journal.schema import connect_to_read
from markopt.core import RateSeries
from markopt.errors import DataError, MarkoptError

_COMMON = "entry.entry, entry.time_s, entry.unix_s, entry.epoch"


@final
class JournalReader:
    """Typed entries of a journal.

    ``connection``: read through this one, of the process that writes, in place of one of its own.

    Raises:
        DataError: there is no such file, or it is no journal of this version.
    """

    def __init__(self, path: str | Path, connection: sqlite3.Connection | None = None) -> None:
        self._path = Path(path)
        self._db = connect_to_read(self._path) if connection is None else connection

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def meta(self, key: str) -> str | None:
        """Return what the journal says of itself under ``key``."""
        found = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return found[0]["value"] if found else None

    def epochs(self) -> tuple[Epoch, ...]:
        """Return all epochs, oldest first."""
        return tuple(Epoch(**dict(row)) for row in self._rows("SELECT * FROM epoch ORDER BY epoch"))

    def sessions(self) -> tuple[Session, ...]:
        """Return all sessions, oldest first."""
        rows = self._rows("SELECT * FROM session ORDER BY session")
        return tuple(Session(**dict(row)) for row in rows)

    def entries(self, epoch: int) -> Iterator[Entry]:
        """Yield the entries of an epoch, oldest first.

        Raises:
            DataError: one is damaged; the text names it.
        """
        numbers = self._rows("SELECT entry, kind FROM entry WHERE epoch = ? ORDER BY entry", epoch)
        for row in numbers:
            yield from self._read(row["kind"], "entry.entry = ?", row["entry"])

    def observations(self, *, last: int) -> tuple[ObservationEntry, ...]:
        """Return the last observations, oldest first."""
        return tuple(self._last("observation", last))

    def rates(self, epoch: int | None = None) -> Iterator[RateEntry]:
        """Yield what forecasters were told, of one epoch or of all."""
        if epoch is None:
            yield from self._read("rate", "1")
        else:
            yield from self._read("rate", "entry.epoch = ?", epoch)

    def plans(self) -> Iterator[PlanEntry]:
        """Yield all plans, oldest first."""
        for row in self._rows("SELECT entry FROM plan ORDER BY entry"):
            yield from self._read("plan", "entry.entry = ?", row["entry"])

    def plan_count(self) -> int:
        """Return how many plans there are."""
        return int(self._rows("SELECT count(*) AS number FROM plan")[0]["number"])

    def actions(self, *, last: int | None = None) -> tuple[ActionEntry, ...]:
        """Return the last actions, or all of them, oldest first."""
        return tuple(self._last("action", last))

    def pending(self) -> tuple[ActionEntry, ...]:
        """Return the actions whose effects are unknown."""
        return tuple(self._read("action", "action.report IS NULL"))

    def intervals(self, *, last: int | None = None) -> tuple[IntervalEntry, ...]:
        """Return the last intervals, or all of them, oldest first."""
        return tuple(self._last("interval", last))

    def plan(self, entry: int) -> PlanEntry:
        """Return one plan.

        Raises:
            DataError: there is none of that number.
        """
        found: list[PlanEntry] = list(self._read("plan", "entry.entry = ?", entry))
        if found:
            return found[0]
        raise DataError(f"Journal '{self._path}': no plan has the number {entry}")

    def last_time_s(self) -> float | None:
        """Return up to when observations reach; None: there are none."""
        rows = self._rows("SELECT max(time_s) AS last_s FROM entry WHERE kind = 'observation'")
        return None if rows[0]["last_s"] is None else float(rows[0]["last_s"])

    def bills(self, *, before_epoch: int, since_s: float) -> tuple[tuple[float, float], ...]:
        """Return time and bill of every look since ``since_s`` in earlier epochs, oldest first."""
        rows = self._rows(
            "SELECT time_s, bill_usd FROM observation JOIN entry USING (entry) "
            "WHERE epoch < ? AND time_s >= ? ORDER BY entry",
            before_epoch,
            since_s,
        )
        return tuple((float(row["time_s"]), float(row["bill_usd"])) for row in rows)

    def last_unix_s(self) -> float | None:
        """Return when something was last written, by the wall clock; None: nothing was."""
        rows = self._rows("SELECT unix_s FROM entry WHERE entry = (SELECT max(entry) FROM entry)")
        return float(rows[0]["unix_s"]) if rows else None

    def _last(self, kind: str, last: int | None) -> Iterator[Any]:
        if last is None:
            yield from self._read(kind, "1")
            return
        rows = self._rows(f"SELECT entry FROM {kind} ORDER BY entry DESC LIMIT ?", last)
        for row in reversed(rows):
            yield from self._read(kind, "entry.entry = ?", row["entry"])

    def _read(self, kind: str, where: str, *values: Any) -> Iterator[Any]:
        query = (
            f"SELECT {_COMMON}, {kind}.* FROM entry JOIN {kind} USING (entry) "
            f"WHERE {where} ORDER BY entry.entry"
        )
        for row in self._rows(query, *values):
            name = f"Journal '{self._path}', entry {row['entry']}"
            try:
                yield _READERS[kind](row, name)
            except (ValueError, TypeError, KeyError, MarkoptError) as error:
                text = str(error)
                raise DataError(text if text.startswith(name) else f"{name}: {text}") from None

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise DataError(f"Journal '{self._path}': cannot be read: {error}") from None


def _observation(row: sqlite3.Row, name: str) -> ObservationEntry:
    return ObservationEntry(row["entry"], row["time_s"], read_observation(row["document"], name))


def _rate(row: sqlite3.Row, name: str) -> RateEntry:
    rate_rps = math.nan if row["rate_rps"] is None else row["rate_rps"]
    within = None if row["within_rps"] is None else [json.loads(row["within_rps"])]
    if within is not None:
        within = [[math.nan if rate is None else float(rate) for rate in within[0]]]
    observed = RateSeries(row["time_s"], row["interval_s"], [rate_rps], within)  # type: ignore[arg-type]
    return RateEntry(row["entry"], row["time_s"], observed)


def _plan(row: sqlite3.Row, name: str) -> PlanEntry:
    return PlanEntry(
        entry=row["entry"],
        time_s=row["time_s"],
        epoch=row["epoch"],
        problem=read_problem(row["problem"], name),
        plan=None if row["document"] is None else read_plan(row["document"], name),
        error=row["error"],
        wall_s=row["wall_s"],
        at_deadline=bool(row["at_deadline"]),
    )


def _action(row: sqlite3.Row, name: str) -> ActionEntry:
    return ActionEntry(
        entry=row["entry"],
        time_s=row["time_s"],
        unix_s=row["unix_s"],
        plan=row["plan"],
        kind=row["kind"],
        decision_id=row["decision_id"],
        mode=row["mode"],
        wanted=read_actions(row["wanted"], name),
        allowed=read_actions(row["allowed"], name),
        cuts=read_cuts(row["cuts"], name),
        report=None if row["report"] is None else read_report(row["report"], name),
    )


def _interval(row: sqlite3.Row, name: str) -> IntervalEntry:
    return IntervalEntry(
        entry=row["entry"],
        time_s=row["time_s"],
        end_s=row["end_s"],
        arrivals=row["arrivals"],
        spilled=row["spilled"],
        late=row["late"],
        refused=row["refused"],
        bill_usd=row["bill_usd"],
        **json.loads(row["document"]),
    )


_READERS = {
    "observation": _observation,
    "rate": _rate,
    "plan": _plan,
    "action": _action,
    "interval": _interval,
}
