"""What a risk measure asks of every pool state and cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.demand import DemandData
from markopt.planning.statement.risk import Risk, spared
from markopt.planning.statement.states import PoolStates
from markopt.planning.statement.tree import ScenarioTree

Array = NDArray[np.float64]


def promised_levels(
    risk: Risk, tree: ScenarioTree, states: PoolStates, demand: DemandData
) -> tuple[Array, int | None]:
    """Return the promised throughput by state and cell, and how many paths may be broken.

    States are kept until those left out make up half of the violations that are allowed; the
    promise then holds in every kept one with what is left. So it is kept in all, by more.
    The number of paths is None but for a sample-average promise over the whole window; its levels
    are what all but so many paths need.
    """
    levels = np.full((len(states.probability), tree.cells), -np.inf)
    if not risk.promises:
        return levels, None
    over_paths = risk.joint and risk.measure == "saa"
    share = risk.violation_share
    if risk.joint and not over_paths:
        share /= int(tree.interval[-1]) + 1
    kept, lost = states.kept(0.5 * share)
    rest = (share - lost) / max(1.0 - lost, 1e-12)
    broken = max(spared(len(tree.leaf_of), rest, risk.confidence), 0) if over_paths else None
    for cell in range(tree.cells):
        real = demand.p[:, cell] > 0.0
        q = demand.q[real, cell]
        if broken is not None:
            levels[kept, cell] = q[broken] if len(q) > broken else -np.inf
        else:
            p = demand.p[real, cell] / tree.probability[cell]
            levels[kept, cell] = risk.level(q, p, rest)
    return levels, broken
