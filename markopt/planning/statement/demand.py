"""The demand scenarios of every cell, with the throughput that they require."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Problem
from markopt.planning.requirement import required_rps
from markopt.planning.statement.tree import ScenarioTree

Array = NDArray[np.float64]
SpillUnits = Literal["requests", "throughput"]


@dataclass(frozen=True, eq=False)
class DemandData:
    """Demand scenarios by cell, largest first, with what a shortage of each costs.

    Shapes (scenarios, cells). ``q`` required throughput, ``demand`` the rate, ``p`` probability,
    ``slope`` spilled requests per unit of throughput short (eta = D/Q, or 1). A cell's ``p`` sum
    to its probability; a cell of few scenarios is filled up with zeros. ``expected_rps`` is the
    expected rate per cell, weighted with its probability.
    """

    q: Array
    demand: Array
    p: Array
    slope: Array
    expected_rps: Array

    def spill_rps(self, capacity_rps: Array) -> Array:
        """Return the spill of each scenario, requests/s, at a capacity per cell."""
        return np.asarray(
            self.slope * np.maximum(self.q - capacity_rps[None, :], 0.0), dtype=np.float64
        )

    def expected_spill_rps(self, capacity_rps: Array) -> Array:
        """Return E spill per cell."""
        return np.asarray((self.p * self.spill_rps(capacity_rps)).sum(axis=0), dtype=np.float64)

    def expected_excess_rps(self, capacity_rps: Array, warm_rps: Array) -> Array:
        """Return E(spill - warm_rps)+ per cell."""
        beyond = np.maximum(self.spill_rps(capacity_rps) - warm_rps[None, :], 0.0)
        return np.asarray((self.p * beyond).sum(axis=0), dtype=np.float64)


def demand_data(
    problem: Problem,
    tree: ScenarioTree,
    mix: Mapping[str, float],
    headroom: float,
    spill_units: SpillUnits,
) -> DemandData:
    """Return the sorted demand scenarios of the forecast times ``headroom`` for a fleet's mix.

    In ``requests`` a shortage spills demand in proportion (D at no capacity, none at Q); in
    ``throughput`` a request counts Q/D times. The order by Q is the order by D.
    """
    demand, p = _by_cell(problem.forecast.paths_rps * headroom, problem, tree)
    order = np.argsort(-demand, axis=0, kind="stable")
    demand = np.take_along_axis(demand, order, axis=0)
    p = np.take_along_axis(p, order, axis=0)
    q = required_rps(problem, demand, mix)
    expected = np.asarray((p * demand).sum(axis=0), dtype=np.float64)
    if spill_units == "throughput":
        return DemandData(q, q, p, np.ones_like(q), expected)
    slope = np.divide(demand, q, out=np.zeros_like(q), where=q > 0.0)
    return DemandData(q, demand, p, slope, expected)


def _by_cell(paths: Array, problem: Problem, tree: ScenarioTree) -> tuple[Array, Array]:
    """Return rates and probabilities, (scenarios of the largest cell, cells)."""
    probabilities = problem.forecast.probabilities
    if not tree.branches:
        return paths, np.repeat(probabilities[:, None], tree.cells, axis=1)
    members = [tree.members(cell) for cell in range(tree.cells)]
    most = max(len(inside) for inside in members)
    demand, p = np.zeros((2, most, tree.cells))
    for cell, inside in enumerate(members):
        demand[: len(inside), cell] = paths[inside, tree.interval[cell]]
        p[: len(inside), cell] = probabilities[inside]
    return demand, p
