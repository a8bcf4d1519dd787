"""Limits in conflict: irreducible, of any planner, and hard where that is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Limits, Problem, SloWindow
from markopt.errors import Infeasible
from markopt.planning import Greedy, Program, WithHardSlo
from markopt.planning.explanation import Resolver, find_conflict, with_conflict
from markopt.planning.explanation.limits import MissBudget, Stock, conflicting_limits
from tests.planning.problems import EIGHT, curve, offer, problem
from tests.planning.test_contract import contract_problem
from tests.planning.test_explanation import explained, scarce
from tests.planning.test_program import problems

QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def test_a_conflict_names_the_limits_that_cause_it_and_no_others() -> None:
    base = problem(
        [offer("c5.large", launch_delay_s=0.0, stock=2), offer("p2.xlarge", stock=100, vcpus=4.0)],
        np.full((1, 6), 100.0),
        ready={"c5.large": 2},
        limits=Limits(max_vcpus=4.0, max_launches_per_interval=50),
    )
    found = find_conflict(Resolver(Program()), base)
    assert found is not None
    assert found.limits == ("vCPU quota of 4", "SLO of 98 % within 0.2 s")


def test_scarce_offers_are_named_one_by_one() -> None:
    kinds = [offer(name, launch_delay_s=0.0, stock=1) for name in ("a", "b", "c")]
    base = problem(kinds, np.full((1, 6), 150.0), limits=Limits(max_vcpus=1000.0))
    found = find_conflict(Resolver(Program()), base)
    assert found is not None
    assert found.limits == (
        "stock of 1 a", "stock of 1 b", "stock of 1 c", "SLO of 98 % within 0.2 s",
    )  # fmt: skip


def test_misses_of_the_past_and_launch_delays_can_be_in_the_way() -> None:
    kind = offer("c5.large", launch_delay_s=100.0)
    rise = problem([kind], np.full((1, 6), 100.0), ready={"c5.large": 1})
    found = find_conflict(Resolver(Program()), rise)
    assert found is not None
    assert found.limits == ("launches take 100 s", "SLO of 98 % within 0.2 s")
    # A window with much room hides the delay, until it has missed too much.
    room = SloWindow(requests=1_000_000, violations=0, remaining_s=1800.0)
    assert find_conflict(Resolver(Program()), replace(rise, window=room)) is None
    spent = replace(rise, window=replace(room, violations=19_000))
    found = find_conflict(Resolver(Program()), spent)
    assert found is not None
    assert "19,000 of 1,000,000 requests already missed in this window" in found.limits


def test_a_problem_that_can_be_met_has_no_conflict() -> None:
    assert find_conflict(Resolver(Program()), scarce()) is None
    empty = problem([], np.full((1, 3), 10.0), curves={"x": curve()})
    assert find_conflict(Resolver(Program()), empty) is None


@QUICK
@given(
    base=problems(),
    vcpus=st.none() | st.floats(0.0, 8.0),
    launches=st.none() | st.integers(0, 1),
    stock=st.none() | st.integers(0, 2),
)
def test_a_conflict_is_irreducible(
    base: Problem, vcpus: float | None, launches: int | None, stock: int | None
) -> None:
    base = replace(
        base,
        function=None,
        offers=tuple(replace(o, stock=stock) for o in base.offers),
        limits=Limits(max_vcpus=vcpus, max_launches_per_interval=launches),
    )
    resolver = Resolver(Program())
    found = find_conflict(resolver, base)
    every = conflicting_limits(base)
    several = [limit for limit in every if isinstance(limit, Stock)]
    every = [limit for limit in every if limit not in several]
    every += [Stock((name,)) for limit in several for name in limit.offers]

    def keeps_slo(enforced: list) -> bool:
        kept = base
        for limit in every:
            if limit not in enforced:
                kept = limit.lifted(kept)
        return resolver.solve(kept).keeps_slo

    if found is None:
        assert keeps_slo(every)
        return
    named = [limit for limit in every if limit.stated(base) in found.limits]
    assert len(named) == len(found.limits)
    assert any(isinstance(limit, MissBudget) for limit in named)
    assert not keeps_slo(named)
    for limit in named:
        assert keeps_slo([other for other in named if other != limit]), limit


def test_an_infeasible_plan_of_any_planner_names_the_conflict() -> None:
    base = problem(EIGHT, np.full((1, 6), 100.0), limits=Limits(max_launches_per_interval=1))
    with pytest.raises(Infeasible) as caught:
        Greedy().plan(base)
    error = with_conflict(Greedy(), base, caught.value)
    assert "conflicting limits: " in str(error)
    assert "at most 1 launch per interval" in str(error)
    assert with_conflict(Greedy(), base, error) is error


def test_what_is_too_slow_is_named_as_the_conflict() -> None:
    slow = problem([offer("c5.large", service_times_s=(0.9,))], np.full((1, 6), 10.0))
    with pytest.raises(Infeasible) as caught:
        Program().plan(slow)
    text = str(with_conflict(Program(), slow, caught.value))
    assert text.endswith("conflicting limits: rt_max_s of 0.2 s (fastest: c5.large, 0.9 s)")


def test_a_hard_slo_gives_the_same_plan_or_says_why_there_is_none() -> None:
    hard = WithHardSlo(planner=Program())
    fine = contract_problem(2)
    assert (hard.plan(fine).targets == Program().plan(fine).targets).all()
    tight = problem(
        [offer("c5.large", launch_delay_s=0.0)],
        np.full((1, 6), 100.0),
        limits=Limits(max_vcpus=4.0),
    )
    with pytest.raises(Infeasible) as caught:
        hard.plan(tight)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("conflicting limits: vCPU quota of 4; SLO of 98 % within 0.2 s")
    assert "needs 98 % of requests within 0.2 s" in text
    assert Program().plan(tight).rung == "optimal"


def test_a_pool_quota_has_a_worth_and_can_be_in_conflict() -> None:
    kind = offer("c5.large", launch_delay_s=0.0)
    limits = Limits(max_instances_by_pool={"c5.large/a": 2})
    base = problem([kind], np.full((1, 6), 100.0), ready={"c5.large": 2}, limits=limits)
    explanation = explained(base, Program())
    assert explanation.conflict == ("quota of 2 for pool c5.large/a", "SLO of 98 % within 0.2 s")
    (worth,) = explanation.of("limit")
    assert worth.subject == "one more instance of quota for pool c5.large/a (now 2)"
    assert worth.difference.late < -100.0
