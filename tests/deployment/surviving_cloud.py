"""A cloud in an SQLite file: it outlives the controller's process, as a real one does.

Every launch and every end is a transaction of its own, so that a controller can die in the middle
of its actions. What it was told once under a token it does not do again. New instances are listed
late, and one offer is short of capacity at times.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from markopt.cloud.clock import Clock
from markopt.cloud.live import Deployment
from markopt.core import (
    ActionReport,
    Actions,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
)
from markopt.errors import BackendError

BIN_S = 5.0
LISTED_AFTER_S = 7.0
SHORT_SPANS = ((200.0, 330.0),)

TABLES = """
CREATE TABLE IF NOT EXISTS instance (
  id TEXT PRIMARY KEY, token TEXT UNIQUE, offer TEXT, launched_s REAL, ended_s REAL);
CREATE TABLE IF NOT EXISTS refusal (token TEXT PRIMARY KEY, offer TEXT);
CREATE TABLE IF NOT EXISTS warm (number INTEGER);
CREATE TABLE IF NOT EXISTS call (decision_id TEXT, number INTEGER);
"""


def requests_in_bin(number: int) -> int:
    """A surge in the middle: the same for everyone who asks."""
    time_s = number * BIN_S
    level = 10.0 + 45.0 * (120.0 <= time_s < 360.0)
    return round(BIN_S * level * (1.0 + 0.2 * math.sin(number)))


def late_in_bin(number: int) -> int:
    return requests_in_bin(number) // 4 if 24 <= number < 40 else 0


@dataclass(frozen=True)
class SurvivingCloud:
    """Settings of the cloud: where its state lies, and what runs at first."""

    path: str
    first: tuple[str, ...] = ("small", "small")

    def open(self, deployment: Deployment) -> SurvivingBackend:
        return SurvivingBackend(self, deployment)


class SurvivingBackend:
    """The cloud as a controller's process sees it."""

    def __init__(self, settings: SurvivingCloud, deployment: Deployment) -> None:
        self.db = sqlite3.connect(settings.path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")  # the machine does not fail, processes do
        self.db.executescript(TABLES)
        self.offers = {offer.name: offer for offer in deployment.offers}
        self.clock: Clock = deployment.clock
        self.reached_s = -math.inf
        self.refused_offer = deployment.offers[-1].name
        for place, offer in enumerate(settings.first):
            self.db.execute(
                "INSERT OR IGNORE INTO instance VALUES (?, ?, ?, -1000, NULL)",
                (f"i-first-{place}", f"first-{place}", offer),
            )
        seen_s = deployment.observed_until_s
        self.counted = math.floor((self.clock.now_s() if seen_s is None else seen_s) / BIN_S + 1e-9)

    def observe(self) -> Observation:
        now_s = self.clock.now_s()
        ended = math.floor(now_s / BIN_S + 1e-9)
        bins = range(self.counted, ended)
        self.counted = ended
        rows = self.db.execute(
            "SELECT id, offer, launched_s FROM instance WHERE ended_s IS NULL AND launched_s < ? "
            "ORDER BY id",
            (now_s - LISTED_AFTER_S,),
        )
        none = np.zeros(len(bins), dtype=np.int64)
        return Observation(
            now_s,
            tuple(self._status(*row, now_s) for row in rows),
            BIN_S,
            np.array([requests_in_bin(n) for n in bins], dtype=np.int64),
            np.array([late_in_bin(n) for n in bins], dtype=np.int64),
            none,
            none,
            warm_functions=self.db.execute("SELECT coalesce(max(number), 0) FROM warm").fetchone()[
                0
            ],
            bill_usd=now_s * 1e-4,
        )

    def _status(self, name: str, offer: str, launched_s: float, now_s: float) -> InstanceStatus:
        age_s = now_s - launched_s
        delay_s = self.offers[offer].launch_delay_s if offer in self.offers else 0.0
        rest_s = max(delay_s - age_s, 0.0)
        state = InstanceState.BOOTING if rest_s > 0.0 else InstanceState.READY
        return InstanceStatus(name, offer, state, age_s, rest_s)

    def apply(self, actions: Actions) -> ActionReport:
        self.db.execute("INSERT INTO call VALUES (?, 1)", (actions.decision_id,))
        launched: dict[str, tuple[str, ...]] = {}
        insufficient: list[str] = []
        for offer, count in actions.launch.items():
            ids = [self._launch(actions.decision_id, offer, number) for number in range(count)]
            launched[offer] = tuple(name for name in ids if name is not None)
            insufficient += [offer] * (None in ids)
        now_s = self.clock.now_s()
        for name in actions.terminate:
            self.db.execute(
                "UPDATE instance SET ended_s = ? WHERE id = ? AND ended_s IS NULL", (now_s, name)
            )
        if actions.warm_functions is not None:
            self.db.execute("DELETE FROM warm")
            self.db.execute("INSERT INTO warm VALUES (?)", (actions.warm_functions,))
        refused = tuple(f"launch {name}: insufficient capacity" for name in insufficient)
        return ActionReport(
            actions.decision_id, launched, actions.terminate, refused, tuple(insufficient)
        )

    def _launch(self, decision_id: str, offer: str, number: int) -> str | None:
        """Launch under a client token; the same token again gives the same answer."""
        token = f"{decision_id.partition('-')[2]}/{offer}/{number}"
        now_s = self.clock.now_s()
        known = self.db.execute("SELECT id FROM instance WHERE token = ?", (token,)).fetchone()
        if known:
            return str(known[0])
        if self.db.execute("SELECT 1 FROM refusal WHERE token = ?", (token,)).fetchone():
            return None
        if offer == self.refused_offer and any(a <= now_s < b for a, b in SHORT_SPANS):
            self.db.execute("INSERT INTO refusal VALUES (?, ?)", (token, offer))
            return None
        name = f"i-{token}"
        self.db.execute(
            "INSERT INTO instance VALUES (?, ?, ?, ?, NULL)", (name, token, offer, now_s)
        )
        return name

    def advance(self, until_s: float) -> None:
        if until_s < self.reached_s:
            raise BackendError(f"time cannot go back to {until_s}")
        self.reached_s = until_s
        self.clock.wait_until(until_s)

    def close(self) -> Ledger:
        self.db.execute(
            "UPDATE instance SET ended_s = ? WHERE ended_s IS NULL", (self.clock.now_s(),)
        )
        return Ledger({}, {}, 0, 0)

    def detach(self) -> None:
        self.db.close()


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """What the cloud holds in the end: instances with their lives, refusals, warm functions."""
    db = sqlite3.connect(path)
    found = {
        table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("instance", "refusal", "warm")
    }
    db.close()
    return found
