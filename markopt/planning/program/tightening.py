"""Cuts where a solution needs them: the exact lines of spill and excess at its own capacity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.builder import BuiltProgram
from markopt.planning.program.solver import Session

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Tightening:
    """Adds to a session the cuts that its last solution violates (multi-cut L-shaped method).

    Van Slyke and Wets 1969; Birge and Louveaux 1988: a cut per pool state and cell.
    """

    def __init__(self, built: BuiltProgram, session: Session) -> None:
        demand = built.statement.demand
        self._built, self._session = built, session
        weight = demand.p * demand.slope
        self._level = np.cumsum(weight * demand.q, axis=0)
        self._slope = np.cumsum(weight, axis=0)
        self._mass = np.cumsum(demand.p, axis=0)

    def tighten(self, values: Array, tolerance_usd: float) -> bool:
        """Add what ``values`` violate by more than ``tolerance_usd`` in all; False: nothing."""
        built = self._built
        own, seconds = built.statement.own, built.statement.problem.interval_s
        weight = built.statement.states.probability[:, None] * seconds
        capacity = built.capacity_rps(values)
        warm_rps = own.warm_rps * built.warm_environments(values)
        spill_usd = own.spill_usd + own.spill_misses * built.penalty_usd
        spill, number = self._spill(capacity)
        short = np.maximum(spill - values[built.spill], 0.0) * weight * spill_usd
        total = float(short.sum())
        excess_short = np.zeros_like(short)
        beyond = number
        if built.excess is not None:
            excess_usd = own.excess_usd + own.excess_misses * built.penalty_usd
            excess, beyond = self._excess(capacity, warm_rps)
            excess_short = np.maximum(excess - values[built.excess], 0.0) * weight * excess_usd
            total += float(excess_short.sum())
        if total <= tolerance_usd:
            return False
        least = 0.05 * tolerance_usd / short.size
        self._add(built.spill, number, short > least, warm_rps=None)
        if built.excess is not None:
            self._add(built.excess, beyond, excess_short > least, warm_rps=warm_rps)
        return True

    def cut_at(self, capacity: Array, warm_rps: Array) -> None:
        """Add the cuts that are exact at these capacities, (states, cells), and warm functions."""
        everywhere = np.ones(capacity.shape, dtype=bool)
        _, number = self._spill(capacity)
        self._add(self._built.spill, number, everywhere, warm_rps=None)
        if self._built.excess is not None:
            _, beyond = self._excess(capacity, warm_rps)
            self._add(self._built.excess, beyond, everywhere, warm_rps=warm_rps)

    def _spill(self, capacity: Array) -> tuple[Array, Indices]:
        """Return exact expected spill, (states, cells), and how many scenarios are short."""
        q = self._built.statement.demand.q
        number = (q[None] > capacity[:, None, :]).sum(axis=1)
        return self._value(number, capacity), number

    def _excess(self, capacity: Array, warm_rps: Array) -> tuple[Array, Indices]:
        demand = self._built.statement.demand
        spill = demand.slope[None] * (demand.q[None] - capacity[:, None, :])
        number = (spill > warm_rps[None, None, :]).sum(axis=1)
        value = self._value(number, capacity)
        return value - self._at(self._mass, number) * warm_rps[None, :], number

    def _value(self, number: Indices, capacity: Array) -> Array:
        return np.asarray(self._at(self._level, number) - self._at(self._slope, number) * capacity)

    def _at(self, table: Array, number: Indices) -> Array:
        """Return the table's sums over the ``number`` largest scenarios, 0 for none."""
        cells = np.arange(table.shape[1])[None, :]
        return np.where(number > 0, table[np.maximum(number - 1, 0), cells], 0.0)

    def _add(
        self, short: Indices, number: Indices, wanted: NDArray[np.bool_], *, warm_rps: Array | None
    ) -> None:
        built, own = self._built, self._built.statement.own
        chosen = wanted & (number > 0)
        state, cell = np.nonzero(chosen)
        if not len(cell):
            return
        at = number[state, cell] - 1
        level, slope = self._level[at, cell], self._slope[at, cell]
        columns = [short[state, cell], built.capacity[state, cell]]
        values = [np.ones(len(cell)), slope]
        if warm_rps is not None:
            mass = self._mass[at, cell]
            if built.warm is None:
                level = level - mass * own.warm_limit * own.warm_rps
            else:
                columns.append(built.warm[cell])
                values.append(mass * own.warm_rps)
        self._session.add_rows(
            level,
            np.arange(len(cell)) * len(columns),
            np.stack(columns, axis=1).ravel(),
            np.stack(values, axis=1).ravel(),
        )
