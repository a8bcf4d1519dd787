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
        self._built, self._session = built, session

    def tighten(self, values: Array, tolerance_usd: float) -> bool:
        """Add what ``values`` violate if that hides more than ``tolerance_usd``; False: nothing."""
        built = self._built
        model_usd = float(built.model.cost @ values) + built.model.offset
        hidden_usd = built.exact_usd(values) - model_usd
        if hidden_usd <= tolerance_usd:
            return False
        own, seconds = built.statement.own, built.statement.problem.interval_s
        weight = built.statement.states.probability[:, None] * seconds
        capacity = built.capacity_rps(values)
        # Misses are free while the budget lasts; where it does not, only its price finds the cuts.
        usd = own.spill_usd + own.spill_misses * built.penalty_usd
        spill, number = built.shortage.spill(capacity)
        short = np.maximum(spill - values[built.spill], 0.0) * weight * usd
        least = 0.05 * tolerance_usd / short.size
        self._add(built.spill, number, short > least, warm_rps=None)
        if built.excess is not None:
            warm_rps = own.warm_rps * built.warm_environments(values)
            usd = own.excess_usd + own.excess_misses * built.penalty_usd
            excess, number = built.shortage.excess(capacity, warm_rps)
            short = np.maximum(excess - values[built.excess], 0.0) * weight * usd
            self._add(built.excess, number, short > least, warm_rps=warm_rps)
        return True

    def cut_at(self, capacity: Array, warm_rps: Array) -> None:
        """Add the cuts that are exact at these capacities, (states, cells), and warm functions."""
        built, everywhere = self._built, np.ones(capacity.shape, dtype=bool)
        _, number = built.shortage.spill(capacity)
        self._add(built.spill, number, everywhere, warm_rps=None)
        if built.excess is not None:
            _, number = built.shortage.excess(capacity, warm_rps)
            self._add(built.excess, number, everywhere, warm_rps=warm_rps)

    def _add(
        self, short: Indices, number: Indices, wanted: NDArray[np.bool_], *, warm_rps: Array | None
    ) -> None:
        built, own = self._built, self._built.statement.own
        chosen = wanted & (number > 0)
        state, cell = np.nonzero(chosen)
        if not len(cell):
            return
        at, shortage = number[state, cell], built.shortage
        level, slope = shortage.level[at, cell], shortage.slope[at, cell]
        columns = [short[state, cell], built.capacity[state, cell]]
        values = [np.ones(len(cell)), slope]
        if warm_rps is not None:
            mass = shortage.mass[at, cell]
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
