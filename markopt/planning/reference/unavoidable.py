"""Misses that no plan can avoid any more: what may still be ready decides, not what it costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement import Statement


def unavoidable_misses(statement: Statement) -> NDArray[np.float64]:
    """Return expected misses per cell at the largest capacity that can exist in it.

    Before a launch of now is ready that is what runs; after, as many as there are to be had.
    """
    fleet, tree, own = statement.fleet, statement.tree, statement.own
    found = np.zeros(tree.cells)
    if own.spill_misses == 0.0:
        return found
    for state, probability in enumerate(statement.states.probability.tolist()):
        for cell in range(tree.cells):
            t = int(tree.interval[cell])
            capacity = fleet.noticed_rps if t == 0 else 0.0
            for k in range(len(fleet.offers)):
                share = float(statement.available[state, k, cell])
                count = float(fleet.ready[k] + fleet.arriving[k, : t + 1].sum())
                if t >= fleet.d[k]:
                    existing = float(fleet.ready[k] + fleet.arriving[k].sum())
                    count = max(float(fleet.stock[k]), existing)
                if share > 0.0 and count > 0.0:
                    capacity += float(fleet.mu[k]) * share * count
            if capacity < statement.demand.q[:, cell].max():
                spill = statement.demand.slope[:, cell] * np.maximum(
                    statement.demand.q[:, cell] - capacity, 0.0
                )
                weight = statement.problem.interval_s * probability * own.spill_misses
                found[cell] += weight * float(statement.demand.p[:, cell] @ spill)
    return found
