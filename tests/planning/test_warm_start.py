"""A warm start makes a decision faster or does nothing: whatever it says, the plan is as good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Problem, WarmStart
from markopt.core.documents import (
    plan_from_json,
    plan_to_json,
    problem_from_json,
    problem_to_json,
)
from markopt.errors import ConfigError, PlanningError
from markopt.planning import Program, evaluate_plan
from markopt.planning.program.warm import read
from markopt.planning.statement import Formulation
from tests.planning.problems import EIGHT, function, problem, walk_paths
from tests.planning.statements import decisions, settings_of_all, statement_of
from tests.planning.test_program import problems

FEW = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
    "derandomize": True,
}
GAP = 1e-4
COUNTS = st.sampled_from([0.0, 0.3, 1.0, 2.5, 40.0, 1e9])


@st.composite
def warm_starts(draw: st.DrawFn, names: tuple[str, ...], time_s: float) -> WarmStart:
    """Anything that a warm start can be: other offers, other times, impossible counts."""
    offers = draw(st.lists(st.sampled_from([*names, "gone", "never/was"]), max_size=5))
    intervals = draw(st.integers(1, 7))
    size = (len(offers), intervals)
    ready = [[draw(COUNTS) for _ in range(intervals)] for _ in offers]
    return WarmStart(
        time_s=time_s - 60.0 * draw(st.sampled_from([0, 1, 2, 30, -5])),
        interval_s=draw(st.sampled_from([60.0, 60.0, 60.0, 30.0])),
        offers=tuple(offers),
        ready=np.array(ready).reshape(size),
        warm_functions=np.array([draw(COUNTS) for _ in range(intervals)]),
    )


@settings(max_examples=50, **FEW)
@given(st.data(), decisions(pooling=False), settings_of_all())
def test_from_any_start_a_plan_is_proven_as_well_and_costs_as_little(
    data: st.DataObject, base: Problem, chosen: dict[str, Any]
) -> None:
    planner = Program(**chosen, mip_rel_gap=GAP, max_nodes=100_000)
    names = tuple(offer.name for offer in base.offers)
    begun = replace(base, warm_start=data.draw(warm_starts(names, base.time_s)))
    cold, warm = planner.plan(base), planner.plan(begun)
    assert evaluate_plan(begun, warm).feasible
    assert (cold.objective_usd is None) == (warm.objective_usd is None)
    if cold.objective_usd is None or warm.objective_usd is None:
        return
    assert cold.bound_usd is not None
    assert warm.bound_usd is not None
    # What one of them proves the other does not undercut, and where both are proven they agree.
    slack = 2e-5 * abs(cold.objective_usd) + 1e-7
    assert warm.bound_usd <= cold.objective_usd + slack
    assert cold.bound_usd <= warm.objective_usd + slack
    if cold.rung == warm.rung == "optimal":
        slack = 2.0 * GAP * abs(cold.objective_usd) + 1e-6
        assert warm.objective_usd == pytest.approx(cold.objective_usd, abs=slack)


@settings(max_examples=15, **FEW)
@given(problems())
def test_a_plans_own_warm_start_is_saved_with_problem_and_plan(base: Problem) -> None:
    plan = Program().plan(base)
    again = plan_from_json(plan_to_json(plan))
    assert plan_to_json(again) == plan_to_json(plan)
    if plan.warm_start is None:
        return
    following = replace(base, time_s=base.time_s + 60.0, warm_start=plan.warm_start)
    following = replace(following, forecast=replace(base.forecast, start_s=following.time_s))
    text = problem_to_json(following)
    assert problem_to_json(problem_from_json(text)) == text
    # A pure function of the problem, warm start and all.
    planned = Program().plan(following)
    assert plan_to_json(planned) == plan_to_json(Program().plan(problem_from_json(text)))
    assert evaluate_plan(following, planned).feasible


def test_the_schedule_moves_on_in_time() -> None:
    paths = walk_paths(np.random.default_rng(0), samples=10, horizon=6, start_rps=300.0)
    base = problem(EIGHT, paths, ready={"c5.large": 3}, with_function=function())
    plan = Program(window=None).plan(base)
    start = plan.warm_start
    assert start is not None
    assert start.ready.shape[1] == 6
    statement = statement_of(Formulation(window=None), base)
    now = read(start, statement)
    assert now is not None
    later = replace(base, time_s=base.time_s + 120.0)
    later = replace(later, forecast=replace(base.forecast, start_s=later.time_s))
    moved = read(start, statement_of(Formulation(window=None), later))
    assert moved is not None
    assert (moved.numbers == now.numbers).all()
    assert (moved.ready[:, :4] == now.ready[:, 2:]).all()
    assert (moved.ready[:, 4:] == now.ready[:, -1:]).all()
    for other in (
        replace(start, time_s=base.time_s + 60.0),
        replace(start, time_s=base.time_s - 600.0),
        replace(start, interval_s=30.0),
        replace(start, offers=tuple(f"other {name}" for name in start.offers)),
    ):
        assert read(other, statement) is None


def test_only_the_whole_plan_carries_it() -> None:
    base = problem(EIGHT, np.full((2, 6), 100.0), with_function=function())
    plan = Program().plan(base)
    assert plan.warm_start is not None
    assert plan.first_step().warm_start is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ready": [[1.0]]}, "ready must have shape"),
        ({"warm_functions": [1.0]}, "one warm count per interval"),
        ({"ready": [[1.0, -1.0], [0.0, 0.0]]}, "ready must be finite and at least 0"),
        ({"warm_functions": [1.0, np.nan]}, "warm_functions must be finite"),
        ({"interval_s": 0.0}, "interval_s must be positive"),
        ({"schema": "markopt.warm_start/0"}, "reads 'markopt.warm_start/1'"),
    ],
)
def test_a_malformed_one_is_refused(changes: dict[str, Any], text: str) -> None:
    whole = {
        "time_s": 0.0,
        "interval_s": 60.0,
        "offers": ("a", "b"),
        "ready": [[1.0, 2.0], [0.0, 0.5]],
        "warm_functions": [0.0, 3.0],
    }
    WarmStart(**whole)
    with pytest.raises(PlanningError, match=text):
        WarmStart(**{**whole, **changes})


def test_a_document_with_an_unknown_key_is_refused() -> None:
    base = problem(EIGHT, np.full((2, 6), 100.0), with_function=function())
    begun = replace(base, warm_start=Program().plan(base).warm_start)
    text = problem_to_json(begun).replace('"warm_functions":[', '"basis":[],"warm_functions":[', 1)
    with pytest.raises(ConfigError, match="basis"):
        problem_from_json(text)
