"""Three formulations of one decision: the program, cvxpy's and PuLP's find the same cost."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from markopt.core import Problem
from markopt.errors import SolverFailed
from markopt.planning import CvxpyProgram, Program, PulpProgram, evaluate_plan
from markopt.planning.program.builder import build_program
from markopt.planning.program.ladder import Solution, whole_solution
from markopt.planning.program.search import search
from markopt.planning.program.solver import SolverOptions, solve_model
from markopt.planning.reference.solved import Solved
from markopt.planning.statement import Formulation, Statement
from tests.fuzzing import FUZZING, examples
from tests.planning.statements import decisions, settings_of_all, statement_of

GAP = 1e-6
# Of the dearest amount at stake: what solvers' tolerances on rows and whole numbers may be worth.
TOLERANCE = 2e-5
SEARCHED = 5e-3  # the search stops after so many rounds, however small the gap that is asked for
PROVEN = ("optimal", "incumbent")
FEW = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
    "derandomize": not FUZZING,
}


CBC = 1


def by_program(statement: Statement) -> Solution | None:
    """The program with every cut from the start."""
    built = build_program(statement, 10**7)
    options = SolverOptions(relative_gap=GAP, max_nodes=200_000)
    scale = 1.0 / float(statement.fleet.c.mean())
    answer = solve_model(built.model, options, scale=scale)
    return whole_solution(built, answer) if answer.status == "optimal" else None


def by_search(statement: Statement) -> Solution | None:
    """The program as it is solved: cuts where they are needed, offers where they pay."""
    options = SolverOptions(relative_gap=GAP, max_nodes=200_000)
    try:
        _, found = search(statement, options, price_offers=not statement.settings.terms)
    except SolverFailed:
        return None
    return found


def by_reference(planner: CvxpyProgram | PulpProgram, statement: Statement) -> Solved | None:
    try:
        return planner.solve(statement)
    except SolverFailed:
        return None


def references(**keys: Any) -> list[CvxpyProgram | PulpProgram]:
    exact = {"mip_rel_gap": GAP, "max_nodes": 200_000, **keys}
    return [
        CvxpyProgram(**exact),
        PulpProgram(**exact),
        PulpProgram(**exact, solver="highs"),
    ]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["cvxpy", "pulp-cbc", "pulp-highs"])
@settings(max_examples=examples(10), **FEW)
@given(decisions(), settings_of_all())
def test_formulations_agree(which: int, base: Problem, chosen: dict[str, Any]) -> None:
    if which == CBC and FUZZING:
        pytest.skip("CBC called 0.0156 optimal where PuLP with HiGHS, cvxpy and we find 0.0135")
    statement = statement_of(Formulation(**chosen), base)
    program = by_program(statement)
    reference = by_reference(references(**chosen)[which], statement)
    if program is None or reference is None:
        assert program is None
        assert reference is None
        return
    assert reference.objective_usd == pytest.approx(program.objective_usd, rel=TOLERANCE, abs=1e-7)


@settings(max_examples=examples(40), **FEW)
@given(decisions(), settings_of_all())
def test_search_finds_what_the_program_with_every_cut_does(
    base: Problem, chosen: dict[str, Any]
) -> None:
    statement = statement_of(Formulation(**chosen), base)
    program, found = by_program(statement), by_search(statement)
    assert (program is None) == (found is None)
    if program is not None and found is not None:
        assert_bracketed(program.objective_usd, found.objective_usd, found.bound_usd)


def assert_bracketed(optimum_usd: float, objective_usd: float, bound_usd: float | None) -> None:
    """A plan costs no less than the optimum, what is proven is no more, and both are close."""
    tolerance = TOLERANCE * abs(optimum_usd) + 1e-7
    assert bound_usd is not None
    assert bound_usd - tolerance <= optimum_usd <= objective_usd + tolerance
    assert objective_usd <= optimum_usd + SEARCHED * abs(optimum_usd) + tolerance


@settings(max_examples=examples(15), **FEW)
@given(decisions(pooling=False), settings_of_all())
def test_plans_agree_with_presolve_and_mix(base: Problem, chosen: dict[str, Any]) -> None:
    # Q(D) = D for every mix, so that equal costs do not hang on which of two equal plans is found.
    exact = {"mip_rel_gap": GAP, "max_nodes": 200_000, **chosen}
    program = Program(**exact).plan(base)
    reference = PulpProgram(**exact, solver="highs").plan(base)
    solved = program.rung in (*PROVEN, "rounded")
    assert solved == (reference.rung in PROVEN)
    if solved:
        assert reference.objective_usd is not None
        assert program.objective_usd is not None
        assert_bracketed(reference.objective_usd, program.objective_usd, program.bound_usd)


EXACT_PLANNERS = {
    "program": lambda keys: Program(**keys),
    "cvxpy": lambda keys: CvxpyProgram(**keys),
    "pulp": lambda keys: PulpProgram(**keys, solver="highs"),
}


@pytest.mark.parametrize("name", sorted(EXACT_PLANNERS))
@settings(max_examples=examples(10), **FEW)
@given(
    decisions(pooling=False),
    settings_of_all(recourse="open_loop", window=None, integer_intervals=None),
)
def test_evaluator_recomputes_cost_limits_and_promises_of_every_plan(
    name: str, base: Problem, chosen: dict[str, Any]
) -> None:
    spot_ready = any(base.fleet.of(o.name).ready for o in base.offers if not o.purchase.lasting)
    if spot_ready:
        # A cap may end an instance and launch another of its offer at once; counts do not tell.
        terms = {key: term for key, term in chosen["terms"].items() if key != "diversification"}
        chosen = chosen | {"terms": terms}
    planner = EXACT_PLANNERS[name]({"mip_rel_gap": GAP, "max_nodes": 200_000, **chosen})
    plan = planner.plan(base)
    if plan.rung not in PROVEN:
        return
    judged = ("headroom", "spill_weight", "miss_weight", "spill_units", "interruptions")
    more = ("shared_shock_share", "terminal_value_share", "terms")
    rules = {key: chosen[key] for key in (*judged, *more)}
    account = evaluate_plan(planner.stated_problem(base), plan, **rules)
    assert account.feasible, account.broken
    assert plan.objective_usd is not None
    # Fractions of warm environments are rounded up in the plan, which the evaluator pays for.
    rounding = 0.0
    if base.function is not None:
        rounding = base.function.warm_price_usd_per_s * base.interval_s * base.horizon
        rounding *= 1.0 + 1000.0 * ("budget_cap" in chosen["terms"])
    tolerance = TOLERANCE * abs(plan.objective_usd) + 1e-7
    assert account.total_usd <= plan.objective_usd + rounding + tolerance
    risk = chosen["risk"]
    if risk.measure in ("quantile", "cvar", "wasserstein"):
        # A promise that cannot be kept is paid for, dearly; judged once every launch can be ready.
        slowest = max(math.ceil(o.launch_delay_s / base.interval_s) for o in base.offers)
        later = account.violation_share[slowest:]
        promised = max(later, default=0.0) <= risk.violation_share + 1e-9
        assert promised or plan.objective_usd > account.total_usd + tolerance
    within = all(
        m <= max(a, 0.0) + 1e-6 for m, a in zip(account.misses, account.allowed, strict=True)
    )
    if within and not risk.promises:
        assert account.total_usd >= plan.objective_usd - rounding - tolerance
