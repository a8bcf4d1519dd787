"""The model while it is put together: columns by name, and what rows are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.model import ModelBuilder
from markopt.planning.statement import CALM_SHARE, Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Assembly:
    """A statement's columns, and a builder that collects rows.

    ``launch`` and ``ready`` have shape (offers, cells), ``capacity`` and ``spill`` (states, cells);
    ``excess`` (states, cells), ``warm`` and ``short`` (cells,) are set where they are a choice. Costs are
    expected ones: a cell's are weighted with its probability, a state's with its own.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.fleet, self.tree = statement.fleet, statement.tree
        self.states, self.demand = statement.states, statement.demand
        self.own = statement.own
        self.interval_s = statement.problem.interval_s
        self.builder = ModelBuilder()
        self.most = self._ready_limit()
        self.limit_rps = self._capacity_limit()
        self.launch, self.ready = self._fleet_columns()
        weight = self.states.probability[:, None]
        shape = (len(weight), self.tree.cells)
        self.capacity = self.builder.add_columns("capacity", shape, upper=self.limit_rps)
        spill_usd = self.own.spill_usd * self.interval_s
        self.spill = self.builder.add_columns("spill", shape, cost=spill_usd * weight)
        self.excess: Indices | None = None
        self.warm: Indices | None = None
        self.short: Indices | None = None
        self.slack: Indices = np.zeros(0, dtype=np.int64)

    @property
    def penalty_usd(self) -> float:
        """Price of one violation beyond what is allowed, USD."""
        return self.statement.penalty_usd

    def cell_rows(self, name: str, *, lower: Any = -np.inf, upper: Any = np.inf) -> Indices:
        """Add one row per cell and return their indices."""
        first = self.builder.add_rows(name, self.tree.cells, lower=lower, upper=upper)
        return np.arange(first, first + self.tree.cells)

    def put_billed(self, rows: Indices, k: int, weight: float) -> None:
        """Put r[k,c] and every u[k,.] still booting in c, launched in t-d_k+1 .. t, into row c."""
        self.builder.put(rows, self.ready[k], weight)
        for back in range(min(int(self.fleet.d[k]), self.statement.problem.horizon)):
            self.put_launched(rows, k, back, weight)

    def put_launched(self, rows: Indices, k: int, back: int, weight: float) -> None:
        """Put u[k,.] of ``back`` intervals before into the rows (one per cell)."""
        before = self.tree.ancestors(back)
        there = before >= 0
        self.builder.put(rows[there], self.launch[k, before[there]], weight)

    def _ready_limit(self) -> Array:
        """Most ready instances (k,) of any use: all that is asked for, or what runs."""
        fleet, available = self.fleet, self.statement.available
        asked = max(float(self.demand.q.max()), float(self.statement.levels_rps.max()), 0.0)
        least = np.where(available > 0.0, available, np.inf).min(axis=(0, 2))
        worth = np.where(np.isfinite(least), fleet.mu * least, 0.0)
        useful = np.where(worth > 0.0, np.ceil(asked / np.maximum(worth, 1e-9)), 0.0)
        existing = fleet.ready + fleet.arriving.sum(axis=1)
        return np.asarray(np.maximum(np.minimum(useful, fleet.stock), existing), dtype=np.float64)

    def _capacity_limit(self) -> Array:
        """Largest C in reach, (states, cells): before a launch is ready only what exists serves."""
        fleet, at = self.fleet, self.tree.interval
        existing = fleet.ready[:, None] + np.cumsum(fleet.arriving, axis=1)
        in_reach = at[None, :] >= fleet.d[:, None]
        count = np.where(in_reach, self.most[:, None], existing[:, at])
        limit = np.einsum("k,mkc,kc->mc", fleet.mu, self.statement.available, count)
        limit[:, 0] += fleet.noticed_rps
        return np.asarray(limit, dtype=np.float64)

    def _fleet_columns(self) -> tuple[Indices, Indices]:
        fleet, settings = self.fleet, self.statement.settings
        at, weight = self.tree.interval[None, :], self.tree.probability[None, :]
        shape = (len(fleet.offers), self.tree.cells)
        horizon = self.statement.problem.horizon
        whole = settings.integer_intervals or horizon
        most = np.broadcast_to(self.most[:, None], shape)
        billed_usd = fleet.c + fleet.relaunch
        boot_usd = billed_usd * fleet.d
        launch = self.builder.add_columns(
            "launch",
            shape,
            cost=(boot_usd + CALM_SHARE * fleet.c)[:, None] * weight,
            upper=np.where(at + fleet.d[:, None] < horizon, most, 0.0),
            integer=at < whole,
        )
        worth = settings.terminal_value_share * fleet.c * fleet.d
        ready_usd = billed_usd[:, None] - worth[:, None] * (at == horizon - 1)
        ready = self.builder.add_columns(
            "ready", shape, cost=ready_usd * weight, upper=most, integer=at < whole
        )
        return launch, ready
