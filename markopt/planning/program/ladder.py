"""The solve ladder: a whole-number launch plan always arrives, and says from which rung."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.builder import BuiltProgram
from markopt.planning.program.solver import SolverAnswer
from markopt.planning.program.warm import Hint

Array = NDArray[np.float64]
Rung = Literal["optimal", "incumbent", "rounded"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Values of the columns of ``built``, USD with every scenario, the proven bound, and the rung.

    ``hint``: where a search for the next decision may begin.
    """

    built: BuiltProgram
    values: Array
    objective_usd: float
    bound_usd: float | None
    rung: Rung
    solver_status: str
    hint: Hint | None = None


def whole_solution(built: BuiltProgram, answer: SolverAnswer) -> Solution:
    """Return the solution of a whole-number solve that has values."""
    rung: Rung = "optimal" if answer.status == "optimal" else "incumbent"
    return _solution(built, answer, rung)


def rounded_solution(built: BuiltProgram, relaxed: SolverAnswer, first: str) -> Solution | None:
    """Return the relaxation rounded up; None if that breaks a limit. ``first``: the reason."""
    if relaxed.values is None:
        return None
    values = round_up(built, relaxed.values)
    if not within_limits(built, values):
        return None
    raw = f"{first}, then relaxation: {relaxed.raw}"
    return _solution(built, replace(relaxed, values=values, raw=raw), "rounded")


def _solution(built: BuiltProgram, answer: SolverAnswer, rung: Rung) -> Solution:
    # Numbers within the solver's tolerance of a whole one are meant to be whole.
    raw_values = np.asarray(answer.values, dtype=np.float64)
    values = np.where(built.model.integer, np.rint(raw_values), raw_values)
    objective = built.exact_usd(values)
    bound = None if answer.bound is None else min(answer.bound, objective)
    return Solution(built, values, objective, bound, rung, answer.raw)


def round_up(built: BuiltProgram, values: Array) -> Array:
    """Round launches and ready counts up where they must be whole.

    Ramps still hold, since ceil(a + b) <= ceil(a) + ceil(b); more capacity breaks no cut, so only
    limits on counts can be broken.
    """
    return np.where(built.model.integer, np.ceil(values - 1e-7), values)


def within_limits(built: BuiltProgram, values: Array) -> bool:
    """Return whether launches and billed counts, as a plan rounds them, keep every limit."""
    fleet, limits = built.statement.fleet, built.statement.problem.limits
    launched = np.ceil(values[built.launch] - 1e-6)
    billed = np.ceil(billed_counts(built, values) - 1e-6)
    if np.any(billed > np.maximum(fleet.stock, fleet.billed_now)[:, None] + 1e-6):
        return False
    most = limits.max_launches_per_interval
    if most is not None and np.any(launched.sum(axis=0) > most + 1e-6):
        return False
    totals = [(float(limits.max_vcpus), fleet.vcpus)] if limits.max_vcpus is not None else []
    for pool, count in limits.max_instances_by_pool.items():
        inside = np.array([float(offer.pool == pool) for offer in fleet.offers])
        totals.append((float(count), inside))
    return all(
        np.all(weight @ billed <= max(most_of, float(weight @ fleet.billed_now)) + 1e-6)
        for most_of, weight in totals
    )


def billed_counts(built: BuiltProgram, values: Array) -> Array:
    """Return x[k,c]: ready, launching and pending instances, without those under notice."""
    fleet, tree = built.statement.fleet, built.statement.tree
    launches = values[built.launch]
    billed = values[built.ready] + fleet.pending[:, tree.interval]
    for back in range(int(fleet.d.max(initial=0))):
        before = tree.ancestors(back)
        booting = (fleet.d > back)[:, None] & (before >= 0)[None, :]
        billed += np.where(booting, launches[:, before], 0.0)
    return np.asarray(billed, dtype=np.float64)
