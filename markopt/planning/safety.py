"""The lower rungs of the solve ladder: whatever a solver does, a plan within the limits arrives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from markopt.core import Plan, Problem
from markopt.errors import Infeasible, PlanningError, SolverFailed
from markopt.planning.evaluator import broken_limits
from markopt.planning.greedy import Greedy
from markopt.planning.requirement import candidate_offers
from markopt.planning.transition import held_plan, pending_counts


def safe_plan(
    problem: Problem, planner: str, solve: Callable[[Problem], Plan], *, headroom: float = 1.0
) -> Plan:
    """Return the plan of ``solve`` if it keeps the limits, else greedy's, else keep the fleet.

    ``solve`` is given the problem with the vCPUs that launches of other offers leave to the
    candidates; what is launching stays in its plan until it is ready. Where later intervals of a
    plan break a limit, fractions rounded up for instance, the first interval's counts are held
    instead: they break none. The evaluator's account of the limits decides, so no error of a
    formulation gets through. The plan's rung and reason say what happened.

    Raises:
        Infeasible: as ``solve``.
    """
    try:
        plan, broken = _repaired(problem, solve(_candidates_share(problem)))
    except (SolverFailed, RuntimeError, MemoryError, ArithmeticError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return _fallback(problem, planner, headroom, f"the solver gave no plan ({text})")
    if broken:
        cause = f"the solver's plan breaks a limit ({broken})"
        return _fallback(problem, planner, headroom, cause)
    return plan


def _fallback(problem: Problem, planner: str, headroom: float, cause: str) -> Plan:
    try:
        plan, broken = _repaired(problem, Greedy(headroom=headroom).plan(problem))
    except PlanningError as error:
        return held_plan(problem, planner, f"keep the fleet: {cause}; {error}")
    if broken:
        reason = f"keep the fleet: {cause}; greedy's plan breaks a limit ({broken})"
        return held_plan(problem, planner, reason)
    reason = f"{cause}, greedy did: {plan.reason}"
    return replace(plan, planner=planner, rung="greedy", reason=reason)


def _repaired(problem: Problem, plan: Plan) -> tuple[Plan, str]:
    """Return the plan with what is launching, held where need be, and what it still breaks."""
    targets = np.maximum(plan.targets, pending_counts(problem))
    held = np.repeat(targets[:, :1], problem.horizon, axis=1)
    broken: tuple[str, ...] = ()
    for counts in (targets, held):
        if (counts != plan.targets).any():
            plan = replace(plan, targets=counts)
        broken = broken_limits(problem, plan)
        if not broken:
            return plan, ""
    return plan, broken[0]


def _candidates_share(problem: Problem) -> Problem:
    """Return the problem with the vCPUs that launches of other offers leave to the candidates."""
    quota = problem.limits.max_vcpus
    if quota is None:
        return problem
    try:
        names = {offer.name for offer in candidate_offers(problem)}
    except Infeasible:  # which ``solve`` will say
        return problem
    others = [offer for offer in problem.offers if offer.name not in names]
    taken = sum(o.vcpus * len(problem.fleet.of(o.name).pending_ready_in_s) for o in others)
    if not taken:
        return problem
    return replace(problem, limits=replace(problem.limits, max_vcpus=max(quota - taken, 0.0)))
