"""From one search to the next: the relaxed schedule, saved, moved on in time and read again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core import WarmStart
from markopt.planning.program.builder import BuiltProgram
from markopt.planning.program.pricing import held_offers
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hint:
    """A schedule to begin near: ``ready`` (offers, cells) of offers by number, ``warm`` (cells,).

    What it says need not be possible, let alone good: it only chooses where cuts are put first.
    """

    numbers: Indices
    ready: Array
    warm: Array

    @classmethod
    def of(cls, numbers: Indices, built: BuiltProgram, values: Array) -> Hint:
        """Return a solution as a hint; ``numbers`` are its offers' in the whole statement."""
        return cls(numbers, values[built.ready], built.warm_environments(values))

    def over(self, numbers: Indices) -> Array:
        """Return the ready counts of these offers, 0 for those that it does not speak of."""
        ready = np.zeros((len(numbers), self.ready.shape[1]))
        _, own, theirs = np.intersect1d(numbers, self.numbers, return_indices=True)
        ready[own] = self.ready[theirs]
        return ready


def saved(statement: Statement, hint: Hint) -> WarmStart:
    """Return a hint in a form that outlives the decision: of a tree, its middle leaf's."""
    cells = statement.tree.cell_of
    middle = cells[len(cells) // 2]
    return WarmStart(
        time_s=statement.problem.time_s,
        interval_s=statement.problem.interval_s,
        offers=tuple(statement.offers[k].name for k in hint.numbers.tolist()),
        ready=np.maximum(hint.ready[:, middle], 0.0),
        warm_functions=np.maximum(hint.warm[middle], 0.0),
    )


def read(start: WarmStart | None, statement: Statement) -> Hint | None:
    """Return a warm start as a hint for another decision; None: it says nothing about it."""
    if start is None:
        return None
    problem = statement.problem
    shift = round((problem.time_s - start.time_s) / problem.interval_s)
    same = abs(start.interval_s - problem.interval_s) <= 1e-9 * problem.interval_s
    if not same or not 0 <= shift < start.ready.shape[1]:
        return None
    known = {offer.name: k for k, offer in enumerate(statement.offers)}
    rows = [row for row, name in enumerate(start.offers) if name in known]
    if not rows:
        return None
    numbers = np.array([known[start.offers[row]] for row in rows])
    _, first = np.unique(numbers, return_index=True)
    at = np.minimum(statement.tree.interval + shift, start.ready.shape[1] - 1)
    ready = start.ready[rows][first][:, at]
    return Hint(numbers[first], ready, start.warm_functions[at])


def starting_numbers(hint: Hint, statement: Statement) -> Indices:
    """Return the offers to begin with: those of the hint, and what is billed."""
    return np.union1d(hint.numbers, held_offers(statement))
