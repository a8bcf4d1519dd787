"""Explanations: every amount against another way to find it, on any planner."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Limits, Plan, Problem, PurchaseOption, SloWindow
from markopt.errors import Infeasible
from markopt.planning import (
    Greedy,
    Program,
    SquareRootStaffing,
    StaticPeak,
    TargetTracking,
    WithHardSlo,
    WithStandbys,
    evaluate_plan,
)
from markopt.planning.explanation import (
    Difference,
    explain,
    sharpened,
)
from markopt.planning.explanation.listing import explanation_text, footnote, sections
from markopt.planning.explanation.sentences import change_words
from markopt.planning.explanation.words import count, decision_words, listed, usd
from tests.planning.problems import curve, function, offer, problem, walk_paths
from tests.planning.test_contract import contract_problem
from tests.planning.test_program import problems

PLAIN = Program(spill_weight=1.0)
QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
DEAR_FUNCTION = function(price_usd_per_gb_s=0.01)


def explained(base: Problem, planner=PLAIN):
    return explain(planner, base, planner.plan(base))


def scarce(stock: int = 2, **changes) -> Problem:
    """Cheap instances of which there are too few beside dear ones of the same kind; steady load."""
    kinds = (
        offer(
            "c5.large/spot",
            price_usd_per_h=0.035,
            stock=stock,
            launch_delay_s=0.0,
            purchase=PurchaseOption.SPOT,
        ),
        offer("c5.large/on_demand", price_usd_per_h=0.085, launch_delay_s=0.0),
    )
    return problem(
        kinds,
        np.full((1, 6), 100.0),
        ready={"c5.large/spot": 2, "c5.large/on_demand": 2},
        with_function=DEAR_FUNCTION,
        **changes,
    )


def test_one_more_of_stock_saves_the_difference_of_the_prices() -> None:
    (worth,) = explained(scarce()).of("limit")
    assert worth.subject == "one more c5.large/spot of stock (now 2)"
    assert worth.difference is not None
    assert worth.difference.usd_per_h == pytest.approx(0.035 - 0.085, abs=1e-4)
    assert worth.sentence.endswith("would save $0.0500/h")


def test_a_vcpu_more_is_worth_what_it_lets_the_cheaper_offer_replace() -> None:
    # Four vCPUs: room for two instances, of which the load needs four; the rest is spilled.
    base = problem(
        [offer("c5.large", launch_delay_s=0.0)],
        np.full((1, 6), 100.0),
        ready={"c5.large": 2},
        with_function=DEAR_FUNCTION,
        limits=Limits(max_vcpus=4.0),
    )
    explanation = explained(base)
    (worth,) = explanation.of("limit")
    assert worth.subject == "2 more vCPUs of quota (now 4; room for one c5.large)"
    three = replace(base, limits=Limits(max_vcpus=6.0))
    expected = PLAIN.plan(three).objective_usd - PLAIN.plan(base).objective_usd
    assert worth.difference.usd_per_h == pytest.approx(10.0 * expected, rel=1e-3)
    assert worth.difference.spilled < 0.0
    assert "fewer requests on functions" not in worth.sentence  # all of it is on the bill


def test_limits_that_do_not_bind_are_listed_and_not_asked_about() -> None:
    explanation = explained(scarce(stock=50, limits=Limits(max_vcpus=100.0)))
    assert explanation.of("limit") == ()
    assert "8 of 100 vCPUs" in explanation.loose
    assert "4 of 50 c5.large/spot in stock" in explanation.loose


def test_a_launch_more_per_interval_is_worth_fewer_late_requests_without_a_function() -> None:
    base = problem(
        [offer("c5.large", launch_delay_s=60.0)],
        [[30.0, 90.0, 150.0, 200.0, 200.0, 200.0]],
        ready={"c5.large": 2},
        limits=Limits(max_launches_per_interval=1),
    )
    explanation = explained(base)
    worth = {finding.subject: finding for finding in explanation.of("limit")}
    launches = worth["one more launch per interval (now 1)"]
    assert launches.difference.late < -100.0
    assert "fewer requests late" in launches.sentence
    assert "at most 1 launch per interval" in explanation.conflict
    assert explanation.late_requests > 100.0
    assert any("beyond its budget" in sentence for sentence in explanation.lead)


def test_a_termination_more_per_interval_is_worth_what_an_idle_instance_costs() -> None:
    base = problem(
        [offer("c5.large", price_usd_per_h=0.085)],
        np.full((1, 6), 10.0),
        ready={"c5.large": 12},
        limits=Limits(max_terminations_per_interval=1),
    )
    explanation = explained(base)
    worth = {finding.subject: finding for finding in explanation.of("limit")}
    ends = worth["one more termination per interval (now 1)"]
    assert ends.difference.usd_per_h < 0.0
    assert "at most 1 termination per interval" not in explanation.conflict


def test_function_environments_have_a_worth_where_they_bind() -> None:
    base = problem(
        [offer("c5.large", stock=1, launch_delay_s=0.0)],
        np.full((1, 6), 100.0),
        ready={"c5.large": 1},
        with_function=function(concurrency_limit=10, warm_price_usd_per_s=1e-6),
    )
    worth = {finding.subject: finding for finding in explained(base).of("limit")}
    assert worth["1 more function environment at once (now 10)"].difference.late < -100.0
    assert not [name for name in worth if "allowed in this SLO window" in name]


def test_late_requests_allowed_are_worth_the_instance_that_they_spare() -> None:
    # 5,000 misses are allowed in six minutes: one instance of 28 rps fewer would miss 9,900.
    base = problem(
        [offer("c5.large", saturation_rps=28.0, launch_delay_s=0.0)],
        np.full((1, 6), 100.0),
        ready={"c5.large": 4},
        curves={"c5.large": curve(0.0)},
        window=SloWindow(requests=250_000, violations=0, remaining_s=1800.0),
    )
    explanation = explained(base, replace(PLAIN, miss_weight=None))
    worth = [f for f in explanation.of("limit") if "allowed in this SLO window" in f.subject]
    assert worth, explanation.loose
    (few,) = worth
    assert few.subject == "500 more late requests allowed in this SLO window"
    assert few.difference.usd_per_h <= 0.0
    many = replace(base, window=replace(base.window, violations=-500))
    fine = sharpened(PLAIN)
    expected = fine.plan(many).objective_usd - fine.plan(base).objective_usd
    assert few.difference.usd_per_h == pytest.approx(10.0 * expected, abs=1e-6)


def test_one_more_is_the_best_plan_that_launches_one_more() -> None:
    kind = offer("c5.large", launch_delay_s=60.0)
    base = problem([kind], [[20.0, 70.0, 120.0]], ready={"c5.large": 1}, with_function=function())
    planner = Program(spill_weight=1.0, cut_count=200, mip_rel_gap=0.0)
    plan = planner.plan(base)
    now = int(plan.targets[0, 0])
    costs = {}
    for path in np.ndindex(9, 9, 9):
        account = evaluate_plan(base, replace(plan, targets=np.array([path])))
        if account.feasible:
            costs[path] = account.total_usd
    best = min(cost for path, cost in costs.items() if path[0] == now + 1)
    assert plan.objective_usd == pytest.approx(min(costs.values()), rel=1e-6)
    more = [f for f in explained(base, planner).of("alternative") if f.exact]
    found = next(f for f in more if f.decision.startswith(f"launch {now} "))
    assert found.difference.usd_per_h / 20.0 == pytest.approx(best - plan.objective_usd, rel=1e-3)


def test_the_next_best_decision_is_another_one_and_not_cheaper() -> None:
    base = contract_problem(2)
    explanation = explained(base, Program())
    nearest = explanation.next_best
    assert nearest is not None
    assert nearest.decision != explanation.decision
    costs = [f.difference.usd_per_h for f in explanation.of("alternative")]
    assert costs == sorted(costs)
    assert costs[0] >= -explanation.noise_usd_per_h - 1e-9


def test_a_pool_that_vanishes_takes_its_instances_and_leaves_on_demand_ones() -> None:
    explanation = explained(scarce(stock=20))
    (pool,) = explanation.of("pool")
    assert pool.subject == "the spot pool c5.large/a vanishes (2 running)"
    assert pool.decision.startswith("launch 2 c5.large/on_demand")
    # Four instances at the price of on-demand ones instead of spot.
    assert pool.difference.usd_per_h == pytest.approx(4 * 0.05, rel=1e-2)


def test_without_spot_no_pool_is_asked_about() -> None:
    base = problem([offer("c5.large")], np.full((1, 6), 50.0), ready={"c5.large": 2})
    assert explained(base).of("pool") == ()


def test_a_tenth_more_load_and_half_the_misses_are_the_planners_own_plans() -> None:
    base = contract_problem(1)
    explanation = explained(base)
    higher = replace(base.forecast, paths_rps=base.forecast.paths_rps * 1.1)
    fine = sharpened(PLAIN)
    expected = fine.plan(replace(base, forecast=higher)).objective_usd
    expected -= fine.plan(base).objective_usd
    load = explanation.of("load")[0]
    assert load.subject == "a load 10 % higher"
    assert load.difference.usd_per_h == pytest.approx(10.0 * expected, rel=1e-6)
    assert [f.subject for f in explanation.of("slo")] == ["an SLO of 99 %", "an SLO of 96 %"]


@QUICK
@given(problems(), st.none() | st.integers(0, 3), st.none() | st.floats(0.0, 12.0))
def test_less_limited_is_never_dearer_and_less_choice_never_cheaper(
    base: Problem, stock: int | None, vcpus: float | None
) -> None:
    shared = curve()
    base = replace(
        base,
        offers=tuple(replace(o, stock=stock) for o in base.offers),
        limits=Limits(max_vcpus=vcpus, max_launches_per_interval=2),
        required_throughput=replace(
            base.required_throughput,
            curves=dict.fromkeys(base.required_throughput.curves, shared),
        ),
    )
    explanation = explained(base)
    tolerance = explanation.noise_usd_per_h + 1e-6
    for finding in explanation.findings:
        change = finding.difference
        if change is None or change.least_usd_per_h is None:
            continue
        if finding.kind == "limit":
            assert change.least_usd_per_h <= tolerance
        elif finding.kind in ("alternative", "pool"):
            assert change.most_usd_per_h >= -tolerance
    assert explanation.solves <= 60
    json.dumps(explanation.document(), allow_nan=False)


@pytest.mark.parametrize(
    "planner",
    [
        Greedy(),
        TargetTracking(),
        StaticPeak(),
        SquareRootStaffing(),
        WithStandbys(Program(), "t2.medium", 3),
        WithHardSlo(planner=Program()),
    ],
    ids=lambda planner: type(planner).__name__,
)
def test_any_planner_can_be_explained_twice_with_the_same_words(planner) -> None:
    base = contract_problem(1, limits=Limits(max_vcpus=40.0))
    base = replace(base, offers=(*base.offers[:2], *base.offers[-1:]))
    first, second = explained(base, planner), explained(base, planner)
    assert first == second
    assert first.decision == decision_words(base, planner.plan(base))
    assert first.of("load")


def test_a_planner_of_ones_own_needs_nothing_but_plan() -> None:
    class Two:
        def plan(self, base: Problem) -> Plan:
            counts = np.full((len(base.offers), base.horizon), 2)
            return Plan("two", 0.0, tuple(o.name for o in base.offers), counts,
                        np.zeros(base.horizon), "rule", "always two")  # fmt: skip

    base = problem([offer("c5.large")], np.full((1, 4), 30.0), ready={"c5.large": 1})
    explanation = explain(Two(), base, Two().plan(base))
    assert explanation.decision == "launch 1 c5.large"
    assert explanation.lead[1].endswith("a 'rule' proves no bound")
    assert explanation.relative_gap is None


def test_a_question_without_a_plan_is_answered_with_the_reason() -> None:
    class OnlySpot:
        def plan(self, base: Problem) -> Plan:
            if base.offers[0].stock == 0:
                raise Infeasible("Greedy: nothing to be had")
            return PLAIN.plan(base)

    (pool,) = explained(scarce(), OnlySpot()).of("pool")
    assert pool.difference is None
    assert pool.sentence.endswith("there would be no plan (Greedy: nothing to be had)")


def test_the_decision_explained_is_the_one_given_even_where_a_smaller_gap_finds_another() -> None:
    base = contract_problem(3)
    plan = Program().plan(base)
    other = replace(plan, targets=plan.targets + 1, objective_usd=2.0 * plan.objective_usd)
    explanation = explain(Program(), base, other)
    assert explanation.decision == decision_words(base, other)
    assert any("Solved to a smaller gap the plan is to" in s for s in explanation.lead)


def test_a_large_problem_is_asked_less_to_the_planners_own_gap() -> None:
    kinds = [
        offer(f"type{k}", price_usd_per_h=0.05 + 0.001 * k, stock=1, launch_delay_s=60.0)
        for k in range(120)
    ]
    base = problem(kinds, np.full((1, 6), 100.0), ready={"type0": 1}, with_function=DEAR_FUNCTION)
    explanation = explained(base)
    assert explanation.relative_gap == PLAIN.mip_rel_gap
    assert len(explanation.of("limit")) <= 2
    assert explanation.solves <= 12


def test_the_text_is_wrapped_and_says_nothing_odd() -> None:
    tight = contract_problem(0, limits=Limits(max_vcpus=16.0, max_launches_per_interval=2))
    tight = replace(tight, offers=tight.offers[:3])
    for base in (tight, replace(tight, function=None)):
        explanation = explained(base, Program())
        text = explanation_text(explanation, 80).plain
        assert max(map(len, text.splitlines())) <= 80
        for word in ("nan", "None", "inf,", "$-", "np.float"):
            assert word not in text
        for _, sentences in sections(explanation):
            assert all("\n" not in sentence for sentence in sentences)
        assert f"{explanation.solves} re-solves" in footnote(explanation)


def test_differences_below_the_noise_or_the_gap_are_called_so() -> None:
    sure = Difference(0.02, 0.01, 0.03, 0.02, 0.0, 0.0)
    assert change_words(sure, 0.0) == "$0.0200/h more"
    assert change_words(sure, 0.05) == "at about the same cost (within $0.0500/h)"
    unsure = Difference(0.02, -0.01, 0.03, 0.02, 0.0, 0.0)
    assert change_words(unsure, 0.0) == "at the same cost within the gap (at most $0.0300/h more)"
    late = Difference(-0.5, None, None, -0.5, 1.0, 0.0)
    assert change_words(late, 0.0) == (
        "1 more request late beyond the SLO's budget, $0.500/h less on the bill"
    )
    assert change_words(sure, 0.0, at_most=True) == "at most $0.0200/h more"


def test_words() -> None:
    assert [usd(x) for x in (0.0, 0.00042, 0.0123, 0.31, 12.3456, 12345.6, -2.0)] == [
        "$0", "$0.0004", "$0.0123", "$0.310", "$12.35", "$12,346", "-$2.00",
    ]  # fmt: skip
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh"), 3) == "a, b, c and 5 more"
    assert (count(1, "launch", "launches"), count(2, "launch", "launches")) == (
        "1 launch",
        "2 launches",
    )


def test_late_requests_are_explained_by_an_irreducible_set() -> None:
    tight = problem(
        [offer("c5.large/spot", purchase=PurchaseOption.SPOT, launch_delay_s=0.0, stock=2)],
        walk_paths(np.random.default_rng(0), samples=5, horizon=6, start_rps=120.0),
    )
    explanation = explained(tight, Program())
    assert explanation.conflict == ("stock of 2 c5.large/spot", "SLO of 98 % within 0.2 s")
    assert "Why the SLO cannot be kept" in dict(sections(explanation))


def test_a_budget_that_is_exceeded_is_not_called_unused() -> None:
    late = problem([offer("c5.large", stock=1)], np.full((1, 6), 100.0), ready={"c5.large": 1})
    assert not any("may yet miss" in words for words in explained(late).loose)
    calm = problem([offer("c5.large")], np.full((1, 6), 10.0), ready={"c5.large": 1})
    spare = replace(calm, window=SloWindow(10_000, 0, 1800.0))
    assert any("may yet miss" in words for words in explained(spare).loose)
