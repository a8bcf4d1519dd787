"""Writing the journal: every entry is on disk before what it tells of goes on."""

from __future__ import annotations

import json
import math
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

from markopt import __version__
from markopt.control.guards.cut import Cut
from markopt.control.journal.documents import (
    pack_observation,
    pack_plan,
    pack_problem,
    to_json,
)
from markopt.control.journal.entries import IntervalEntry
from markopt.control.journal.lock import ProcessLock
from markopt.control.journal.past import Past
from markopt.control.journal.reader import JournalReader
from markopt.control.journal.schema import connect_to_write
from markopt.control.record import IntervalRecord
from markopt.core import ActionReport, Actions, Observation, Plan, Problem, RateSeries
from markopt.errors import ConfigError, DataError


@final
class Journal:
    """The journal of one deployment, open for the one process that drives it.

    A new file takes ``deployment`` as its name; an existing one must have it. ``durable``: see
    ``connect_to_write``.

    Raises:
        ConfigError: another process drives it, or it is another deployment's.
        DataError: the file is no journal, or cannot be written.
    """

    def __init__(self, path: str | Path, deployment: str, *, durable: bool = True) -> None:
        self._path = Path(path)
        if not self._path.parent.is_dir():
            raise ConfigError(
                f"deploy.journal: folder '{self._path.parent}' must exist, it does not"
            )
        lock = self._path.with_name(f"{self._path.name}.lock")
        self._lock = ProcessLock(lock, f"Deployment '{deployment}'")
        try:
            self._db = connect_to_write(self._path, durable=durable)
            self.reader = JournalReader(self._path, self._db)
            self._identify(deployment)
        except BaseException:
            self._lock.release()
            raise
        self._session: int | None = None
        self._epoch = 0
        self._planned: int | None = None

    @property
    def identity(self) -> str:
        """A name that no other journal has: part of what clouds are told, so that ids differ."""
        return str(self.reader.meta("identity"))

    @property
    def path(self) -> Path:
        """Where the journal lies."""
        return self._path

    def _identify(self, deployment: str) -> None:
        with self._transaction():
            for key, value in (("deployment", deployment), ("identity", secrets.token_hex(4))):
                self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        known = self.reader.meta("deployment")
        if known != deployment:
            self._db.close()
            raise ConfigError(
                f"deploy.journal: '{self._path}' is the journal of deployment '{known}', got "
                f"deploy.name={deployment}"
            )

    def note(self, key: str, value: str) -> None:
        """Say something of the journal as a whole."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def open_epoch(self, begin_s: float, config: str) -> int:
        """Begin an epoch, and return its number."""
        with self._transaction():
            added = self._db.execute(
                "INSERT INTO epoch (begin_s, opened_unix_s, version, config) VALUES (?, ?, ?, ?)",
                (begin_s, time.time(), __version__, config),
            )
        return int(added.lastrowid or 0)

    def begin_session(self, epoch: int, mode: str) -> None:
        """Say that this process drives the deployment now; entries before have another session."""
        with self._transaction():
            added = self._db.execute(
                "INSERT INTO session (epoch, process, mode, began_unix_s) VALUES (?, ?, ?, ?)",
                (epoch, os.getpid(), mode, time.time()),
            )
        self._session, self._epoch = added.lastrowid, epoch

    def close(self, ending: str) -> None:
        """End the session, and close the file; a second call changes nothing."""
        with suppress(sqlite3.ProgrammingError):  # closed already
            if self._session is not None:
                with self._transaction():
                    self._db.execute(
                        "UPDATE session SET ended_unix_s = ?, ending = ? WHERE session = ?",
                        (time.time(), ending, self._session),
                    )
            self._db.close()
        self._lock.release()

    # --- entries ---

    def observation(self, observation: Observation) -> None:
        """Write what the cloud showed."""
        with self._entry("observation", observation.time_s) as entry:
            self._insert(
                "observation",
                entry,
                observation.bill_usd,
                int(observation.arrivals.sum()),
                len(observation.instances),
                pack_observation(observation),
            )

    def rate(self, observed: RateSeries) -> None:
        """Write what the forecaster is told of one interval."""
        rate_rps = float(observed.rate_rps[0])
        within = observed.within_rps
        bins = None if within is None else json.dumps([_known(x) for x in within[0].tolist()])
        with self._entry("rate", observed.start_s) as entry:
            self._insert("rate", entry, observed.interval_s, _known(rate_rps), bins)

    def plan(
        self,
        problem: Problem,
        plan: Plan | None,
        *,
        planner: str,
        wall_s: float,
        at_deadline: bool,
        error: str | None = None,
    ) -> None:
        """Write a problem, and the planner's answer to it."""
        with self._entry("plan", problem.time_s) as entry:
            self._insert(
                "plan",
                entry,
                planner if plan is None else plan.planner,
                None if plan is None else plan.rung,
                None if plan is None else plan.reason,
                None if plan is None else plan.objective_usd,
                None if plan is None else plan.bound_usd,
                wall_s,
                int(at_deadline),
                error,
                pack_problem(problem),
                None if plan is None else pack_plan(plan),
            )
        self.planned(entry)

    def planned(self, entry: int) -> None:
        """Say that this plan is what the next actions carry out."""
        self._planned = entry

    def intend(
        self,
        time_s: float,
        wanted: Actions,
        allowed: Actions,
        cuts: Sequence[Cut],
        *,
        kind: str,
        mode: str,
    ) -> int:
        """Write actions before they are carried out, and return the entry's number."""
        with self._entry("action", time_s) as entry:
            self._insert(
                "action",
                entry,
                self._planned if kind == "plan" else None,
                kind,
                wanted.decision_id,
                mode,
                to_json(wanted, Actions),
                to_json(allowed, Actions),
                to_json(tuple(cuts), tuple[Cut, ...]),
                None,
                None,
            )
        if kind == "plan":
            self._planned = None
        return entry

    def report(self, entry: int, report: ActionReport) -> None:
        """Write what became of actions."""
        with self._transaction():
            self._db.execute(
                "UPDATE action SET report = ?, reported_unix_s = ? WHERE entry = ?",
                (to_json(report, ActionReport), time.time(), entry),
            )

    def interval(self, record: IntervalRecord, past: Past) -> bool:
        """Write what came of an interval, unless it is written already; tell whether it was not."""
        if past.take(IntervalEntry, record.start_s) is not None:
            return False
        document = {
            "forecast_rps": {
                "mean": record.forecast_mean_rps,
                "p05": record.forecast_p05_rps,
                "p50": record.forecast_p50_rps,
                "p95": record.forecast_p95_rps,
            },
            "ready": record.ready,
            "billed": record.billed,
            "warm_functions": record.warm_functions,
            "monitor_launches": record.monitor_launches,
            "scale_in_frozen": record.scale_in_frozen,
        }
        with self._entry("interval", record.start_s) as entry:
            self._insert(
                "interval",
                entry,
                record.end_s,
                record.arrivals,
                record.spilled,
                record.late,
                record.refused,
                record.bill_usd,
                json.dumps(document, allow_nan=False),
            )
        return True

    @contextmanager
    def _entry(self, kind: str, time_s: float) -> Iterator[int]:
        if self._session is None:
            raise ConfigError(f"Journal '{self._path}': a session must begin before entries")
        with self._transaction():
            added = self._db.execute(
                "INSERT INTO entry (session, epoch, kind, time_s, unix_s) VALUES (?, ?, ?, ?, ?)",
                (self._session, self._epoch, kind, time_s, time.time()),
            )
            yield int(added.lastrowid or 0)

    def _insert(self, table: str, *values: Any) -> None:
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT INTO {table} VALUES ({marks})", values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise DataError(f"Journal '{self._path}': cannot be written: {error}") from None


def _known(rate_rps: float) -> float | None:
    return None if math.isnan(rate_rps) else rate_rps
