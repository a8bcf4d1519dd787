"""The rows that every program has, an object each: it adds its rows to the assembly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from markopt.planning.program.assembly import Assembly, Indices
from markopt.planning.program.cuts import Cuts, excess_cuts, spill_cuts


class Block(Protocol):
    """A constraint or cost: adds its columns and rows to a model that is being put together."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add them."""


@dataclass(frozen=True)
class FleetBalance:
    """r[k,c] <= r[k,parent] + u[k,d_k before] + arriving[k,t]; what is left over is terminated."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per offer and cell."""
        fleet, tree, ready = assembly.fleet, assembly.tree, assembly.ready
        more = fleet.arriving[:, tree.interval].copy()
        more[:, 0] += fleet.ready
        count = ready.size
        first = assembly.builder.add_rows("ramp", count, upper=more.ravel())
        rows = first + np.arange(count).reshape(ready.shape)
        assembly.put_ready(rows, 1.0)
        assembly.put_ready_before(rows, -1.0)
        assembly.put_launched(rows, fleet.d, -1.0)


@dataclass(frozen=True)
class Capacity:
    """C[m,c] = sum_k mu_k a[m,k,t] r[k,c], and the noticed instances in interval 0."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per state and cell."""
        capacity = assembly.capacity
        noticed = np.zeros(capacity.shape)
        noticed[:, 0] = assembly.fleet.noticed_rps
        worth = assembly.fleet.mu[:, None] * assembly.statement.available
        first = assembly.builder.add_rows(
            "capacity", noticed.size, lower=noticed.ravel(), upper=noticed.ravel()
        )
        rows = first + np.arange(noticed.size).reshape(noticed.shape)
        assembly.builder.put(rows, capacity, 1.0)
        state, offer, cell = np.nonzero(worth)  # what is out in a state has no entry
        assembly.builder.put(
            rows[state, cell], assembly.ready[offer, cell], -worth[state, offer, cell]
        )


@dataclass(frozen=True)
class ExpectedSpill:
    """s[m,c] >= E(D - eta C)+ by cuts over sorted scenarios, the same ones in every state."""

    cut_count: int

    def add_rows(self, assembly: Assembly) -> None:
        """Add the cuts."""
        cuts = spill_cuts(assembly.demand, self.cut_count, assembly.limit_rps.max(axis=0))
        put_cuts(assembly, "spill_cut", cuts, assembly.spill)


@dataclass(frozen=True)
class WarmFunctions:
    """z[m,c] >= E(D - eta C - mu w)+ beyond the warm environments; w is a choice where it costs."""

    cut_count: int

    def add_rows(self, assembly: Assembly) -> None:
        """Add excess and warm columns and their cuts, where they make a difference."""
        own = assembly.own
        if not own.has_excess:
            return
        priced = own.warm_usd > 0.0
        limit_rps = own.warm_limit * own.warm_rps
        cuts = excess_cuts(assembly.demand, self.cut_count, 0.0 if priced else limit_rps)
        if not len(cuts.level):
            return
        tree, builder = assembly.tree, assembly.builder
        weight = assembly.states.probability[:, None]
        excess_usd = own.excess_usd * assembly.interval_s
        excess = builder.add_columns("excess", assembly.spill.shape, cost=excess_usd * weight)
        assembly.excess = excess
        if not priced:
            at_hand = Cuts(
                cuts.interval, cuts.level - cuts.weight * limit_rps, cuts.slope, cuts.weight
            )
            put_cuts(assembly, "excess_cut", at_hand, excess)
            return
        assembly.warm = builder.add_columns(
            "warm", (tree.cells,), cost=own.warm_usd * tree.probability, upper=float(own.warm_limit)
        )
        rows = put_cuts(assembly, "excess_cut", cuts, excess)
        builder.put(rows, assembly.warm[cuts.interval], cuts.weight * own.warm_rps)


def put_cuts(assembly: Assembly, name: str, cuts: Cuts, short: Indices) -> Indices:
    """Add ``short >= level - slope C`` in the states with cuts; return the rows, (states, cuts)."""
    states = assembly.cut_states
    shape = (len(states), len(cuts.level))
    level = np.broadcast_to(cuts.level, shape)
    first = assembly.builder.add_rows(name, level.size, lower=level.ravel())
    rows = first + np.arange(level.size).reshape(shape)
    at = (states[:, None], cuts.interval[None, :])
    assembly.builder.put(rows, short[at], 1.0)
    assembly.builder.put(rows, assembly.capacity[at], cuts.slope)
    return rows


