"""The solve ladder: a whole-number launch plan always arrives, and says from which rung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Limits
from markopt.errors import SolverFailed
from markopt.planning.program.builder import BuiltProgram
from markopt.planning.program.data import FleetData
from markopt.planning.program.model import SparseModel
from markopt.planning.program.solver import SolverAnswer, SolverOptions, solve_model

Array = NDArray[np.float64]
Rung = Literal["optimal", "incumbent", "rounded"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Values of the program's columns, USD with every scenario, the proven bound, and the rung."""

    values: Array
    objective_usd: float
    bound_usd: float | None
    rung: Rung
    solver_status: str


def climb(built: BuiltProgram, limits: Limits, options: SolverOptions) -> Solution:
    """Solve; without a whole solution round the relaxation up.

    A solver that breaks down is taken for one without an answer, so that the next rung is tried.

    Raises:
        SolverFailed: no rung here gives a plan; the text says what became of each.
    """
    scale = 1.0 / max(float(built.fleet.c.mean()), 1e-12)
    answer = _attempt(built.model, options, relaxed=False, scale=scale)
    if answer.values is not None:
        rung: Rung = "optimal" if answer.status == "optimal" else "incumbent"
        return _solution(built, answer.values, answer, rung)
    relaxed = _attempt(built.model, options, relaxed=True, scale=scale)
    if relaxed.values is None:
        raise SolverFailed(f"whole numbers: {answer.raw}; relaxation: {relaxed.raw}")
    values = round_up(built, relaxed.values)
    if not within_limits(built, limits, values):
        raise SolverFailed(f"whole numbers: {answer.raw}; relaxation, rounded up: breaks a limit")
    return _solution(built, values, relaxed, "rounded", first=answer.raw)


def _attempt(
    model: SparseModel, options: SolverOptions, *, relaxed: bool, scale: float
) -> SolverAnswer:
    """Return the solver's answer; values only where there is a number for every column."""
    try:
        answer = solve_model(model, options, relaxed=relaxed, scale=scale)
    except (SolverFailed, RuntimeError, MemoryError, ValueError) as error:
        # What HiGHS throws in C++ arrives as one of the last three.
        raw = " ".join(str(error).split()) or type(error).__name__
        return SolverAnswer("failed", raw, None, None, None)
    values = answer.values
    if values is None or (len(values) == len(model.cost) and np.isfinite(values).all()):
        return answer
    return SolverAnswer("failed", f"{answer.raw}, without a usable point", None, None, None)


def _solution(
    built: BuiltProgram,
    values: Array,
    answer: SolverAnswer,
    rung: Rung,
    *,
    first: str | None = None,
) -> Solution:
    # Numbers within the solver's tolerance of a whole one are meant to be whole.
    values = np.where(built.model.integer, np.rint(values), values)
    modeled_usd = float(built.model.cost @ values) + built.model.offset
    objective = built.exact_usd(values, modeled_usd)
    bound = None if answer.bound is None else min(answer.bound, objective)
    status = answer.raw if first is None else f"{first}, then relaxation: {answer.raw}"
    return Solution(values, objective, bound, rung, status)


def round_up(built: BuiltProgram, values: Array) -> Array:
    """Round launches and ready counts up where they must be whole.

    Ramps still hold, since ceil(a + b) <= ceil(a) + ceil(b); more capacity breaks no cut, so only
    limits on counts can be broken.
    """
    return np.where(built.model.integer, np.ceil(values - 1e-7), values)


def within_limits(built: BuiltProgram, limits: Limits, values: Array) -> bool:
    """Return whether launches and billed counts, as a plan rounds them, keep every limit."""
    fleet = built.fleet
    launched = np.ceil(values[built.launch] - 1e-6)
    billed = np.ceil(billed_counts(built, values) - 1e-6)
    if np.any(billed > np.maximum(fleet.stock, fleet.billed_now)[:, None] + 1e-6):
        return False
    most = limits.max_launches_per_interval
    if most is not None and np.any(launched.sum(axis=0) > most + 1e-6):
        return False
    used = float(fleet.vcpus @ fleet.billed_now)
    return limits.max_vcpus is None or bool(
        np.all(fleet.vcpus @ billed <= max(limits.max_vcpus, used) + 1e-6)
    )


def billed_counts(built: BuiltProgram, values: Array) -> Array:
    """Return x[k,t]: ready, launching and pending instances, without those under notice."""
    fleet: FleetData = built.fleet
    launches = values[built.launch]
    billed = values[built.ready] + fleet.pending
    horizon = billed.shape[1]
    for k, delay in enumerate(fleet.d.tolist()):
        for back in range(min(delay, horizon)):
            billed[k, back:] += launches[k, : horizon - back]
    return np.asarray(billed, dtype=np.float64)
