"""From a statement to the model that HiGHS solves, and back from columns to what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
from markopt.planning.program.shortage import Shortage
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BuiltProgram:
    """The model, and where its columns lie: ``launch[k,c]``, ``ready[k,c]``, ``warm[c]``...

    ``warm`` is None where it is no choice: all environments are free, or none makes a difference.
    ``soft`` pairs rows with an upper bound with the column that pays for what exceeds it.
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
    soft: tuple[tuple[int, int], ...]

    @cached_property
    def shortage(self) -> Shortage:
        """Exact expected shortages."""
        return Shortage(self.statement.demand)

    @property
    def middle(self) -> Indices:
        """The cells of one leaf, by interval: all of them where nothing branches."""
        cells = self.statement.tree.cell_of
        return np.asarray(cells[len(cells) // 2], dtype=np.int64)

    def capacity_rps(self, values: Array) -> Array:
        """Return C of a solution, (states, cells)."""
        return self.served_rps(values[self.ready])

    def served_rps(self, ready: Array) -> Array:
        """Return the throughput of ready instances, (offers, cells), by state and cell."""
        fleet = self.statement.fleet
        capacity = np.einsum("k,mkc,kc->mc", fleet.mu, self.statement.available, ready)
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

    def exact_usd(self, values: Array) -> float:
        """Return the expected cost with every scenario instead of the cuts.

        What the cuts hide is paid for in the soft rows too, misses beyond the budget among them.
        """
        capacity = self.capacity_rps(values)
        spill, _ = self.shortage.spill(capacity)
        excess = None
        if self.excess is not None:
            warm_rps = self.statement.own.warm_rps * self.warm_environments(values)
            excess, _ = self.shortage.excess(capacity, warm_rps)
        return self.cost_usd(values, spill, excess)

    def cost_usd(self, values: Array, spill: Array, excess: Array | None) -> float:
        """Return the expected cost with these shortages, (states, cells), instead of its own."""
        model, exact = self.model, values.copy()
        exact[self.spill] = spill
        if self.excess is not None:
            exact[self.excess] = excess
        for row, slack in self.soft:
            inside = slice(model.starts[row], model.starts[row + 1])
            used = model.values[inside] @ exact[model.columns[inside]] + exact[slack]
            exact[slack] = max(float(used - model.row_upper[row]), 0.0)
        return float(model.cost @ exact) + model.offset


def build_program(
    statement: Statement, cut_count: int, cut_states: Indices | None = None
) -> BuiltProgram:
    """Return the program of DESIGN section 5 for one decision; docs/formulation.md has it whole.

    Shortages have ``cut_count`` cuts per cell in the ``cut_states``, by default all.
    """
    assembly = Assembly(statement, cut_states)
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
        soft=tuple(assembly.soft),
    )
