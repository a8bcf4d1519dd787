"""What a later decision may depend on: a tree of scenarios, and its cells (node, interval)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Recourse = Literal["open_loop", "wait_and_see", "delayed"]


@dataclass(frozen=True, eq=False)
class ScenarioTree:
    """Decisions of a node at an interval, a *cell*, are the same for all scenarios of the node.

    ``cell_of`` has shape (leaves, horizon); ``leaf_of`` (scenarios,) says which leaf a path ends
    in. Per cell: ``interval``, ``parent`` (-1 for the root), ``probability`` and ``leaf``, one of
    those below it. Cells are numbered by interval, so that without branching cell = interval.
    """

    leaf_of: Indices
    cell_of: Indices
    interval: Indices
    parent: Indices
    probability: Array
    leaf: Indices

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.interval)

    @property
    def branches(self) -> bool:
        """Whether some decision depends on what was seen."""
        return len(self.cell_of) > 1

    @property
    def shared(self) -> int:
        """Number of first intervals in which decisions are the same for all scenarios."""
        return int(np.sum(np.bincount(self.interval) == 1)) if self.branches else self.cells

    def ancestor(self, cell: int, back: int) -> int:
        """Return the cell that lies ``back`` intervals before, -1 if that is before the start."""
        at = int(self.interval[cell]) - back
        return -1 if at < 0 else int(self.cell_of[self.leaf[cell], at])

    def ancestors(self, back: int) -> Indices:
        """Return ``ancestor(cell, back)`` of every cell."""
        at = self.interval - back
        found = self.cell_of[self.leaf, np.maximum(at, 0)]
        return np.asarray(np.where(at >= 0, found, -1), dtype=np.int64)

    def by_interval(self, values: Array) -> Array:
        """Return the sums of values per cell over the cells of every interval."""
        return np.asarray(np.bincount(self.interval, values), dtype=np.float64)

    def members(self, cell: int) -> Indices:
        """Return the scenarios that pass through a cell."""
        leaves = np.flatnonzero(self.cell_of[:, self.interval[cell]] == cell)
        return np.flatnonzero(np.isin(self.leaf_of, leaves))


def scenario_tree(
    paths: Array, probabilities: Array, shared: int, groups: Sequence[int] = ()
) -> ScenarioTree:
    """Return the tree in which paths (scenarios, horizon) are told apart as time passes.

    The first ``shared`` intervals have one node. At interval j ``shared`` every node splits into
    ``groups[j - 1]`` (or as many as it has paths) of about equal probability, by the sum of the
    rates from then on; ties go by the path's number. Empty ``groups``: every path is a leaf of its
    own from interval ``shared`` on.
    """
    count, horizon = paths.shape
    shared = max(shared, 1)
    node_of = np.zeros((count, horizon), dtype=np.int64)
    current = np.zeros(count, dtype=np.int64)
    splits = list(groups) or [count]
    for number, wanted in enumerate(splits):
        start = shared * (number + 1)
        if start >= horizon:
            break
        current = _split(paths[:, start:].sum(axis=1), probabilities, current, wanted)
        node_of[:, start:] = current[:, None]
    return _cells(node_of, current, probabilities)


def _split(key: Array, probabilities: Array, nodes: Indices, wanted: int) -> Indices:
    """Return finer nodes: each of ``nodes`` in ``wanted`` parts, in the order of ``key``."""
    finer = np.zeros_like(nodes)
    following = 0
    for node in np.unique(nodes).tolist():
        inside = np.flatnonzero(nodes == node)
        ordered = inside[np.argsort(key[inside], kind="stable")]
        mass = np.cumsum(probabilities[ordered])
        middle = (mass - 0.5 * probabilities[ordered]) / max(float(mass[-1]), 1e-300)
        part = np.minimum(np.floor(middle * wanted), wanted - 1).astype(np.int64)
        if wanted >= len(ordered):
            part = np.arange(len(ordered))
        _, part = np.unique(part, return_inverse=True)
        finer[ordered] = following + part
        following += int(part.max()) + 1
    return finer


def _cells(node_of: Indices, leaf_of: Indices, probabilities: Array) -> ScenarioTree:
    """Number the cells by interval, then by node."""
    horizon = node_of.shape[1]
    leaves = int(leaf_of.max()) + 1
    cell_of = np.zeros((leaves, horizon), dtype=np.int64)
    interval: list[int] = []
    parent: list[int] = []
    probability: list[float] = []
    leaf: list[int] = []
    first_path = [int(np.argmax(leaf_of == number)) for number in range(leaves)]
    for t in range(horizon):
        numbers: dict[int, int] = {}
        for number in range(leaves):
            node = int(node_of[first_path[number], t])
            if node not in numbers:
                numbers[node] = len(interval)
                interval.append(t)
                parent.append(-1 if t == 0 else int(cell_of[number, t - 1]))
                probability.append(float(probabilities[node_of[:, t] == node].sum()))
                leaf.append(number)
            cell_of[number, t] = numbers[node]
    return ScenarioTree(
        leaf_of=leaf_of,
        cell_of=cell_of,
        interval=np.array(interval),
        parent=np.array(parent),
        probability=np.array(probability),
        leaf=np.array(leaf),
    )
