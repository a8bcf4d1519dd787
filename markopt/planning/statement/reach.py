"""The largest throughput that can exist, and the misses that not even it prevents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.demand import DemandData
from markopt.planning.statement.fleet import FleetData
from markopt.planning.statement.states import PoolStates
from markopt.planning.statement.tree import ScenarioTree

Array = NDArray[np.float64]

UNLIMITED = 1e12  # instances of an offer without a stock limit


def capacity_in_reach(fleet: FleetData, states: PoolStates, horizon: int) -> Array:
    """Return throughput by state and interval, (states, horizon).

    Before a launch of now is ready what runs serves, after it as many as there are to be had.
    """
    arrived = fleet.ready[:, None] + np.cumsum(fleet.arriving, axis=1)
    most = np.maximum(np.minimum(fleet.stock, UNLIMITED), arrived[:, -1])
    in_reach = np.arange(horizon)[None, :] >= fleet.d[:, None]
    count = fleet.mu[:, None] * np.where(in_reach, most[:, None], arrived)
    shares = states.available
    if shares.shape[2] == 1:
        capacity = shares[:, :, 0] @ count
    else:
        capacity = np.einsum("mkt,kt->mt", shares, count)
    capacity[:, 0] += fleet.noticed_rps
    return np.asarray(capacity, dtype=np.float64)


def unavoidable_spill_rps(
    fleet: FleetData, states: PoolStates, tree: ScenarioTree, demand: DemandData
) -> Array:
    """Return the expected spill of every cell at the largest capacity in reach."""
    reach = capacity_in_reach(fleet, states, int(tree.interval[-1]) + 1)[:, tree.interval]
    spill = np.array([demand.expected_spill_rps(capacity) for capacity in reach])
    return np.asarray(states.probability @ spill, dtype=np.float64)