@dataclass(frozen=True)
class ServiceLevel:
    """Misses per SLO window within what the window still allows; beyond it a dear slack."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row and a slack per window."""
        own, builder, interval_s = assembly.own, assembly.builder, assembly.interval_s
        weight = assembly.states.probability
        budget = assembly.statement.budget
        count = len(budget.allowed)
        assembly.slack = builder.add_columns("slack", (count,), cost=assembly.penalty_usd)
        rows = builder.add_rows("budget", count, upper=budget.allowed) + np.arange(count)
        builder.put(rows, assembly.slack, -1.0)
        assembly.soft += zip(rows.tolist(), assembly.slack.tolist(), strict=True)
        own_row = np.broadcast_to(
            rows[budget.window_of[assembly.tree.interval]], assembly.spill.shape
        )
        if own.spill_misses > 0.0:
            builder.put(own_row, assembly.spill, own.spill_misses * interval_s * weight[:, None])
        if assembly.excess is not None and own.excess_misses > 0.0:
            builder.put(own_row, assembly.excess, own.excess_misses * interval_s * weight[:, None])


@dataclass(frozen=True)
class ChancePerInterval:
    """C[m,c] + mu w >= level[m,c]: the risk measure's promise; beyond it a dear slack."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per state and cell that has a level."""
        levels, own = assembly.statement.levels_rps, assembly.own
        state, cell = np.nonzero(levels > 0.0)
        if not len(cell):
            return
        builder = assembly.builder
        tree = assembly.tree
        short = builder.add_columns(
            "short",
            (tree.cells,),
            cost=assembly.penalty_usd * assembly.interval_s * tree.probability,
        )
        at_hand = 0.0 if assembly.warm is not None else own.warm_limit * own.warm_rps
        first = builder.add_rows("promise", len(cell), lower=levels[state, cell] - at_hand)
        rows = first + np.arange(len(cell))
        _put_served(assembly, rows, state, cell)
        builder.put(rows, short[cell], 1.0)
        assembly.short = short


def _put_served(assembly: Assembly, rows: Indices, state: Indices, cell: Indices) -> None:
    """Put what serves in a state and cell: instances, and warm functions that are a choice."""
    assembly.builder.put(rows, assembly.capacity[state, cell], 1.0)
    if assembly.warm is not None:
        assembly.builder.put(rows, assembly.warm[cell], assembly.own.warm_rps)


@dataclass(frozen=True)
class ChanceOverPaths:
    """The sample-average promise for the whole window: all but some paths are served throughout.

    C[m,c] + mu w >= q - (q - level) y: y = 1 breaks a path, and ``level`` is what all but the paths
    that may be broken need (the mixing set's strengthening, Luedtke, Ahmed, Nemhauser 2010).
    """

    def add_rows(self, assembly: Assembly) -> None:
        """Add a binary per path that may matter, and a row per path, kept state and cell."""
        statement, builder = assembly.statement, assembly.builder
        count = statement.spared_paths
        if count is None or count == 0 or assembly.short is None:
            return
        cells = assembly.tree.cell_of[assembly.tree.leaf_of]
        broken = builder.add_columns("broken", (len(cells),), upper=1.0, integer=True)
        builder.put(builder.add_rows("broken", 1, upper=float(count)), broken, 1.0)
        own = assembly.own
        at_hand = 0.0 if assembly.warm is not None else own.warm_limit * own.warm_rps
        for state in np.flatnonzero((statement.levels_rps > -np.inf).any(axis=1)).tolist():
            level = np.maximum(statement.levels_rps[state, cells], 0.0)
            asked = statement.asked_by_path(state)
            path, at = np.nonzero(asked > level + 1e-9)
            first = builder.add_rows("path", len(path), lower=asked[path, at] - at_hand)
            rows, cell = first + np.arange(len(path)), cells[path, at]
            _put_served(assembly, rows, np.full(len(path), state), cell)
            builder.put(rows, assembly.short[cell], 1.0)
            builder.put(rows, broken[path], asked[path, at] - level[path, at])


