"""Exact expected spill and excess in every pool state and cell, and the lines that touch there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.demand import DemandData

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Shortage:
    """Expected shortages as sums over the largest scenarios of a cell.

    With the j largest scenarios short, expected spill is level[j] - slope[j] C, and what of it lies
    beyond W requests/s of warm functions is that less mass[j] W. Row 0 of the tables is none.
    """

    def __init__(self, demand: DemandData) -> None:
        self.demand = demand
        self._cell = np.arange(demand.q.shape[1])[None, :]
        weight = demand.p * demand.slope
        self.level, self.slope, self.mass = (
            np.vstack([np.zeros((1, part.shape[1])), np.cumsum(part, axis=0)])
            for part in (weight * demand.q, weight, demand.p)
        )

    def spill(self, capacity_rps: Array) -> tuple[Array, Indices]:
        """Return expected spill, (states, cells), and how many scenarios are short.

        ``capacity_rps`` has shape (states, cells).
        """
        number = (self.demand.q[None] > capacity_rps[:, None, :]).sum(axis=1)
        return self._value(number, capacity_rps), number

    def excess(self, capacity_rps: Array, warm_rps: Array) -> tuple[Array, Indices]:
        """Return expected spill beyond ``warm_rps`` (cells,), and how many scenarios have some.

        The scenarios' order by spill is their order by demand, whatever the capacity is.
        """
        demand = self.demand
        beyond = demand.slope[None] * (demand.q[None] - capacity_rps[:, None, :])
        # At least 0: a solver's -1e-14 would count the scenarios that fill up a cell.
        number = (beyond > np.maximum(warm_rps, 0.0)[None, None, :]).sum(axis=1)
        value = self._value(number, capacity_rps) - self.mass[number, self._cell] * warm_rps
        return value, number

    def _value(self, number: Indices, capacity_rps: Array) -> Array:
        cell = self._cell
        return np.asarray(self.level[number, cell] - self.slope[number, cell] * capacity_rps)
