"""The linear relaxation inside HiGHS: cuts and rows join where a solution needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    one's then. ``joined``: excess costs so many spills, and both are one shortage with cuts of its
    own, half as many; no row may speak of excess then, and ``overspent`` says that one would have
    to: a budget of misses. Answers always have the values of all of the program's columns.

    Raises:
        SolverFailed: HiGHS does not accept the model.
    """

    def __init__(
        self,
        built: BuiltProgram,
        stands_for: Indices,
        options: SolverOptions,
        scale: float,
        *,
        joined: bool = False,
    ) -> None:
        model, states = built.model, np.arange(len(stands_for))
        self.built, self._stands_for = built, stands_for
        self.joined = joined and can_join(built)
        self.overspent = False
        self._limits = SleepingLimits.of(model)
        self._asleep = np.repeat((stands_for != states)[:, None], built.spill.shape[1], axis=1)
        first = model.rows_of("capacity")[0]
        self._capacity_row = first + np.arange(built.capacity.size).reshape(built.capacity.shape)
        awake = np.ones(len(model.row_lower), dtype=bool)
        awake[self._limits.rows] = False
        awake[self._capacity_row[self._asleep]] = False
        self._cost = model.cost.copy()
        if self.joined:
            awake[model.rows_of("excess_cut")] = False
            self._cost[built.excess] = 0.0
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
        hidden = spill - values[built.spill]
        if self.joined and excess is not None:
            hidden = hidden + own.excess_usd / own.spill_usd * excess
        short = hidden * weight * usd > least
        beyond_short = np.zeros_like(short)
        if excess is not None and not self.joined:
            usd = own.excess_usd + own.excess_misses * built.penalty_usd
            beyond_short = (excess - values[built.excess]) * weight * usd > least
        waking = self._asleep & (short | beyond_short)
        if not short.any() and not beyond_short.any():
            # What is hidden lies in a row that those asleep, or joined, have no part in.
            self.overspent = self.joined
            waking = self._asleep.copy()
        self._wake(waking)
        added = self._cut(number, beyond, short | waking, beyond_short | waking)
        return added or limits or bool(waking.any())

    def cut_at(self, capacity: Array, warm_rps: Array) -> None:
        """Add the cuts that are exact at these capacities, (states, cells), and warm functions.

        States wake where they have less than those that stand for them.
        """
        built = self.built
        apart = capacity[self._stands_for] - capacity > 1e-9 * np.maximum(capacity, 1.0)
        self._wake(self._asleep & apart)
        number = beyond = built.shortage.spill(capacity)[1]
        if built.excess is not None:
            beyond = built.shortage.excess(capacity, warm_rps)[1]
        self._cut(number, beyond, ~self._asleep, ~self._asleep)

    def _shortages(self) -> list[Indices]:
        """The columns of shortages that cost something, (states, cells) each."""
        if self.built.excess is None or self.joined:
            return [self.built.spill]
        return [self.built.spill, self.built.excess]

    def _summed(self, columns: Indices, usd: Array) -> Array:
        """Costs by column, those of one column added up."""
        return np.asarray(np.bincount(columns, usd, len(self._cost)), dtype=np.float64)

    def _standing(self, short: Indices) -> Indices:
        """The columns that stand for those asleep."""
        return np.asarray(short[self._stands_for][self._asleep], dtype=np.int64)

    def _filled(self, answer: SolverAnswer) -> SolverAnswer:
        """Return the answer with the values of what sleeps."""
        if answer.values is None:
            return answer
        values = answer.values.copy()
        if self.joined:
            values[self.built.excess] = 0.0
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

    def _cut(self, number: Indices, beyond: Indices, short: Flags, beyond_short: Flags) -> bool:
        """Add the lines at which so many scenarios spill, and exceed the warm functions."""
        built, own = self.built, self.built.statement.own
        if built.excess is None:
            return self._add(built.spill, short, [_Line(1.0, number, warm=False)])
        if self.joined:
            both = [
                _Line(1.0, number, warm=False),
                _Line(own.excess_usd / own.spill_usd, beyond, warm=True),
            ]
            return self._add(built.spill, short, both)
        added = self._add(built.spill, short, [_Line(1.0, number, warm=False)])
        return self._add(built.excess, beyond_short, [_Line(1.0, beyond, warm=True)]) or added

    def _add(self, short: Indices, wanted: Flags, lines: Sequence[_Line]) -> bool:
        """Bound shortages by sums of lines; False: no scenario is short anywhere."""
        built, own, shortage = self.built, self.built.statement.own, self.built.shortage
        some = np.logical_or.reduce([line.number > 0 for line in lines])
        state, cell = np.nonzero(wanted & some)
        if not len(cell):
            return False
        level, slope, mass = np.zeros((3, len(cell)))
        for line in lines:
            at = line.number[state, cell]
            level += line.weight * shortage.level[at, cell]
            slope += line.weight * shortage.slope[at, cell]
            if line.warm:
                mass += line.weight * own.warm_rps * shortage.mass[at, cell]
        columns = [short[state, cell], built.capacity[state, cell]]
        values = [np.ones(len(cell)), slope]
        if built.warm is None:
            level -= mass * own.warm_limit
        elif any(line.warm for line in lines):
            columns.append(built.warm[cell])
            values.append(mass)
        self.session.add_rows(
            level,
            np.arange(len(cell)) * len(columns),
            np.stack(columns, axis=1).ravel(),
            np.stack(values, axis=1).ravel(),
        )
        return True


@dataclass(frozen=True, eq=False)
class _Line:
    """The line of ``number`` scenarios, (states, cells), times ``weight``; of excess: ``warm``."""

    weight: float
    number: Indices
    warm: bool


def can_join(built: BuiltProgram) -> bool:
    """Return whether excess is no more than dearer spill, as long as budgets of misses last.

    A spill must cost something to count the excess in, and no term or budget may speak of spills.
    """
    own = built.statement.own
    priced = own.spill_usd > 0.0 and own.spill_misses == 0.0
    return built.excess is not None and priced and not built.statement.settings.terms