@dataclass(frozen=True)
class AccountLimits:
    """Stock, pools, vCPUs, launches and terminations; what runs already is always allowed."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per cell for every limit that there is."""
        fleet, limits = assembly.fleet, assembly.statement.problem.limits
        at = assembly.tree.interval
        bounded = np.flatnonzero(np.isfinite(fleet.stock))
        if len(bounded):
            most = np.maximum(fleet.stock, fleet.billed_now)[bounded, None]
            room = most - fleet.pending[bounded][:, at]
            first = assembly.builder.add_rows("stock", room.size, upper=room.ravel())
            own = first + np.arange(room.size).reshape(room.shape)
            assembly.put_billed(own, 1.0, bounded)
        if limits.max_instances_by_pool:
            _put_pools(assembly)
        if limits.max_vcpus is not None:
            _put_total(assembly, "vcpus", limits.max_vcpus, fleet.vcpus)
        if limits.max_launches_per_interval is not None:
            put_launch_limit(assembly, float(limits.max_launches_per_interval))
        if limits.max_terminations_per_interval is not None:
            put_termination_limit(assembly, float(limits.max_terminations_per_interval))


def _put_pools(assembly: Assembly) -> None:
    """Limit the billed count of every pool that has a quota."""
    fleet, quotas = assembly.fleet, assembly.statement.problem.limits.max_instances_by_pool
    pools = sorted({offer.pool for offer in fleet.offers} & set(quotas))
    if not pools:
        return
    number = np.array([pools.index(o.pool) if o.pool in pools else -1 for o in fleet.offers])
    inside = (number[None, :] == np.arange(len(pools))[:, None]).astype(np.float64)
    most = np.maximum([float(quotas[pool]) for pool in pools], inside @ fleet.billed_now)
    room = most[:, None] - (inside @ fleet.pending)[:, assembly.tree.interval]
    first = [
        assembly.cell_rows(f"pool {pool}", upper=own) for pool, own in zip(pools, room, strict=True)
    ]
    counted = np.flatnonzero(number >= 0)
    assembly.put_billed(np.array(first)[number[counted]], 1.0, counted)


def _put_total(assembly: Assembly, name: str, most: float, weight: np.ndarray) -> None:
    """Limit the weighted billed count of all offers."""
    fleet = assembly.fleet
    used = float(weight @ fleet.billed_now)
    room = max(most, used) - (weight @ fleet.pending)[assembly.tree.interval]
    counted = np.flatnonzero(weight)
    assembly.put_billed(assembly.cell_rows(name, upper=room), weight[counted], counted)


def put_launch_limit(assembly: Assembly, most: float) -> None:
    """Limit the launches of all offers in an interval."""
    rows = assembly.cell_rows("launches", upper=most)
    assembly.builder.put(rows, assembly.launch, 1.0)


def put_termination_limit(assembly: Assembly, most: float) -> None:
    """Limit the terminations of all offers in an interval: what the ramps leave over."""
    fleet = assembly.fleet
    more = fleet.arriving.sum(axis=0)[assembly.tree.interval]
    more[0] += fleet.ready.sum()
    rows = assembly.cell_rows("terminations", lower=more - most)
    assembly.put_ready(rows, 1.0)
    assembly.put_ready_before(rows, -1.0)
    assembly.put_launched(rows, fleet.d, -1.0)


@dataclass(frozen=True)
class Retention:
    """Keep launches through what is billed at least: r[k,c] >= sum of u from m-1 to d before."""

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per cell for offers whose minimum lasts longer than their launch."""
        fleet, horizon = assembly.fleet, assembly.statement.problem.horizon
        kept = np.flatnonzero(fleet.m > fleet.d + 1)
        if not len(kept):
            return
        count = len(kept) * assembly.tree.cells
        first = assembly.builder.add_rows("retention", count, lower=0.0)
        rows = np.zeros(assembly.ready.shape, dtype=np.int64)
        rows[kept] = first + np.arange(count).reshape(len(kept), -1)
        assembly.put_ready(rows[kept], 1.0, kept)
        longest = min(int(fleet.m[kept].max()), horizon)
        for back in range(int(fleet.d[kept].min()), longest):
            lasting = (fleet.d <= back) & (back < fleet.m) & (fleet.m > fleet.d + 1)
            assembly.put_launched(rows, np.where(lasting, back, -1), -1.0)
