"""What can be had at all: the most instances of any use, and the throughput in reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement.fleet import FleetData
from markopt.planning.statement.tree import ScenarioTree

Array = NDArray[np.float64]


def most_ready(fleet: FleetData, available: Array, asked_rps: float) -> Array:
    """Return the most ready instances of any use, (offers,): all of ``asked_rps``, or what runs.

    ``available`` (states, offers, cells).
    """
    least = np.where(available > 0.0, available, np.inf).min(axis=(0, 2))
    worth = np.where(np.isfinite(least), fleet.mu * least, 0.0)
    useful = np.where(worth > 0.0, np.ceil(asked_rps / np.maximum(worth, 1e-9)), 0.0)
    existing = fleet.ready + fleet.arriving.sum(axis=1)
    return np.asarray(np.maximum(np.minimum(useful, fleet.stock), existing), dtype=np.float64)


def reach_rps(fleet: FleetData, tree: ScenarioTree, available: Array, most: Array) -> Array:
    """Return the largest throughput in reach, (states, cells).

    Before a launch of an offer can be ready, only what exists of it serves.
    """
    at = tree.interval
    existing = fleet.ready[:, None] + np.cumsum(fleet.arriving, axis=1)
    in_reach = at[None, :] >= fleet.d[:, None]
    count = np.where(in_reach, most[:, None], existing[:, at])
    limit = np.einsum("k,mkc,kc->mc", fleet.mu, available, count)
    limit[:, 0] += fleet.noticed_rps
    return np.asarray(limit, dtype=np.float64)
