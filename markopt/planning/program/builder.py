"""From a statement to the model that HiGHS solves, and back from columns to what they mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.assembly import Assembly
from markopt.planning.program.blocks import (
    AccountLimits,
    Block,
    Capacity,
    ChanceOverPaths,
    ChancePerInterval,
    ExpectedSpill,
    FleetBalance,
    Retention,
    ServiceLevel,
    WarmFunctions,
)
from markopt.planning.program.model import SparseModel
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BuiltProgram:
    """The model, and where its columns lie: ``launch[k,c]``, ``ready[k,c]``, ``warm[c]``...

    ``warm`` is None where it is no choice: all environments are free, or none makes a difference.
    """

    model: SparseModel
    statement: Statement
    launch: Indices
    ready: Indices
    capacity: Indices
    spill: Indices
    excess: Indices | None
    warm: Indices | None
    slack: Indices
    penalty_usd: float

    @property
    def middle(self) -> Indices:
        """The cells of one leaf, by interval: all of them where nothing branches."""
        cells = self.statement.tree.cell_of
        return np.asarray(cells[len(cells) // 2], dtype=np.int64)

    def capacity_rps(self, values: Array) -> Array:
        """Return C of a solution, (states, cells)."""
        fleet = self.statement.fleet
        capacity = np.einsum("k,mkc,kc->mc", fleet.mu, self.statement.available, values[self.ready])
        capacity[:, 0] += fleet.noticed_rps
        return np.asarray(capacity, dtype=np.float64)

    def expected_capacity_rps(self, values: Array) -> Array:
        """Return E C of a solution, (cells,)."""
        probability = self.statement.states.probability
        return np.asarray(probability @ self.capacity_rps(values), dtype=np.float64)

    def warm_environments(self, values: Array) -> Array:
        """Return w of a solution, (cells,)."""
        own = self.statement.own
        if self.warm is None:
            at_hand = own.warm_limit if own.warm_usd == 0.0 else 0
            return np.full(self.ready.shape[1], float(at_hand))
        return np.asarray(values[self.warm], dtype=np.float64)

    def exact_usd(self, values: Array, modeled_usd: float) -> float:
        """Return the expected cost with every scenario instead of the cuts.

        What the cuts hide of the misses is paid for too, where it exceeds the budget.
        """
        own, demand, budget = self.statement.own, self.statement.demand, self.statement.budget
        capacity = self.capacity_rps(values)
        warm_rps = own.warm_rps * self.warm_environments(values)
        weight = self.statement.states.probability * self.statement.problem.interval_s
        spill = np.array([demand.expected_spill_rps(c) for c in capacity])
        missing = own.spill_usd * float(weight @ (spill - values[self.spill]).sum(axis=1))
        misses = own.spill_misses * (weight @ spill)
        if self.excess is not None:
            excess = np.array([demand.expected_excess_rps(c, warm_rps) for c in capacity])
            missing += own.excess_usd * float(weight @ (excess - values[self.excess]).sum(axis=1))
            misses += own.excess_misses * (weight @ excess)
        window_of = budget.window_of[self.statement.tree.interval]
        total = np.bincount(window_of, misses, minlength=len(budget.allowed))
        over = np.maximum(total - budget.allowed, 0.0) - values[self.slack]
        return modeled_usd + missing + self.penalty_usd * float(np.maximum(over, 0.0).sum())


def build_program(statement: Statement, cut_count: int) -> BuiltProgram:
    """Return the program of DESIGN section 5 for one decision; docs/formulation.md has it whole."""
    assembly = Assembly(statement)
    blocks: list[Block] = [
        FleetBalance(),
        Capacity(),
        ExpectedSpill(cut_count),
        WarmFunctions(cut_count),
        ServiceLevel(),
        ChancePerInterval(),
        ChanceOverPaths(),
        AccountLimits(),
        Retention(),
        *statement.settings.terms.values(),
    ]
    for block in blocks:
        block.add_rows(assembly)
    return BuiltProgram(
        model=assembly.builder.build(statement.fleet.committed_usd),
        statement=statement,
        launch=assembly.launch,
        ready=assembly.ready,
        capacity=assembly.capacity,
        spill=assembly.spill,
        excess=assembly.excess,
        warm=assembly.warm,
        slack=assembly.slack,
        penalty_usd=assembly.penalty_usd,
    )
