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
    ``excess`` (states, cells), ``warm`` and ``short`` (cells,) are set where they are a choice.
    ``cut_states`` are the pool states whose shortages have cuts from the start.
    Costs are expected ones: a cell's are weighted with its probability, a state's with its own.
    """

    def __init__(self, statement: Statement, cut_states: Indices | None = None) -> None:
        self.statement = statement
        self.cut_states = (
            np.arange(len(statement.states.probability)) if cut_states is None else cut_states
        )
        self.fleet, self.tree = statement.fleet, statement.tree
        self.states, self.demand = statement.states, statement.demand
        self.own = statement.own
        self.interval_s = statement.problem.interval_s
        self.builder = ModelBuilder()
        self._before: dict[int, Indices] = {}
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
        self.soft: list[tuple[int, int]] = []

    @property
    def penalty_usd(self) -> float:
        """Price of one violation beyond what is allowed, USD."""
        return self.statement.penalty_usd

    def cell_rows(self, name: str, *, lower: Any = -np.inf, upper: Any = np.inf) -> Indices:
        """Add one row per cell and return their indices."""
        first = self.builder.add_rows(name, self.tree.cells, lower=lower, upper=upper)
        return np.arange(first, first + self.tree.cells)

    def put_ready(self, rows: Indices, weight: Any, offers: Indices | None = None) -> None:
        """Put r[k,c] into the rows, which broadcast to (offers, cells), as the weights do."""
        self.builder.put(rows, self.ready if offers is None else self.ready[offers], weight)

    def put_ready_before(self, rows: Indices, weight: float) -> None:
        """Put r[k,parent] of every offer and cell but the root."""
        later = np.flatnonzero(self.tree.parent >= 0)
        spread = np.broadcast_to(rows, self.ready.shape)
        self.builder.put(spread[:, later], self.ready[:, self.tree.parent[later]], weight)

    def put_launched(self, rows: Indices, back: Indices, weight: Any) -> None:
        """Put u[k,.] of ``back[k]`` intervals before; -1: nothing of that offer.

        ``rows`` broadcasts to (offers, cells), ``weight`` to (offers,).
        """
        spread = np.broadcast_to(rows, self.launch.shape)
        weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), len(spread))
        for number in np.unique(back[back >= 0]).tolist():
            offers = np.flatnonzero(back == number)[:, None]
            before = self._ancestors(number)
            there = np.flatnonzero(before >= 0)
            self.builder.put(
                spread[offers, there], self.launch[offers, before[there]], weights[offers]
            )

    def put_billed(self, rows: Indices, weight: Any, offers: Indices | None = None) -> None:
        """Put r[k,c] and every u[k,.] still booting in c, launched in t-d_k+1 .. t.

        ``rows`` broadcasts to (offers, cells) of the given offers, ``weight`` to (offers,).
        """
        chosen = np.arange(len(self.fleet.offers)) if offers is None else offers
        spread = np.zeros(self.ready.shape, dtype=np.int64)
        spread[chosen] = rows
        weights = np.zeros(len(self.fleet.offers))
        weights[chosen] = weight
        self.builder.put(spread[chosen], self.ready[chosen], weights[chosen][:, None])
        delays = np.full(len(weights), -1)
        delays[chosen] = self.fleet.d[chosen]
        for back in range(min(int(delays.max(initial=0)), self.statement.problem.horizon)):
            self.put_launched(spread, np.where(delays > back, back, -1), weights)

    def _ancestors(self, back: int) -> Indices:
        if back not in self._before:
            self._before[back] = self.tree.ancestors(back)
        return self._before[back]

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
        fleet, at = self.fleet, self.tree.interval[None, :]
        shape = (len(fleet.offers), self.tree.cells)
        horizon = self.statement.problem.horizon
        whole = self.statement.whole_intervals
        most = np.broadcast_to(self.most[:, None], shape)
        launch_usd, ready_usd = fleet_costs(self.statement)
        launch = self.builder.add_columns(
            "launch",
            shape,
            cost=launch_usd,
            upper=np.where(at + fleet.d[:, None] < horizon, most, 0.0),
            integer=at < whole,
        )
        ready = self.builder.add_columns(
            "ready", shape, cost=ready_usd, upper=most, integer=at < whole
        )
        return launch, ready


def fleet_costs(statement: Statement) -> tuple[Array, Array]:
    """Return the expected cost of a launch and of a ready instance, (offers, cells), USD."""
    fleet, tree = statement.fleet, statement.tree
    billed_usd = fleet.c + fleet.relaunch
    launch = (billed_usd * fleet.d + CALM_SHARE * fleet.c)[:, None] * tree.probability
    worth = statement.settings.terminal_value_share * fleet.c * fleet.d
    last = tree.interval == statement.problem.horizon - 1
    ready = (billed_usd[:, None] - worth[:, None] * last) * tree.probability
    return launch, ready
