"""Constraints and costs that are switched on by name: an object each, which adds its own rows.

A term of your own is any object with ``add_rows(assembly)``; put it under ``planner.terms``. Offers
that another replaces at no loss are left out only where every term says that this loses nothing
(``DOMINANCE_HOLDS``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from markopt.errors import ConfigError
from markopt.planning.program.assembly import Array, Assembly
from markopt.planning.program.blocks import put_launch_limit, put_termination_limit
from markopt.planning.statement import Statement


def needed_rps(statement: Statement) -> Array:
    """Return the required throughput of the expected demand, per interval: Q(E D)."""
    mass = statement.demand.p
    expected_q = (mass * statement.demand.q).sum(axis=0)
    return statement.tree.by_interval(expected_q)


@dataclass(frozen=True)
class MakeBeforeBreak:
    """A termination may not open a gap: E C >= what serves now, or what is needed if that is less.

    What serves now are the ready instances without notice at their expected share; what is needed
    is the expected required throughput.
    """

    DOMINANCE_HOLDS: ClassVar[bool] = True

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per cell."""
        fleet, statement = assembly.fleet, assembly.statement
        at = assembly.tree.interval
        worth = fleet.mu[:, None] * statement.expected_available
        serves = (worth * fleet.ready[:, None]).sum(axis=0)
        kept = np.minimum(serves, needed_rps(statement)[at])
        rows = assembly.cell_rows("make_before_break", lower=kept)
        assembly.put_ready(rows, worth)


