"""The largest throughput that can exist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.fleet import FleetData
from markopt.planning.statement.states import PoolStates

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
