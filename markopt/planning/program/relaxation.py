"""The linear relaxation inside HiGHS: cuts and rows join where a solution needs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.builder import BuiltProgram
from markopt.planning.program.sleeping import SleepingLimits
from markopt.planning.program.solver import Session, SolverAnswer, SolverOptions

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Relaxation:
    """A built program without integrality, tightened where its solutions ask for it.

    Cuts are those that the last solution violates (multi-cut L-shaped method, Van Slyke and Wets
    1969; Birge and Louveaux 1988): a cut per pool state and cell. A pool state sleeps in a cell
    while the one that stands for it (``stands_for[m]``) costs as much: its shortages are that
    one's then. Answers always have the values of all of the program's columns.

    Raises:
        SolverFailed: HiGHS does not accept the model.
    """

    def __init__(
        self, built: BuiltProgram, stands_for: Indices, options: SolverOptions, scale: float
    ) -> None:
        model, states = built.model, np.arange(len(stands_for))
        self.built, self._stands_for = built, stands_for
        self._limits = SleepingLimits.of(model)
        self._asleep = np.repeat((stands_for != states)[:, None], built.spill.shape[1], axis=1)
        first = next(first for name, first, _ in model.row_blocks if name == "capacity")
        self._capacity_row = first + np.arange(built.capacity.size).reshape(built.capacity.shape)
        awake = np.ones(len(model.row_lower), dtype=bool)
        awake[self._limits.rows] = False
        awake[self._capacity_row[self._asleep]] = False
        self._cost = model.cost.copy()
        for short in self._shortages():
            self._cost[short[self._asleep]] = 0.0
            self._cost += self._summed(self._standing(short), model.cost[short[self._asleep]])
        rows = np.flatnonzero(awake)
        self.session = Session(model, options, scale, awake=rows, cost=self._cost)

    def solved(self) -> SolverAnswer:
        """Solve as it is."""
        return self._filled(self.session.relaxed())

    def fixed(self, columns: Indices, values: Array) -> SolverAnswer:
        """Solve with some columns fixed, within all limits."""
        while True:
            answer = self._filled(self.session.fixed(columns, values))
            if answer.values is None or not self.session.wake(self._limits.broken(answer.values)):
                return answer

    def whole(self, share: float) -> SolverAnswer:
        """Solve with integrality, within all limits, to this share of the relative gap."""
        self.session.wake(self._limits.rows)
        return self._filled(self.session.whole(share))

    def breaks_limits(self, values: Array) -> bool:
        """Return whether a limit that sleeps is broken."""
        return bool(len(self._limits.broken(values)))

    def tighten(self, values: Array, tolerance_usd: float) -> bool:
        """Add what ``values`` break; False: no limit, and no more than ``tolerance_usd`` is hidden.

        ``values`` are those of an answer.
        """
        built, own = self.built, self.built.statement.own
        limits = self.session.wake(self._limits.broken(values))
        capacity = built.capacity_rps(values)
        spill, number = built.shortage.spill(capacity)
        excess, beyond = None, number
        if built.excess is not None:
            warm_rps = own.warm_rps * built.warm_environments(values)
            excess, beyond = built.shortage.excess(capacity, warm_rps)
        model_usd = float(built.model.cost @ values) + built.model.offset
        if built.cost_usd(values, spill, excess) - model_usd <= tolerance_usd:
            return limits
        weight = built.statement.states.probability[:, None] * built.statement.problem.interval_s
        least = 0.05 * tolerance_usd / capacity.size
        # Misses are free while the budget lasts; where it does not, only its price finds the cuts.
        usd = own.spill_usd + own.spill_misses * built.penalty_usd
        short = (spill - values[built.spill]) * weight * usd > least
        beyond_short = np.zeros_like(short)
        if excess is not None:
            usd = own.excess_usd + own.excess_misses * built.penalty_usd
            beyond_short = (excess - values[built.excess]) * weight * usd > least
        waking = self._asleep & (short | beyond_short)
        if not short.any() and not beyond_short.any():
            waking = self._asleep.copy()  # what is hidden lies in a row that they have no part in
        self._wake(waking)
        added = self._add(built.spill, number, short | waking, warm=False)
        if built.excess is not None:
            added |= self._add(built.excess, beyond, beyond_short | waking, warm=True)
        return added or limits or bool(waking.any())

    def cut_at(self, capacity: Array, warm_rps: Array) -> None:
        """Add the cuts that are exact at these capacities, (states, cells), and warm functions.

        States wake where they have less than those that stand for them.
        """
        built = self.built
        apart = capacity[self._stands_for] - capacity > 1e-9 * np.maximum(capacity, 1.0)
        self._wake(self._asleep & apart)
        wanted = ~self._asleep
        self._add(built.spill, built.shortage.spill(capacity)[1], wanted, warm=False)
        if built.excess is not None:
            number = built.shortage.excess(capacity, warm_rps)[1]
            self._add(built.excess, number, wanted, warm=True)

    def _shortages(self) -> list[Indices]:
        """The columns of shortages, (states, cells) each."""
        return [each for each in (self.built.spill, self.built.excess) if each is not None]

    def _summed(self, columns: Indices, usd: Array) -> Array:
        """Costs by column, those of one column added up."""
        return np.asarray(np.bincount(columns, usd, len(self._cost)), dtype=np.float64)

    def _standing(self, short: Indices) -> Indices:
        """The columns that stand for those asleep."""
        return np.asarray(short[self._stands_for][self._asleep], dtype=np.int64)

    def _filled(self, answer: SolverAnswer) -> SolverAnswer:
        """Return the answer with the values of what sleeps."""
        if answer.values is None or not self._asleep.any():
            return answer
        values = answer.values.copy()
        for short in self._shortages():
            values[short[self._asleep]] = values[self._standing(short)]
        values[self.built.capacity] = self.built.capacity_rps(values)
        return replace(answer, values=values)

    def _wake(self, waking: Flags) -> None:
        """Give these states their own shortages in these cells."""
        if not waking.any():
            return
        changed = []
        for short in self._shortages():
            own, standing = short[waking], short[self._stands_for][waking]
            usd = self.built.model.cost[own]
            self._cost[own] = usd
            self._cost -= self._summed(standing, usd)
            changed += [own, np.unique(standing)]
        self._asleep &= ~waking
        columns = np.concatenate(changed)
        self.session.change_costs(columns, self._cost[columns])
        self.session.wake(self._capacity_row[waking])

    def _add(self, short: Indices, number: Indices, wanted: Flags, *, warm: bool) -> bool:
        """Add the lines of so many scenarios; False: none has any."""
        built, own, shortage = self.built, self.built.statement.own, self.built.shortage
        state, cell = np.nonzero(wanted & (number > 0))
        if not len(cell):
            return False
        at = number[state, cell]
        level, slope = shortage.level[at, cell], shortage.slope[at, cell]
        columns = [short[state, cell], built.capacity[state, cell]]
        values = [np.ones(len(cell)), slope]
        if warm:
            mass = shortage.mass[at, cell]
            if built.warm is None:
                level = level - mass * own.warm_limit * own.warm_rps
            else:
                columns.append(built.warm[cell])
                values.append(mass * own.warm_rps)
        self.session.add_rows(
            level,
            np.arange(len(cell)) * len(columns),
            np.stack(columns, axis=1).ravel(),
            np.stack(values, axis=1).ravel(),
        )
        return True
