"""What a textbook formulation gives, and how it becomes a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError, Infeasible
from markopt.planning.lambda_only import LambdaOnly
from markopt.planning.requirement import candidate_offers, function_in_time, warm_count
from markopt.planning.safety import safe_plan
from markopt.planning.statement import Formulation, Statement, settle_mix

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Solved:
    """A solution by (offer, cell): launches, ready and billed instances, and warm environments.

    ``warm`` (cells,) is what is bought or, where they cost nothing, all that are at hand;
    ``capacity_rps`` has shape (states, cells). ``bound_usd`` is None where nothing is proven.
    """

    statement: Statement
    launch: Array
    ready: Array
    billed: Array
    capacity_rps: Array
    warm: Array
    objective_usd: float
    bound_usd: float | None
    rung: str
    status: str


def check_solver_settings(solver: str, known: tuple[str, ...], mip_rel_gap: float) -> None:
    """Check what all textbook planners are told about their solver.

    Raises:
        ConfigError: the solver is unknown, or the gap is out of range.
    """
    if solver not in known:
        listed = " or ".join(f"'{name}'" for name in known)
        raise ConfigError(f"planner.solver: must be {listed}, got '{solver}'")
    if not 0.0 <= mip_rel_gap < 1.0:
        raise ConfigError(f"planner.mip_rel_gap: must lie in [0, 1), got {mip_rel_gap}")


def textbook_plan(
    formulation: Formulation,
    problem: Problem,
    planner: str,
    solve: Callable[[Statement], Solved],
) -> Plan:
    """Return the plan of ``solve``, or what the ladder's lower rungs give where it fails.

    Raises:
        Infeasible: no offer answers in time, and no function does either.
    """

    def plan(shared: Problem) -> Plan:
        return _solved_plan(formulation, shared, planner, solve)

    return safe_plan(problem, planner, plan, headroom=formulation.headroom)


def _solved_plan(
    formulation: Formulation,
    problem: Problem,
    planner: str,
    solve: Callable[[Statement], Solved],
) -> Plan:
    try:
        stated = formulation.stated_problem(problem)
    except Infeasible:
        if function_in_time(problem.function, problem.service.slo):
            return replace(LambdaOnly().plan(problem), planner=planner)
        raise
    offers = candidate_offers(stated)

    def held(statement: Statement) -> tuple[Solved, Array]:
        solved = solve(statement)
        return solved, np.asarray(solved.ready @ statement.tree.probability)

    answer = settle_mix(formulation, stated, offers, held)
    return _as_plan(problem, planner, answer)


def _as_plan(problem: Problem, planner: str, solved: Solved) -> Plan:
    """Return the counts along the middle leaf; beyond the window the last ones are held."""
    statement = solved.statement
    cells = statement.tree.cell_of[len(statement.tree.cell_of) // 2]
    beyond = (0, problem.horizon - len(cells))
    counts = np.ceil(solved.billed[:, cells] - 1e-6).astype(np.int64)
    rows = {offer.name: row for offer, row in zip(statement.offers, counts, strict=True)}
    none = np.zeros(len(cells), dtype=np.int64)
    targets = np.array([np.pad(rows.get(o.name, none), beyond, "edge") for o in problem.offers])
    return Plan(
        planner=planner,
        time_s=problem.time_s,
        offers=tuple(offer.name for offer in problem.offers),
        targets=targets,
        warm_functions=np.pad(_warm_environments(solved, cells), beyond, "edge"),
        rung=solved.rung,
        reason=_reason(solved),
        objective_usd=solved.objective_usd,
        bound_usd=solved.bound_usd,
        solver_status=solved.status,
    )


def _warm_environments(solved: Solved, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what to keep warm: what is bought or, where that costs nothing, for any spill."""
    statement, own = solved.statement, solved.statement.own
    if own.warm_limit == 0:
        return np.zeros(len(cells), dtype=np.int64)
    if own.warm_usd > 0.0:
        wanted = np.ceil(solved.warm[cells] - 1e-6)
        return np.asarray(np.clip(wanted, 0, own.warm_limit), dtype=np.int64)
    least_rps = solved.capacity_rps.min(axis=0)
    largest_rps = statement.demand.spill_rps(least_rps).max(axis=0)[cells]
    mean_rps = statement.demand.expected_rps[cells] / statement.tree.probability[cells]
    return warm_count(statement.problem, largest_rps, mean_rps)


def _reason(solved: Solved) -> str:
    """Say what changes now, and that it costs least."""
    offers: tuple[Offer, ...] = solved.statement.offers
    fleet, horizon = solved.statement.fleet, solved.statement.problem.horizon
    change = np.rint(solved.billed[:, 0] - fleet.billed_now).astype(int).tolist()
    named = list(zip(offers, change, strict=True))
    starts = [f"{n} {offer.name}" for offer, n in named if n > 0]
    stops = [f"{-n} {offer.name}" for offer, n in named if n < 0]
    parts = [f"launch {', '.join(starts)}"] if starts else []
    parts += [f"terminate {', '.join(stops)}"] if stops else []
    what = "; ".join(parts) or "keep the fleet"
    return f"{what}: least expected cost of {horizon} intervals, ${solved.objective_usd:.4f}"
