"""Expected shortage as linear cuts over sorted demand scenarios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.demand import DemandData

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cuts:
    """Cuts ``spill_t >= level - slope.C_t`` and ``excess_t >= level - slope.C_t - weight.W_t``.

    ``interval`` says which cell each belongs to; C is capacity and W warm function throughput.
    """

    interval: NDArray[np.int64]
    level: Array
    slope: Array
    weight: Array


def spill_cuts(demand: DemandData, cut_count: int, capacity_limit_rps: Array) -> Cuts:
    """Return at most ``cut_count`` cuts per cell, a lower (outer) bound on expected spill.

    The cut of the j largest scenarios is the exact line while capacity lies between the j-th and
    the next demand; all S of them give the exact function. Leaving lines out merges the scenarios
    between two kept ones into their mean, which by Jensen's inequality never raises the function:
    a bound that is proven with it stays valid. Lines are kept where they bend most, p.slope times
    the distance to the next demand, and none that only matter beyond ``capacity_limit_rps[t]``.
    """
    q, weight = demand.q, demand.p * demand.slope
    level = np.cumsum(weight * q, axis=0)
    slope = np.cumsum(weight, axis=0)
    mass = np.cumsum(demand.p, axis=0)
    following = np.vstack([q[1:], np.zeros((1, q.shape[1]))])
    # A line is active where following <= C < q; capacity cannot lie beyond its limit.
    in_reach = following < np.maximum(capacity_limit_rps, np.finfo(np.float64).tiny)[None, :]
    active = (q > following) & in_reach
    # Two neighbours bend by the weight between them, over the width of the demands beside them.
    bend = np.sqrt(np.where(active, weight * (q - following), 0.0))
    last = len(q) - 1 - np.argmax(active[::-1], axis=0)
    bend[last, np.arange(q.shape[1])] = 0.0
    total = np.maximum(bend.sum(axis=0), 1e-300)
    group = np.floor(np.cumsum(bend, axis=0) / total * (cut_count - 1) - 1e-9)
    before = np.vstack([np.full((1, q.shape[1]), -1.0), group[:-1]])
    few = active.sum(axis=0) <= cut_count
    keep = active & ((group > before) | few[None, :])
    keep[last, np.arange(q.shape[1])] = active[last, np.arange(q.shape[1])]
    interval, row = np.nonzero(keep.T)
    return Cuts(interval, level[row, interval], slope[row, interval], mass[row, interval])


def excess_cuts(demand: DemandData, cut_count: int, warm_limit_rps: float) -> Cuts:
    """Return the cuts of E(spill - W)+, where some scenario may exceed ``warm_limit_rps``.

    The scenarios' order by spill is their order by demand whatever C is, so the same subsets serve.
    Warm throughput moves the bend to any scenario, so no line is left out for the sake of C.
    """
    cuts = spill_cuts(demand, cut_count, np.full(demand.q.shape[1], np.inf))
    matters = demand.demand.max(axis=0)[cuts.interval] > warm_limit_rps
    return Cuts(
        cuts.interval[matters], cuts.level[matters], cuts.slope[matters], cuts.weight[matters]
    )
