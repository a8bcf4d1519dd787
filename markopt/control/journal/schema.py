"""The journal's tables, and opening an SQLite file of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from markopt.errors import DataError

SCHEMA = "markopt.journal/1"
APPLICATION_ID = 0x6D6F7074  # "mopt", in the file's header

TABLES = """
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
CREATE TABLE epoch (          -- a fit of the forecaster, and all that was decided with it
  epoch INTEGER PRIMARY KEY,
  begin_s REAL NOT NULL,      -- where the history ends and control begins
  opened_unix_s REAL NOT NULL,
  version TEXT NOT NULL,      -- of markopt
  config TEXT NOT NULL        -- complete, as JSON
) STRICT;
CREATE TABLE session (        -- a process that drove the deployment
  session INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL REFERENCES epoch,
  process INTEGER NOT NULL,
  mode TEXT NOT NULL,
  began_unix_s REAL NOT NULL,
  ended_unix_s REAL,
  ending TEXT                 -- NULL: it runs, or was killed
) STRICT;
CREATE TABLE entry (          -- one number for everything that happened, in order
  entry INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES session,
  epoch INTEGER NOT NULL REFERENCES epoch,
  kind TEXT NOT NULL CHECK (kind IN ('observation', 'rate', 'plan', 'action', 'interval')),
  time_s REAL NOT NULL,
  unix_s REAL NOT NULL
) STRICT;
CREATE INDEX entry_epoch ON entry (epoch, entry);
CREATE TABLE observation (
  entry INTEGER PRIMARY KEY REFERENCES entry,
  bill_usd REAL NOT NULL,
  arrivals INTEGER NOT NULL,
  instances INTEGER NOT NULL,
  document BLOB NOT NULL      -- zlib, JSON
) STRICT;
CREATE TABLE rate (           -- what the forecaster was told of an interval; NULL: no data
  entry INTEGER PRIMARY KEY REFERENCES entry,
  interval_s REAL NOT NULL,
  rate_rps REAL,
  within_rps TEXT             -- JSON list, one rate per bin
) STRICT;
CREATE TABLE plan (
  entry INTEGER PRIMARY KEY REFERENCES entry,
  planner TEXT NOT NULL,
  rung TEXT,
  reason TEXT,
  objective_usd REAL,
  bound_usd REAL,
  wall_s REAL NOT NULL,
  at_deadline INTEGER NOT NULL,  -- 1: a time limit ended the solve
  error TEXT,                 -- what the planner raised in place of a plan
  problem BLOB NOT NULL,      -- zlib, JSON
  document BLOB               -- the plan: zlib, JSON
) STRICT;
CREATE TABLE action (
  entry INTEGER PRIMARY KEY REFERENCES entry,
  plan INTEGER REFERENCES plan,  -- NULL: the monitor's, or the functions' share
  kind TEXT NOT NULL,         -- plan | monitor | weights
  decision_id TEXT NOT NULL UNIQUE,
  mode TEXT NOT NULL,
  wanted TEXT NOT NULL,       -- JSON
  allowed TEXT NOT NULL,      -- JSON: what the guard rails left of it
  cuts TEXT NOT NULL,         -- JSON list of {rule, text}
  report TEXT,                -- JSON; NULL until the effects are known
  reported_unix_s REAL
) STRICT;
CREATE INDEX action_pending ON action (entry) WHERE report IS NULL;
CREATE TABLE interval (
  entry INTEGER PRIMARY KEY REFERENCES entry,
  end_s REAL NOT NULL,
  arrivals INTEGER NOT NULL,
  spilled INTEGER NOT NULL,
  late INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  bill_usd REAL NOT NULL,
  document TEXT NOT NULL      -- JSON
) STRICT;
"""


def connect_to_write(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Return a connection for the one process that writes; makes the tables where there are none.

    ``durable``: every commit reaches the disk before it returns, so that not even a power failure
    loses it; without, none is lost where only the process dies.

    Raises:
        DataError: the file cannot be opened, or is no journal of this version.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        _refuse_others(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise DataError(f"Journal '{path}': cannot be written: {error}") from None
    _check(connection, path)
    return connection


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database of something else before anything of it is changed."""
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        _check(connection, path)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads, also while a controller writes.

    Raises:
        DataError: there is no such file, or it is no journal of this version.
    """
    if not path.is_file():
        raise DataError(f"Journal '{path}': no such file")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise DataError(f"Journal '{path}': cannot be read: {error}") from None
    _check(connection, path)
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        found = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.Error:
        application, found = 0, None
    if application != APPLICATION_ID or found is None:
        connection.close()
        raise DataError(f"Journal '{path}': expected a journal of markopt deploy, it is none")
    if found[0] != SCHEMA:
        connection.close()
        raise DataError(f"Journal '{path}': this version reads '{SCHEMA}', got '{found[0]}'")
