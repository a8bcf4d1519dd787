"""The relaxation with rows asleep, and branching on it, against the whole model in one solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from markopt.core import Limits, Problem, PurchaseOption, SloWindow
from markopt.errors import SolverFailed
from markopt.planning.program import search as searching
from markopt.planning.program.branching import Branching
from markopt.planning.program.builder import build_program
from markopt.planning.program.relaxation import Relaxation
from markopt.planning.program.sleeping import SleepingLimits, calmer_states
from markopt.planning.program.solver import SolverAnswer, SolverOptions, solve_model
from markopt.planning.statement import Formulation, Risk, Statement
from tests.planning.problems import function, offer, problem, walk_paths
from tests.planning.statements import decisions, settings_of_all, statement_of

OPTIONS = SolverOptions(relative_gap=1e-6, max_nodes=100_000)
FEW = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
    "derandomize": True,
}


def scale_of(statement: Statement) -> float:
    return 1.0 / float(statement.fleet.c.mean())


def relaxation_of(statement: Statement, *, joined: bool = False) -> Relaxation:
    stands_for = calmer_states(statement)
    built = build_program(statement, 3, np.unique(stands_for))
    return Relaxation(built, stands_for, OPTIONS, scale_of(statement), joined=joined)


def tightened(program: Relaxation) -> SolverAnswer:
    for _ in range(200):
        answer = program.solved()
        if answer.values is None or not program.tighten(answer.values, 1e-9):
            return answer
    raise AssertionError("the cuts never ended")


def whole_model(statement: Statement, *, relaxed: bool) -> SolverAnswer:
    model = build_program(statement, 10**7).model
    return solve_model(model, OPTIONS, relaxed=relaxed, scale=scale_of(statement))


def spot_statement(*, window_left: SloWindow | None = None, **settings: Any) -> Statement:
    """Five spot pools that fail one by one and together, two of them with quotas that bind."""
    rng = np.random.default_rng(3)
    kinds = [
        offer(
            f"type{k}",
            price_usd_per_h=0.05 + 0.01 * k,
            purchase=PurchaseOption.SPOT,
            pool=f"pool{k}",
            interruption_per_h=0.5,
            stock=8 + k,
        )
        for k in range(5)
    ]
    kinds.append(offer("lasting", price_usd_per_h=0.2))
    limits = Limits(max_instances_by_pool={kind.pool: 4 for kind in kinds[:2]})
    base = problem(
        kinds,
        walk_paths(rng, samples=40, horizon=8, start_rps=500.0),
        with_function=function(warm_price_usd_per_s=1e-6),
        limits=limits,
        **({} if window_left is None else {"window": window_left}),
    )
    formulation = Formulation(interruptions="joint", window=None, **settings)
    return statement_of(formulation, base)


@pytest.mark.parametrize("joined", [False, True])
@settings(max_examples=40, **FEW)
@given(decisions(), settings_of_all())
def test_rows_that_wake_where_they_are_broken_give_the_relaxation_with_all_of_them(
    joined: bool, base: Problem, chosen: dict[str, Any]
) -> None:
    statement = statement_of(Formulation(**chosen), base)
    everything = whole_model(statement, relaxed=True)
    program = relaxation_of(statement, joined=joined)
    found = tightened(program)
    if program.overspent:
        assert joined
        assert found.objective is not None
        assert everything.objective is not None
        assert found.objective <= everything.objective * (1.0 + 2e-5) + 1e-7
        found = tightened(relaxation_of(statement))
    assert (everything.status == "optimal") == (found.status == "optimal")
    if everything.objective is None or found.objective is None:
        return
    assert found.objective == pytest.approx(everything.objective, rel=2e-5, abs=1e-7)
    assert found.objective <= everything.objective + 2e-5 * abs(everything.objective) + 1e-7


def test_states_and_limits_sleep_and_wake() -> None:
    statement = spot_statement()
    program = relaxation_of(statement)
    states = len(statement.states.probability)
    assert states == 7
    assert len(np.unique(calmer_states(statement))) == 1
    before = program.session.rows
    found = tightened(program)
    everything = whole_model(statement, relaxed=True)
    assert found.objective == pytest.approx(everything.objective, rel=1e-6)
    assert found.values is not None
    limits = SleepingLimits.of(program.built.model)
    assert len(limits.rows) > 0
    assert not len(limits.broken(found.values))
    assert before < program.session.rows < len(build_program(statement, 10**7).model.row_lower)
    assert len(program.session.row_duals()) == len(program.built.model.row_lower)


def test_a_budget_that_binds_takes_shortages_apart_again() -> None:
    # Cold starts are late, the window's misses are spent: what meets one costs 20 instances.
    statement = spot_statement(window_left=SloWindow(10_000, 9_000, 1800.0))
    assert statement.own.excess_misses > 0.0
    everything = whole_model(statement, relaxed=True)
    program = relaxation_of(statement, joined=True)
    assert program.joined
    joined = tightened(program)
    assert program.overspent
    assert everything.objective is not None
    assert joined.objective is not None
    assert joined.objective < everything.objective * (1.0 - 1e-6)
    assert tightened(relaxation_of(statement)).objective == pytest.approx(everything.objective)
    _, found = searching.search(statement, OPTIONS, price_offers=True)
    optimum = whole_model(statement, relaxed=False).objective
    assert optimum is not None
    assert found.bound_usd is not None
    assert found.bound_usd <= optimum * (1.0 + 1e-6)
    assert found.objective_usd == pytest.approx(optimum, rel=1e-4)


def test_duals_speak_of_the_models_rows_and_of_the_last_solve_only() -> None:
    program = relaxation_of(spot_statement())
    answer = program.solved()
    before = program.session.row_duals()
    assert len(before) == len(program.built.model.row_lower)
    assert np.abs(before).max() > 0.0
    assert answer.values is not None
    assert program.tighten(answer.values, 0.0)
    with pytest.raises(SolverFailed, match="changed since"):
        program.session.row_duals()
    program.solved()
    assert len(program.session.row_duals()) == len(before)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_few_rounds_of_cuts_leave_a_lower_bound_not_a_wrong_one(
    monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    statement = spot_statement()
    optimum = whole_model(statement, relaxed=False)
    monkeypatch.setattr(searching, "CUT_ROUNDS", rounds)
    _, found = searching.search(statement, OPTIONS, price_offers=True)
    assert optimum.objective is not None
    assert found.bound_usd is not None
    assert found.bound_usd <= optimum.objective * (1.0 + 1e-6)
    assert found.objective_usd >= optimum.objective * (1.0 - 1e-6)


def test_a_promise_keeps_every_state_awake() -> None:
    statement = spot_statement(integer_intervals=2)
    assert len(np.unique(calmer_states(statement))) == 1
    promised = spot_statement(risk=Risk(measure="quantile"))
    assert len(np.unique(calmer_states(promised))) == len(promised.states.probability)


@settings(max_examples=25, **FEW)
@given(decisions(), settings_of_all(recourse="open_loop"))
def test_branching_alone_finds_the_optimum_and_proves_it(
    base: Problem, chosen: dict[str, Any]
) -> None:
    statement = statement_of(Formulation(**chosen), base)
    optimum = whole_model(statement, relaxed=False)
    program = relaxation_of(statement)
    root = tightened(program)
    integer = program.built.model.integer
    counts = np.concatenate([program.built.launch.ravel(), program.built.ready.ravel()])
    assume(root.status == "optimal" and integer.sum() == integer[counts].sum())
    assume(optimum.objective is not None and root.objective is not None)
    branching = Branching(
        program,
        None,
        enough_usd=lambda found: found.objective_usd - 1e-5 * abs(found.objective_usd) - 1e-8,
        cut_share=1e-6,
        limit_time=lambda: None,
        late=lambda: False,
    )
    branching.run(root.objective or 0.0, 400)
    tolerance = 5e-5 * abs(optimum.objective or 0.0) + 1e-7
    assert branching.bound_usd <= (optimum.objective or 0.0) + tolerance
    if branching.best is not None:
        assert branching.best.objective_usd >= (optimum.objective or 0.0) - tolerance
    if branching.nodes < 400:
        assert branching.best is not None
        assert branching.best.objective_usd == pytest.approx(optimum.objective, abs=tolerance)