@dataclass(frozen=True)
class Diversification:
    """No spot pool holds more than ``largest_share`` of the expected required throughput.

    One instance of a pool is always allowed.

    Raises:
        ConfigError: the share lies outside (0, 1].
    """

    largest_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.largest_share <= 1.0:
            raise ConfigError(
                f"planner.terms.*.largest_share: must lie in (0, 1], got {self.largest_share}"
            )

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per spot pool and cell."""
        fleet = assembly.fleet
        needed = needed_rps(assembly.statement)[assembly.tree.interval]
        for pool, inside in spot_pools(assembly.statement).items():
            most = np.maximum(self.largest_share * needed, float(fleet.mu[inside].min()))
            rows = assembly.cell_rows(f"share of {pool}", upper=most)
            for k in inside:
                assembly.builder.put(rows, assembly.ready[k], float(fleet.mu[k]))


def spot_pools(statement: Statement) -> dict[str, list[int]]:
    """Return the offers of every pool that can be interrupted, by number."""
    found: dict[str, list[int]] = {}
    for k, offer in enumerate(statement.offers):
        if not offer.purchase.lasting:
            found.setdefault(offer.pool, []).append(k)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class LargestChange:
    """At most so many launches and terminations per interval; None: without a limit."""

    DOMINANCE_HOLDS: ClassVar[bool] = True

    launches: int | None = None
    terminations: int | None = None

    def __post_init__(self) -> None:
        for key in ("launches", "terminations"):
            value = getattr(self, key)
            if value is not None and value < 0:
                raise ConfigError(f"planner.terms.*.{key}: must not be negative, got {value}")

    def add_rows(self, assembly: Assembly) -> None:
        """Add a row per cell for each limit."""
        if self.launches is not None:
            put_launch_limit(assembly, float(self.launches))
        if self.terminations is not None:
            put_termination_limit(assembly, float(self.terminations))


@dataclass(frozen=True)
class BudgetCap:
    """The expected bill of the window is at most ``usd_per_h`` times its length.

    The bill is what is paid: ready and booting time, spilled requests at their own price (without
    ``spill_weight``), warm environments. What is committed and exceeds the cap cannot be avoided:
    beyond it a slack costs ``OVERRUN_USD`` per USD.

    Raises:
        ConfigError: the cap is not positive.
    """

    DOMINANCE_HOLDS: ClassVar[bool] = True

    usd_per_h: float
    OVERRUN_USD = 1000.0

    def __post_init__(self) -> None:
        if not self.usd_per_h > 0.0:
            raise ConfigError(f"planner.terms.*.usd_per_h: must be positive, got {self.usd_per_h}")

    def add_rows(self, assembly: Assembly) -> None:
        """Add the row and its slack."""
        problem = assembly.statement.problem
        hours = problem.horizon * problem.interval_s / 3600.0
        left = self.usd_per_h * hours - assembly.fleet.committed_usd
        over = assembly.builder.add_columns("overrun", (1,), cost=self.OVERRUN_USD)
        row = assembly.builder.add_rows("budget_cap", 1, upper=left)
        assembly.builder.put(row, over, -1.0)
        assembly.soft.append((row, int(over[0])))
        fleet = assembly.fleet
        weight = assembly.tree.probability[None, :]
        billed = (fleet.c + fleet.relaunch)[:, None] * weight
        assembly.builder.put(row, assembly.ready, billed)
        assembly.builder.put(row, assembly.launch, billed * fleet.d[:, None])
        spill_usd = paid_spill_usd(assembly) * assembly.states.probability[:, None]
        assembly.builder.put(row, assembly.spill, spill_usd)
        if assembly.warm is not None:
            warm_usd = assembly.own.warm_usd * assembly.tree.probability
            assembly.builder.put(row, assembly.warm, warm_usd)


def paid_spill_usd(assembly: Assembly) -> float:
    """Return what a spilled request per second costs over an interval, as it is billed."""
    return assembly.statement.paid_spill_usd * assembly.interval_s


@dataclass(frozen=True)
class BillCvar:
    """Add ``weight`` times the mean bill of the dearest 1 - ``level`` of the scenarios to the cost.

    A scenario's bill is its path's fleet bill and its spill at the expected available shares, as
    it is paid (Rockafellar and Uryasev 2000).

    Raises:
        ConfigError: a value is out of range.
    """

    DOMINANCE_HOLDS: ClassVar[bool] = True

    level: float = 0.95
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.level < 1.0:
            raise ConfigError(f"planner.terms.*.level: must lie in [0, 1), got {self.level}")
        if not self.weight >= 0.0:
            raise ConfigError(f"planner.terms.*.weight: must not be negative, got {self.weight}")

    def add_rows(self, assembly: Assembly) -> None:
        """Add a spill per scenario and interval, its bill, and the tail."""
        statement, builder, tree = assembly.statement, assembly.builder, assembly.tree
        q, slope = statement.by_scenario
        count, horizon = q.shape
        cells = tree.cell_of[tree.leaf_of]  # (scenarios, horizon)
        spill = builder.add_columns("scenario_spill", (count, horizon))
        first = builder.add_rows("scenario_spill", count * horizon, lower=(slope * q).ravel())
        rows = first + np.arange(count * horizon).reshape(count, horizon)
        builder.put(rows, spill, 1.0)
        for state, mass in enumerate(statement.states.probability.tolist()):
            builder.put(rows, assembly.capacity[state, cells], slope * mass)
        p = np.asarray(statement.problem.forecast.probabilities)
        tail_usd = self.weight * p / (1.0 - self.level)
        tail = builder.add_columns("tail", (count,), cost=tail_usd)
        value = builder.add_columns("value_at_risk", (1,), cost=self.weight, lower=-np.inf)
        own = builder.add_rows("bill", count, lower=0.0) + np.arange(count)
        builder.put(own, tail, 1.0)
        builder.put(own, value[0], 1.0)
        builder.put(own[:, None], spill, -paid_spill_usd(assembly))
        fleet = assembly.fleet
        billed = fleet.c + fleet.relaunch
        for t in range(horizon):
            builder.put(own[:, None], assembly.ready[:, cells[:, t]].T, -billed[None, :])
            booted = -(billed * fleet.d)[None, :]
            builder.put(own[:, None], assembly.launch[:, cells[:, t]].T, booted)
