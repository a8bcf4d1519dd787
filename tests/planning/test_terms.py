"""Each term on its own: it holds in the plan, costs no less, and is not there when it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning import Program, evaluate_plan
from markopt.planning.program.terms import (
    BillCvar,
    BudgetCap,
    Diversification,
    LargestChange,
    MakeBeforeBreak,
)
from tests.fuzzing import examples
from tests.planning.problems import curve, function, offer, problem
from tests.planning.statements import TERMS, decisions

EXACT = Program(window=None, spill_weight=1.0, mip_rel_gap=1e-6, max_nodes=100_000)


@settings(
    max_examples=examples(25),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(decisions(pooling=False), st.sampled_from(sorted(TERMS)))
def test_cost_never_falls_when_a_term_is_added(base: Problem, name: str) -> None:
    free = EXACT.plan(base)
    bound = replace(EXACT, terms={name: TERMS[name]}).plan(base)
    if "greedy" in (free.rung, bound.rung) or "hold" in (free.rung, bound.rung):
        return
    assert free.bound_usd is not None
    assert bound.objective_usd is not None
    assert bound.objective_usd >= free.bound_usd - 1e-6 * abs(free.bound_usd) - 1e-9


@pytest.mark.parametrize("name", sorted(TERMS))
def test_a_term_that_is_off_leaves_no_row(name: str) -> None:
    base = problem([offer("a"), offer("b/spot", purchase=PurchaseOption.SPOT)], [[50.0] * 4])
    off = EXACT.build(base).model
    on = replace(EXACT, terms={name: TERMS[name]}).build(base).model
    known = {row for row, _, _ in off.row_blocks}
    assert {row for row, _, _ in on.row_blocks} >= known
    assert len(on.row_lower) > len(off.row_lower)


def test_make_before_break_keeps_what_serves_until_others_do() -> None:
    old = offer("old", price_usd_per_h=0.3, saturation_rps=30.0)
    new = offer("new", price_usd_per_h=0.03, saturation_rps=30.0)
    cheap_spill = function(price_usd_per_gb_s=1e-9, price_usd_per_invocation=1e-12)
    base = problem(
        [old, new],
        np.full((1, 8), 60.0),
        ready={"old": 2},
        curves={"old": curve(0.0), "new": curve(0.0)},
        with_function=cheap_spill,
    )
    assert EXACT.plan(base).target_now()["old"] == 0  # spill is cheaper than to wait for others
    terms = {"kept": MakeBeforeBreak()}
    plan = replace(EXACT, terms=terms).plan(base)
    assert plan.target_now()["old"] == 2
    assert evaluate_plan(base, plan, terms=terms).feasible


def spot_pools() -> Problem:
    kinds = [
        offer(
            f"{name}/spot",
            price_usd_per_h=price,
            saturation_rps=10.0,
            purchase=PurchaseOption.SPOT,
            launch_delay_s=0.0,
        )
        for name, price in (("one", 0.02), ("two", 0.03), ("three", 0.04))
    ]
    curves = {o.instance_type: curve(0.0) for o in kinds}
    return problem(kinds, np.full((1, 4), 100.0), curves=curves)


def test_diversification_spreads_over_pools() -> None:
    base = spot_pools()
    assert EXACT.plan(base).targets[:, 0].tolist() == [10, 0, 0]
    terms = {"spread": Diversification(largest_share=0.4)}
    plan = replace(EXACT, terms=terms).plan(base)
    assert plan.targets[:, 0].tolist() == [4, 4, 2]
    assert evaluate_plan(base, plan, terms=terms).feasible
    assert not evaluate_plan(base, EXACT.plan(base), terms=terms).feasible


def test_largest_change_bounds_launches_and_terminations() -> None:
    base = spot_pools()
    few = replace(EXACT, terms={"calm": LargestChange(launches=3)}).plan(base)
    assert few.targets.sum(axis=0).tolist() == [3, 6, 9, 10]
    kind = offer("a", launch_delay_s=0.0)
    idle = problem([kind], np.zeros((1, 4)), ready={"a": 6})
    assert EXACT.plan(idle).targets[0].tolist() == [0, 0, 0, 0]
    slow = replace(EXACT, terms={"calm": LargestChange(terminations=2)}).plan(idle)
    assert slow.targets[0].tolist() == [4, 2, 0, 0]


def test_a_budget_cap_is_kept_where_it_can_be_and_paid_for_where_not() -> None:
    kind = offer("a", price_usd_per_h=0.6, saturation_rps=10.0, launch_delay_s=0.0)
    base = problem(
        [kind],
        np.full((1, 4), 100.0),
        curves={"a": curve(0.0)},
        with_function=function(price_usd_per_gb_s=1e-9, price_usd_per_invocation=1e-12),
    )
    dear = replace(EXACT, spill_weight=1e6)  # but for the cap instances would serve
    assert dear.plan(base).targets[0].tolist() == [10] * 4
    terms = {"cap": BudgetCap(usd_per_h=3.001)}
    plan = replace(dear, terms=terms).plan(base)
    assert plan.targets[0].sum() == 20  # 3 USD/h are five instances on average
    assert evaluate_plan(base, plan, terms=terms).cost_usd["overrun"] == pytest.approx(0.0)
    running = replace(base, fleet=problem([kind], [[1.0]], pending={"a": (240.0,) * 9}).fleet)
    over = replace(dear, terms=terms).plan(running)
    assert over.rung == "optimal"  # what is committed exceeds the cap, and is no reason to fail
    assert evaluate_plan(running, over, terms=terms).cost_usd["overrun"] > 0.0


def test_the_dear_scenarios_bill_buys_insurance() -> None:
    # One path in ten is high: worth no instance on average, but where the dearest tenth counts.
    kind = offer("a", price_usd_per_h=0.6, saturation_rps=100.0, launch_delay_s=0.0)
    paths = np.full((10, 3), 0.0)
    paths[0] = 100.0
    lam = function(price_usd_per_gb_s=6e-6, concurrency_limit=1000)
    base = problem([kind], paths, curves={"a": curve(0.0)}, with_function=lam)
    usd = lam.price_usd_per_request * 100.0 * 3600.0
    assert 0.1 * usd < 0.6 < usd
    assert EXACT.plan(base).targets.sum() == 0
    insured = replace(EXACT, terms={"tail": BillCvar(level=0.9, weight=5.0)}).plan(base)
    assert insured.targets[0].tolist() == [1, 1, 1]


def test_unusable_terms_name_the_key() -> None:
    with pytest.raises(ConfigError, match="largest_share"):
        Diversification(largest_share=0.0)
    with pytest.raises(ConfigError, match="terminations"):
        LargestChange(terminations=-1)
    with pytest.raises(ConfigError, match="usd_per_h"):
        BudgetCap(usd_per_h=0.0)
    with pytest.raises(ConfigError, match="level"):
        BillCvar(level=1.0)
