"""Rows that wait outside the linear program until a solution breaks them.

Of the limits hardly any binds, and most pool states differ from the calmest one only in pools that
a plan does not use. A row left out only relaxes the program, so what is proven without it is proven
with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from markopt.planning.program.model import SparseModel
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

LIMITS = ("stock", "pool")
"""First words of the names of the limits that sleep."""

TOLERANCE = 1e-7  # of a limit, as HiGHS's own


def calmer_states(statement: Statement) -> Indices:
    """Return for every pool state one that stands for it while it sleeps, or itself.

    A state sleeps behind one in which no offer ever serves less: then it spills no less. Where a
    promise, a budget of spills or a term speaks of every state, all are awake.
    """
    count = len(statement.states.probability)
    own = np.arange(count)
    spoken_of = statement.own.spill_misses > 0.0 or bool((statement.levels_rps > 0.0).any())
    if spoken_of or statement.spared_paths is not None or statement.settings.terms:
        return own
    shares = statement.states.available.reshape(count, -1)
    order = np.argsort(-shares.sum(axis=1), kind="stable")
    stands_for = own.copy()
    calm: list[int] = []
    for state in order.tolist():
        above = [other for other in calm if (shares[other] >= shares[state]).all()]
        if above:
            stands_for[state] = above[0]
        else:
            calm.append(state)
    return stands_for


@dataclass(frozen=True, eq=False)
class SleepingLimits:
    """The model's rows of limits that sleep: ``rows``, and their entries."""

    rows: Indices
    matrix: csr_array
    upper: Array

    @classmethod
    def of(cls, model: SparseModel) -> SleepingLimits:
        """Return them for a model."""
        spans = [
            np.arange(first, first + count)
            for name, first, count in model.row_blocks
            if name.split(" ")[0] in LIMITS
        ]
        rows = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)
        starts, columns, values = model.entries(rows)
        matrix = csr_array((values, columns, starts), shape=(len(rows), len(model.cost)))
        return cls(rows, matrix, model.row_upper[rows])

    def broken(self, values: Array) -> Indices:
        """Return the rows that a solution breaks."""
        over = self.matrix @ values - self.upper
        return self.rows[over > TOLERANCE * np.maximum(np.abs(self.upper), 1.0)]
