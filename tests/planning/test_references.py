"""The textbook formulations as planners: compiled once, never without an answer, cones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from markopt.core import Problem, PurchaseOption
from markopt.core.documents import problem_from_json
from markopt.errors import ConfigError, Infeasible
from markopt.planning import CvxpyProgram, Greedy, PulpProgram
from markopt.planning.program.terms import Diversification, LargestChange
from markopt.planning.reference.cvxpy_model import shape_of
from markopt.planning.reference.cvxpy_program import CACHE
from markopt.planning.statement import Formulation, Risk
from tests.planning.problems import curve, function, offer, problem, walk_paths
from tests.planning.statements import statement_of

REFERENCES = [CvxpyProgram, PulpProgram]


def two_pools(seed: int, **changes: Any) -> Problem:
    """Two spot pools and an on-demand type, Q(D) = D, nowhere to spill unless told."""
    kinds = [
        offer("dear", price_usd_per_h=0.3, saturation_rps=20.0),
        *(
            offer(
                f"{name}/spot",
                price_usd_per_h=price,
                saturation_rps=20.0,
                purchase=PurchaseOption.SPOT,
                interruption_per_h=1.0,
            )
            for name, price in (("one", 0.10), ("two", 0.11))
        ),
    ]
    paths = walk_paths(
        np.random.default_rng(seed), samples=30, horizon=4, start_rps=200.0, step=0.1
    )
    values: dict[str, Any] = {
        "ready": {"one/spot": 6, "two/spot": 5},
        "curves": {o.instance_type: curve(0.0) for o in kinds},
        "with_function": function(),
    }
    return problem(kinds, paths, **(values | changes))


def test_a_second_statement_of_the_same_shape_is_not_compiled_again() -> None:
    planner = CvxpyProgram(interruptions="joint", risk=Risk(measure="quantile"))
    first = statement_of(planner, two_pools(1))
    second = statement_of(planner, two_pools(2, ready={"one/spot": 3}))
    key = (shape_of(first), False)
    assert key == (shape_of(second), False)
    one = planner.solve(first)
    compiled = CACHE.get(key, lambda: None)
    assert compiled.problem.is_dpp()
    program = compiled.problem._cache.param_prog
    two = planner.solve(second)
    assert compiled.problem._cache.param_prog is program
    assert two.objective_usd != one.objective_usd
    pulp = PulpProgram(interruptions="joint", risk=Risk(measure="quantile"), mip_rel_gap=1e-6)
    exact = replace(planner, mip_rel_gap=1e-6)
    assert exact.solve(second).objective_usd == pytest.approx(pulp.solve(second).objective_usd)
    assert exact.solve(first).objective_usd == pytest.approx(pulp.solve(first).objective_usd)


@dataclass(frozen=True)
class OwnTerm:
    """A term of a user's own, which only the program knows."""

    def add_rows(self, assembly: object) -> None:
        del assembly


@pytest.mark.parametrize("make", REFERENCES)
def test_a_term_without_a_formulation_is_named(make: type) -> None:
    with pytest.raises(ConfigError, match="'OwnTerm' has no formulation"):
        make(terms={"mine": OwnTerm()}).plan(two_pools(1))


@pytest.mark.parametrize("make", REFERENCES)
def test_greedy_takes_over_where_no_plan_keeps_every_row(make: type) -> None:
    # What runs of a pool is more than it may hold, and nothing may be ended.
    terms = {"few": Diversification(largest_share=0.01), "calm": LargestChange(terminations=0)}
    base = two_pools(1)
    plan = make(terms=terms).plan(base)
    assert plan.rung == "greedy"
    assert (plan.targets == Greedy().plan(base).targets).all()
    assert "needs a feasible model" in plan.reason


def test_a_solver_that_is_not_there_or_gets_no_time_leaves_it_to_greedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = CvxpyProgram(time_limit_s=0.0).plan(two_pools(1))
    assert late.rung in ("greedy", "incumbent")
    monkeypatch.setattr("pulp.COIN_CMD.available", lambda _: False)
    plan = PulpProgram().plan(two_pools(1))
    assert plan.rung == "greedy"
    assert "needs the solver 'cbc'" in plan.reason


@pytest.mark.parametrize("make", [CvxpyProgram, PulpProgram])
def test_no_zeros_of_a_solver_out_of_time_pass_for_a_plan(make: type) -> None:
    saved = Path(__file__).parent.parent / "data" / "problem_spot_heavy.json"
    given = problem_from_json(saved.read_text(encoding="utf-8"))
    plan = make(time_limit_s=1e-4).plan(given)
    assert plan.rung == "greedy"
    assert plan.targets[:, 0].sum() > 0.0


