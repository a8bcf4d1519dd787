"""Branch and bound on running totals, for the few that a relaxation leaves between whole numbers.

A launch that may as well come an interval later keeps its fraction when its own count is branched
on; the sum of launches so far does not (branching on sums). Every
node is the last linear program with other bounds, so the dual simplex goes on from where it is:
a few dozen nodes cost less than a general tree search takes to start.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.ladder import Solution, whole_solution
from markopt.planning.program.relaxation import Relaxation
from markopt.planning.program.solver import SolverAnswer

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

WHOLE = 1e-6
"""How far from a whole number a count may be, as in HiGHS."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """What is decided, by running count, and what everything below it costs at least."""

    decided: dict[int, Range]
    bound_usd: float


class RunningCounts:
    """Launches so far and ready counts, of every offer and whole-number cell, as linear forms.

    Together they are whole where, and only where, launches and ready counts are.
    """

    def __init__(self, program: Relaxation) -> None:
        built = program.built
        tree, integer = built.statement.tree, built.model.integer
        whole = np.flatnonzero(integer[built.ready[0]])
        offers = np.flatnonzero((built.model.upper[built.launch[:, whole]] > 0.0).any(axis=1))
        self._session = program.session
        paths = [_path(tree.parent, cell) for cell in whole.tolist()]
        self._launches: list[Indices] = [
            built.launch[k, path] for k in offers.tolist() for path in paths
        ]
        self._ready = built.ready[:, whole].ravel()
        self._upper = built.model.upper[self._ready]
        self.worth = np.concatenate(
            [
                np.repeat(built.statement.fleet.mu[offers], len(whole)),
                np.repeat(built.statement.fleet.mu, len(whole)),
            ]
        )
        self._first = program.session.add_free_rows(self._launches)

    def values(self, values: Array) -> Array:
        """Return them at a solution."""
        launched = [values[columns].sum() for columns in self._launches]
        return np.concatenate([np.array(launched, dtype=np.float64), values[self._ready]])

    def bound(self, number: int, lower: float, upper: float) -> None:
        """Bound one of them in the linear program."""
        rows = len(self._launches)
        if number < rows:
            self._session.bound_row(self._first + number, lower, upper)
        else:
            at = number - rows
            self._session.bound_column(
                int(self._ready[at]), max(lower, 0.0), min(upper, float(self._upper[at]))
            )


def _path(parent: Indices, cell: int) -> Indices:
    """Return a cell and those before it."""
    cells = [cell]
    while parent[cells[-1]] >= 0:
        cells.append(int(parent[cells[-1]]))
    return np.array(cells)


class Branching:
    """Best bound first, going down from each node to the nearer whole number.

    ``best`` is the cheapest plan found so far, ``bound_usd`` what every plan of the program costs
    at least. ``enough_usd`` is the bound that proves a plan, ``cut_share`` of a node's cost what
    cuts may hide; ``limit_time`` limits the next solve, ``late`` says that no time
    is left.
    """

    def __init__(
        self,
        program: Relaxation,
        best: Solution | None,
        *,
        enough_usd: Callable[[Solution], float],
        cut_share: float,
        limit_time: Callable[[], None],
        late: Callable[[], bool],
    ) -> None:
        self.program, self.best = program, best
        self._enough_usd, self._cut_share = enough_usd, cut_share
        self._limit_time, self._late = limit_time, late
        self._counts = RunningCounts(program)
        self._bounded: set[int] = set()
        self._closed_usd = np.inf
        self._open: list[tuple[float, int, Node]] = []
        self._numbers = count()
        self.nodes = 0

    @property
    def bound_usd(self) -> float:
        """What every plan costs at least."""
        return min(self._closed_usd, self._open[0][0] if self._open else np.inf)

    def run(self, root_usd: float, most_nodes: int) -> None:
        """Search until the gap is closed, or so many nodes are solved."""
        self._push(Node({}, root_usd))
        while self._open and self.nodes < most_nodes and not self._late():
            node: Node | None = heapq.heappop(self._open)[2]
            while node is not None:
                if self._enough(node.bound_usd):
                    self._closed_usd = min(self._closed_usd, node.bound_usd)
                    break
                if self.nodes >= most_nodes or self._late():
                    self._push(node)
                    break
                node = self._down(node)
        self._decide({})

    def _push(self, node: Node) -> None:
        heapq.heappush(self._open, (node.bound_usd, next(self._numbers), node))

    def _enough(self, bound_usd: float) -> bool:
        """Whether nothing above this bound can be better than allowed."""
        if self.best is None:
            return False
        return bound_usd >= self._enough_usd(self.best)

    def _down(self, node: Node) -> Node | None:
        """Solve a node; return the nearer of its children, and leave the other for later."""
        self.nodes += 1
        self._decide(node.decided)
        answer = self._solved(node)
        if answer is None:
            return None
        bound_usd = max(node.bound_usd, float(answer.objective or -np.inf))
        if self._enough(bound_usd):
            self._closed_usd = min(self._closed_usd, bound_usd)
            return None
        counts = self._counts.values(np.asarray(answer.values))
        fraction = np.abs(counts - np.rint(counts))
        if not (fraction > WHOLE).any():
            # Whole, and still above the bound: what cuts hide at this plan is all that is left.
            self._closed_usd = min(self._closed_usd, bound_usd)
            return None
        number = int(np.argmax(np.where(fraction > WHOLE, fraction * self._counts.worth, -1.0)))
        below = float(np.floor(counts[number]))
        lower, upper = node.decided.get(number, (-np.inf, np.inf))
        down = Node({**node.decided, number: (lower, below)}, bound_usd)
        up = Node({**node.decided, number: (below + 1.0, upper)}, bound_usd)
        nearer, other = (down, up) if counts[number] - below <= 0.5 else (up, down)
        self._push(other)
        return nearer

    def _solved(self, node: Node) -> SolverAnswer | None:
        """Solve a node with the cuts that it needs; None: it is infeasible, or no answer came."""
        for _ in range(4):
            self._limit_time()
            answer = self.program.solved()
            if answer.status == "infeasible":
                return None
            if answer.status != "optimal" or answer.values is None:
                self._closed_usd = min(self._closed_usd, node.bound_usd)
                return None
            self._consider(answer)
            if self._enough(float(answer.objective or -np.inf)):
                return answer
            # Cuts cost a solve: only where they may close the node, or where the plan is whole.
            exact_usd = self.program.built.exact_usd(answer.values)
            if self._late() or not (self._enough(exact_usd) or self._whole(answer.values)):
                return answer
            open_usd = self._cut_share * abs(float(answer.objective or 0.0))
            if not self.program.tighten(answer.values, open_usd):
                return answer
        return answer

    def _consider(self, answer: SolverAnswer) -> None:
        """Take a solution in whole numbers as the best plan, if it is one."""
        values = np.asarray(answer.values)
        if not self._whole(values) or self.program.breaks_limits(values):
            return
        found = whole_solution(self.program.built, replace(answer, bound=None))
        if self.best is None or found.objective_usd < self.best.objective_usd:
            self.best = found

    def _whole(self, values: Array) -> bool:
        counts = values[self.program.built.model.integer]
        return bool(np.abs(counts - np.rint(counts)).max(initial=0.0) <= WHOLE)

    def _decide(self, decided: dict[int, Range]) -> None:
        """Put a node's bounds into the linear program, and take the last one's out."""
        for number in self._bounded - set(decided):
            self._counts.bound(number, -np.inf, np.inf)
        for number, (lower, upper) in decided.items():
            self._counts.bound(number, lower, upper)
        self._bounded = set(decided)
