"""From data to model: the columns and rows of the program, in sparse blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.core import Problem
from markopt.planning.program.cuts import Cuts, excess_cuts, spill_cuts
from markopt.planning.program.data import DemandData, FleetData
from markopt.planning.program.model import ModelBuilder, SparseModel
from markopt.planning.program.recourse import Recourse, miss_budget

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# A launch costs this share more than it does, so that of two equal plans the calmer one wins.
CALM_SHARE = 1e-6
# USD per violation beyond the budget, in prices of the dearest instance from launch to one
# interval of service: enough that money never buys a violation while an instance could prevent it.
PENALTY_INSTANCES = 20.0


@dataclass(frozen=True)
class BuilderOptions:
    """What of the program is switched on; see ``Program`` for the meaning of each."""

    integer_intervals: int | None = None
    cut_count: int = 20
    terminal_value_share: float = 0.0


@dataclass(frozen=True, eq=False)
class BuiltProgram:
    """The model, and where its columns lie: ``launch[k,t]``, ``ready[k,t]``, ``warm[t]``...

    ``warm`` is None where it is no choice: all environments are free, or none makes a difference.
    """

    model: SparseModel
    fleet: FleetData
    demand: DemandData
    own: Recourse
    interval_s: float
    launch: Indices
    ready: Indices
    spill: Indices
    excess: Indices | None
    warm: Indices | None
    slack: Indices

    def capacity_rps(self, values: Array) -> Array:
        """Return C_t of a solution."""
        fleet = self.fleet
        capacity = np.asarray((fleet.mu * fleet.a) @ values[self.ready], dtype=np.float64)
        capacity[0] += fleet.noticed_rps
        return capacity

    def warm_environments(self, values: Array) -> Array:
        """Return w_t of a solution."""
        if self.warm is None:
            at_hand = self.own.warm_limit if self.own.warm_usd == 0.0 else 0
            return np.full(self.ready.shape[1], float(at_hand))
        return np.asarray(values[self.warm], dtype=np.float64)

    def exact_usd(self, values: Array, modeled_usd: float) -> float:
        """Return the expected cost with every scenario instead of the cuts."""
        capacity = self.capacity_rps(values)
        spill = self.demand.expected_spill_rps(capacity)
        missing = self.own.spill_usd * float((spill - values[self.spill]).sum())
        if self.excess is not None:
            warm_rps = self.own.warm_rps * self.warm_environments(values)
            excess = self.demand.expected_excess_rps(capacity, warm_rps)
            missing += self.own.excess_usd * float((excess - values[self.excess]).sum())
        return modeled_usd + self.interval_s * missing


def build_program(
    problem: Problem,
    fleet: FleetData,
    demand: DemandData,
    own: Recourse,
    options: BuilderOptions,
) -> BuiltProgram:
    """Return the program of DESIGN section 5 for one decision; docs/formulation.md has it whole."""
    return _Blocks(problem, fleet, demand, own, options).build()


class _Blocks:
    """The blocks of columns and rows of one program, each added by one method."""

    def __init__(
        self,
        problem: Problem,
        fleet: FleetData,
        demand: DemandData,
        own: Recourse,
        options: BuilderOptions,
    ) -> None:
        self.problem, self.fleet, self.demand = problem, fleet, demand
        self.own, self.options = own, options
        self.horizon = problem.horizon
        self.builder = ModelBuilder()
        self.limit_rps = self._capacity_limit()
        self.launch, self.ready = self._fleet_columns()
        self.capacity = self.builder.add_columns("capacity", (self.horizon,), upper=self.limit_rps)
        self.spill = self.builder.add_columns(
            "spill", (self.horizon,), cost=own.spill_usd * problem.interval_s
        )

    def build(self) -> BuiltProgram:
        """Add the rows and return the whole."""
        self._ramp_rows()
        self._capacity_rows()
        cuts = spill_cuts(self.demand, self.options.cut_count, self.limit_rps)
        self._cut_rows("spill_cut", cuts, self.spill)
        excess, warm = self._warm_blocks()
        slack = self._budget_rows(excess)
        self._limit_rows()
        self._retention_rows()
        return BuiltProgram(
            model=self.builder.build(self.fleet.committed_usd),
            fleet=self.fleet,
            demand=self.demand,
            own=self.own,
            interval_s=self.problem.interval_s,
            launch=self.launch,
            ready=self.ready,
            spill=self.spill,
            excess=excess,
            warm=warm,
            slack=slack,
        )

    def _ready_limit(self) -> Array:
        """Most ready instances (k,) of any use: the whole demand on one offer, or what runs."""
        fleet = self.fleet
        worth = fleet.mu * fleet.a
        useful = np.where(worth > 0.0, np.ceil(self.demand.q.max() / np.maximum(worth, 1e-9)), 0.0)
        existing = fleet.ready + fleet.arriving.sum(axis=1)
        return np.asarray(np.maximum(np.minimum(useful, fleet.stock), existing), dtype=np.float64)

    def _capacity_limit(self) -> Array:
        """Largest C_t in reach, (t,): before a launch is ready only what exists serves."""
        fleet = self.fleet
        existing = fleet.ready[:, None] + np.cumsum(fleet.arriving, axis=1)
        most = np.repeat(self._ready_limit()[:, None], self.horizon, axis=1)
        in_reach = np.arange(self.horizon)[None, :] >= fleet.d[:, None]
        limit = (fleet.mu * fleet.a) @ np.where(in_reach, most, existing)
        limit[0] += fleet.noticed_rps
        return np.asarray(limit, dtype=np.float64)

    def _fleet_columns(self) -> tuple[Indices, Indices]:
        fleet, shape = self.fleet, (len(self.fleet.offers), self.horizon)
        t = np.arange(self.horizon)[None, :]
        whole = self.options.integer_intervals
        if whole is None:
            whole = self.horizon
        most = np.broadcast_to(self._ready_limit()[:, None], shape)
        billed_usd = fleet.c + fleet.relaunch
        boot_usd = billed_usd * fleet.d
        launch = self.builder.add_columns(
            "launch",
            shape,
            cost=(boot_usd + CALM_SHARE * fleet.c)[:, None],
            upper=np.where(t + fleet.d[:, None] < self.horizon, most, 0.0),
            integer=t < whole,
        )
        ready_usd = np.repeat(billed_usd[:, None], self.horizon, axis=1)
        ready_usd[:, -1] -= self.options.terminal_value_share * fleet.c * fleet.d
        ready = self.builder.add_columns(
            "ready", shape, cost=ready_usd, upper=most, integer=t < whole
        )
        return launch, ready

    def _ramp_rows(self) -> None:
        """r[k,t] <= r[k,t-1] + u[k,t-d_k] + arriving[k,t]; what is left over is terminated."""
        count, horizon = self.ready.shape
        more = self.fleet.arriving.copy()
        more[:, 0] += self.fleet.ready
        first = self.builder.add_rows("ramp", count * horizon, upper=more.ravel())
        rows = first + np.arange(count * horizon).reshape(count, horizon)
        self.builder.put(rows, self.ready, 1.0)
        self.builder.put(rows[:, 1:], self.ready[:, :-1], -1.0)
        for k, delay in enumerate(self.fleet.d.tolist()):
            if delay < horizon:
                self.builder.put(rows[k, delay:], self.launch[k, : horizon - delay], -1.0)

    def _capacity_rows(self) -> None:
        """C[t] = sum_k mu_k a_k r[k,t], and the noticed instances in interval 0."""
        noticed = np.zeros(self.horizon)
        noticed[0] = self.fleet.noticed_rps
        rows = self._rows("capacity", lower=noticed, upper=noticed)
        self.builder.put(rows, self.capacity, 1.0)
        self.builder.put(rows[None, :], self.ready, -(self.fleet.mu * self.fleet.a)[:, None])

    def _rows(self, name: str, *, lower: Any = -np.inf, upper: Any = np.inf) -> Indices:
        """Add one row per interval and return their indices."""
        first = self.builder.add_rows(name, self.horizon, lower=lower, upper=upper)
        return np.arange(first, first + self.horizon)

    def _cut_rows(self, name: str, cuts: Cuts, short: Indices) -> Indices:
        count = len(cuts.level)
        rows = self.builder.add_rows(name, count, lower=cuts.level) + np.arange(count)
        self.builder.put(rows, short[cuts.interval], 1.0)
        self.builder.put(rows, self.capacity[cuts.interval], cuts.slope)
        return rows

    def _warm_blocks(self) -> tuple[Indices | None, Indices | None]:
        """Excess z[t] over the warm environments w[t]; w is a column only where it has a price."""
        own = self.own
        if not own.has_excess:
            return None, None
        priced = own.warm_usd > 0.0
        limit_rps = own.warm_limit * own.warm_rps
        cuts = excess_cuts(self.demand, self.options.cut_count, 0.0 if priced else limit_rps)
        if not len(cuts.level):
            return None, None
        shape, builder = (self.horizon,), self.builder
        excess = builder.add_columns("excess", shape, cost=own.excess_usd * self.problem.interval_s)
        if not priced:
            level = cuts.level - cuts.weight * limit_rps
            at_hand = Cuts(cuts.interval, level, cuts.slope, cuts.weight)
            self._cut_rows("excess_cut", at_hand, excess)
            return excess, None
        warm = builder.add_columns("warm", shape, cost=own.warm_usd, upper=float(own.warm_limit))
        rows = self._cut_rows("excess_cut", cuts, excess)
        builder.put(rows, warm[cuts.interval], cuts.weight * own.warm_rps)
        return excess, warm

    def _budget_rows(self, excess: Indices | None) -> Indices:
        """Misses per SLO window within what the window still allows; beyond it a dear slack."""
        own, fleet, interval_s = self.own, self.fleet, self.problem.interval_s
        least = self.demand.expected_spill_rps(self.limit_rps) * own.spill_misses * interval_s
        budget = miss_budget(self.problem, self.demand.expected_rps, own, least)
        count = len(budget.allowed)
        dearest = float(((fleet.d + 1) * fleet.c).max(initial=0.0))
        slack = self.builder.add_columns("slack", (count,), cost=PENALTY_INSTANCES * dearest)
        rows = self.builder.add_rows("budget", count, upper=budget.allowed) + np.arange(count)
        self.builder.put(rows, slack, -1.0)
        if own.spill_misses > 0.0:
            self.builder.put(rows[budget.window_of], self.spill, own.spill_misses * interval_s)
        if excess is not None and own.excess_misses > 0.0:
            self.builder.put(rows[budget.window_of], excess, own.excess_misses * interval_s)
        return slack

    def _limit_rows(self) -> None:
        """Stock, vCPUs in all, launches per interval; what runs already is always allowed."""
        fleet, limits = self.fleet, self.problem.limits
        for k in np.flatnonzero(np.isfinite(fleet.stock)).tolist():
            room = max(fleet.stock[k], fleet.billed_now[k]) - fleet.pending[k]
            self._put_billed(self._rows("stock", upper=room), k, 1.0)
        if limits.max_vcpus is not None:
            used = float(fleet.vcpus @ fleet.billed_now)
            room = max(limits.max_vcpus, used) - fleet.vcpus @ fleet.pending
            rows = self._rows("vcpus", upper=room)
            for k in range(len(fleet.offers)):
                self._put_billed(rows, k, float(fleet.vcpus[k]))
        if limits.max_launches_per_interval is not None:
            rows = self._rows("launches", upper=float(limits.max_launches_per_interval))
            self.builder.put(rows[None, :], self.launch, 1.0)

    def _put_billed(self, rows: Indices, k: int, weight: float) -> None:
        """Put r[k,t] and every u[k,j] still booting in t (j in t-d_k+1 .. t) into rows[t]."""
        self.builder.put(rows, self.ready[k], weight)
        for back in range(min(int(self.fleet.d[k]), self.horizon)):
            self.builder.put(rows[back:], self.launch[k, : self.horizon - back], weight)

    def _retention_rows(self) -> None:
        """Keep launches through what is billed at least: r[k,t] >= sum of u[k,t-m+1 .. t-d]."""
        fleet = self.fleet
        for k in np.flatnonzero(fleet.m > fleet.d + 1).tolist():
            rows = self._rows("retention", lower=0.0)
            self.builder.put(rows, self.ready[k], 1.0)
            for back in range(int(fleet.d[k]), min(int(fleet.m[k]), self.horizon)):
                self.builder.put(rows[back:], self.launch[k, : self.horizon - back], -1.0)