@pytest.mark.parametrize("make", REFERENCES)
def test_functions_alone_answer_where_no_offer_does(make: type) -> None:
    slow = offer("c5.large", service_times_s=(0.9,))
    with pytest.raises(Infeasible, match=r"rt_max_s=0\.2"):
        make().plan(problem([slow], [[10.0, 10.0]]))
    plan = make().plan(problem([slow], [[10.0, 10.0]], with_function=function()))
    assert plan.targets.sum() == 0
    assert plan.planner == make().plan(two_pools(1)).planner


@pytest.mark.parametrize("make", REFERENCES)
def test_unusable_solver_settings_name_the_key(make: type) -> None:
    with pytest.raises(ConfigError, match=r"planner\.solver"):
        make(solver="gurobi")
    with pytest.raises(ConfigError, match=r"planner\.mip_rel_gap"):
        make(mip_rel_gap=1.0)
    with pytest.raises(ConfigError, match=r"planner\.window"):
        make(window=0)


def test_bounds_of_every_solver_enclose_the_optimum() -> None:
    base = two_pools(3, with_function=None)
    best = PulpProgram(mip_rel_gap=0.0, solver="highs").plan(base).objective_usd
    assert best is not None
    for planner in (CvxpyProgram(), PulpProgram(), PulpProgram(solver="highs")):
        plan = planner.plan(base)
        assert plan.bound_usd is not None
        assert plan.objective_usd is not None
        assert plan.bound_usd <= best * (1.0 + 1e-6) <= plan.objective_usd * (1.0 + 2e-6)
        assert plan.gap is not None
        assert plan.gap <= 5e-3 + 1e-9


def cone(share: float = 0.05, **changes: Any) -> CvxpyProgram:
    values: dict[str, Any] = {
        "interruptions": "joint",
        "shared_shock_share": 0.2,
        "gaussian_cone": True,
        "risk": Risk(measure="gaussian", violation_share=share),
    }
    return CvxpyProgram(**(values | changes))


def normal_violation(planner: Formulation, base: Problem, counts: np.ndarray, t: int) -> float:
    """Of interval t, with what serves and what is required taken for normal and independent."""
    statement = statement_of(planner, base)
    serves = statement.available[:, :, t] @ (statement.fleet.mu * counts)
    probability, q = statement.states.probability, base.forecast.paths_rps[:, t]
    mean = float(probability @ serves)
    variance = float(probability @ (serves - mean) ** 2) + float(q.var())
    return NormalDist(mean - float(q.mean()), variance**0.5).cdf(0.0)


def test_the_cone_keeps_the_normal_promise_with_the_pools_covariance() -> None:
    # Functions that are few and paid for cannot keep the promise in place of instances.
    lam = function(concurrency_limit=1, warm_price_usd_per_s=1e-4)
    base = two_pools(4, with_function=lam)
    plan = cone(spill_weight=0.01).plan(base)  # spill is cheap: the promise asks for instances
    assert plan.rung == "rounded"
    assert plan.objective_usd is not None
    assert plan.bound_usd is not None
    assert plan.bound_usd <= plan.objective_usd
    first = 2  # launches of now are ready in the third interval
    counts = plan.targets[:, first].astype(float)
    booting = np.maximum(np.diff(plan.targets, axis=1, prepend=0), 0)[:, first - 1 : first + 1]
    counts -= booting.sum(axis=1)
    assert normal_violation(cone(), base, counts, first) <= 0.05
    # Fewer of the same break it: the promise binds, but for what rounding up adds.
    fewer = counts * 0.75
    assert normal_violation(cone(), base, fewer, first) > 0.05


def test_the_cone_without_interruptions_is_the_gaussian_level() -> None:
    base = two_pools(5)
    kinds = tuple(replace(o, interruption_per_h=0.0) for o in base.offers)
    sure = replace(base, offers=kinds)
    coned = cone().plan(sure)
    plain = CvxpyProgram(
        interruptions="joint", risk=Risk(measure="gaussian", violation_share=0.05), mip_rel_gap=1e-6
    ).plan(sure)
    assert coned.bound_usd is not None
    assert plain.objective_usd is not None
    # The cone's relaxation is below the whole optimum, its rounded plan above.
    assert coned.bound_usd <= plain.objective_usd * (1.0 + 1e-6)
    assert coned.objective_usd >= plain.objective_usd * (1.0 - 1e-6)
    assert coned.objective_usd <= plain.objective_usd * 1.2


def test_the_cone_needs_the_gaussian_measure() -> None:
    with pytest.raises(ConfigError, match=r"planner\.gaussian_cone: needs .*measure=gaussian"):
        cone(risk=Risk(measure="quantile"))
    with pytest.raises(ConfigError, match=r"at most 0\.5"):
        cone(share=0.6)
