"""The program: against brute force, the independent evaluator and its own promises."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Limits, Offer, Plan, Problem, PurchaseOption, Slo, SloWindow
from markopt.errors import ConfigError, Infeasible, PlanningError, SolverFailed
from markopt.planning import Greedy, Program, evaluate_plan
from markopt.planning.program.ladder import round_up
from markopt.planning.program.presolve import undominated_offers
from markopt.planning.program.solver import SolverOptions, solve_model, write_model
from tests.planning.problems import (
    EIGHT,
    curve,
    function,
    offer,
    problem,
    walk_paths,
    without_function,
)

GAP = 1e-4
EXACT = Program(
    headroom=1.0,
    window=None,
    spill_weight=1.0,
    miss_weight=None,
    spread="open_loop",
    cut_count=200,
    mip_rel_gap=GAP,
    max_nodes=20_000,
)
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@st.composite
def problems(draw: st.DrawFn, *, offers: int = 3, horizon: int = 5) -> Problem:
    """Random decisions: some ready, some pending, spot or not, function or not, priced warm."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    kinds = []
    for k in range(draw(st.integers(1, offers))):
        spot = draw(st.booleans())
        kinds.append(
            offer(
                f"type{k}/{'spot' if spot else 'on-demand'}",
                price_usd_per_h=float(rng.uniform(0.03, 0.4)),
                saturation_rps=float(rng.uniform(15.0, 80.0)),
                purchase=PurchaseOption.SPOT if spot else PurchaseOption.ON_DEMAND,
                interruption_per_h=0.2 if spot else 0.0,
                launch_delay_s=draw(st.sampled_from([0.0, 45.0, 100.0, 130.0])),
            )
        )
    ready = {o.name: draw(st.integers(0, 3)) for o in kinds}
    pending = {kinds[0].name: tuple(draw(st.lists(st.sampled_from([20.0, 70.0]), max_size=2)))}
    noticed = {kinds[-1].name: min(draw(st.integers(0, 1)), ready[kinds[-1].name])}
    lam = draw(
        st.sampled_from(
            [None, function(), function(warm_price_usd_per_s=4e-6), function(service_time_s=0.5)]
        )
    )
    paths = walk_paths(
        rng,
        samples=draw(st.integers(1, 12)),
        horizon=draw(st.integers(1, horizon)),
        start_rps=float(rng.uniform(5.0, 150.0)),
        step=0.25,
    )
    return problem(kinds, paths, ready=ready, pending=pending, noticed=noticed, with_function=lam)


def penalized_usd(base: Problem, plan: Plan) -> float:
    """The evaluator's cost, plus the program's price for misses beyond the budget."""
    account = evaluate_plan(base, plan)
    built = EXACT.build(base)
    price = float(built.model.cost[built.slack[0]])
    names = built.model.row_names()
    allowed = [u for n, u in zip(names, built.model.row_upper, strict=True) if "budget" in n]
    over = sum(max(m - a, 0.0) for m, a in zip(account.misses, allowed, strict=True))
    return account.total_usd + price * over


@QUICK
@given(problems())
def test_objective_is_what_the_independent_evaluator_finds(base: Problem) -> None:
    plan = EXACT.plan(base)
    account = evaluate_plan(base, plan)
    assert account.feasible, account.broken
    assert plan.objective_usd is not None
    assert plan.bound_usd is not None
    # Fractional warm environments are rounded up in the plan, which the evaluator pays for.
    rounding = 0.0
    if base.function is not None:
        rounding = base.function.warm_price_usd_per_s * base.interval_s * base.horizon
    recomputed = penalized_usd(base, plan)
    assert recomputed <= plan.objective_usd * (1.0 + 1e-5) + rounding + 1e-9
    assert recomputed >= plan.bound_usd * (1.0 - 1e-6) - 1e-9


@QUICK
@given(problems(offers=2, horizon=3), st.integers(0, 3))
def test_no_plan_found_by_brute_force_is_cheaper(base: Problem, more: int) -> None:
    plan = EXACT.plan(base)
    assert plan.objective_usd is not None
    best = np.inf
    lasting = [base.fleet.of(o.name).billed - base.fleet.of(o.name).noticed for o in base.offers]
    ranges = [range(lasting_count + 2 + more // 2) for lasting_count in lasting]
    # Interval by interval counts of all offers; one interval is left to the last decision.
    steps = list(itertools.product(*ranges))
    paths = (
        itertools.product(steps, repeat=base.horizon)
        if len(steps) ** base.horizon < 1500
        else ((step,) * base.horizon for step in steps)
    )
    for path in paths:
        candidate = replace(plan, targets=np.array(path).T)
        if evaluate_plan(base, candidate).feasible:
            best = min(best, penalized_usd(base, candidate))
    assert plan.bound_usd is not None
    assert plan.bound_usd <= best * (1.0 + 1e-6) + 1e-9


def test_brute_force_finds_the_very_optimum_on_two_offers_and_three_intervals() -> None:
    kinds = (
        offer("small", price_usd_per_h=0.09, saturation_rps=20.0, launch_delay_s=60.0),
        offer("large", price_usd_per_h=0.16, saturation_rps=40.0, launch_delay_s=60.0),
    )
    base = problem(
        kinds,
        [[20.0, 45.0, 70.0], [30.0, 60.0, 90.0], [10.0, 20.0, 30.0]],
        ready={"small": 1},
        with_function=function(),
    )
    plan = replace(EXACT, mip_rel_gap=0.0).plan(base)
    counts = list(itertools.product(range(4), range(4)))
    best = min(
        account.total_usd
        for path in itertools.product(counts, repeat=3)
        if (account := evaluate_plan(base, replace(plan, targets=np.array(path).T))).feasible
    )
    assert plan.objective_usd == pytest.approx(best, rel=1e-5)
    assert evaluate_plan(base, plan).total_usd == pytest.approx(best, rel=1e-5)


@QUICK
@given(problems())
def test_relaxation_is_never_dearer_than_the_program(base: Problem) -> None:
    built = EXACT.build(base)
    relaxed = solve_model(built.model, SolverOptions(), relaxed=True, scale=1000.0)
    whole = solve_model(built.model, SolverOptions(relative_gap=GAP), scale=1000.0)
    assert relaxed.objective is not None
    assert whole.objective is not None
    assert relaxed.objective <= whole.objective * (1.0 + 1e-6) + 1e-9


@QUICK
@given(problems())
def test_greedy_is_never_cheaper_on_the_same_problem(base: Problem) -> None:
    program, greedy = EXACT.plan(base), Greedy().plan(base)
    if not evaluate_plan(base, greedy).feasible:
        return
    assert program.bound_usd is not None
    assert penalized_usd(base, program) <= penalized_usd(base, greedy) * (1 + 2 * GAP) + 5e-4


@QUICK
@given(problems(), st.floats(0.5, 0.99))
def test_cost_never_falls_when_the_slo_tightens(base: Problem, loose: float) -> None:
    base = without_function(base)
    service = replace(base.service, slo=Slo(rt_max_s=0.2, sl_min=loose))
    past = SloWindow(requests=50_000, violations=10, remaining_s=1800.0)
    easy = EXACT.plan(replace(base, service=service, window=past))
    tight = replace(base.service, slo=Slo(rt_max_s=0.2, sl_min=loose + 0.9 * (1.0 - loose)))
    hard = EXACT.plan(replace(base, service=tight, window=past))
    assert easy.bound_usd is not None
    assert hard.objective_usd is not None
    assert easy.bound_usd <= hard.objective_usd * (1.0 + 1e-6) + 1e-9


@QUICK
@given(problems())
def test_more_offers_never_raise_the_optimum(base: Problem) -> None:
    extra = offer("extra", price_usd_per_h=0.06, saturation_rps=25.0)
    curves = dict(base.required_throughput.curves)
    curves["extra"] = next(iter(curves.values()))
    wider = replace(
        base,
        offers=(*base.offers, extra),
        required_throughput=replace(base.required_throughput, curves=curves),
    )
    few, many = EXACT.plan(base), EXACT.plan(wider)
    assert many.bound_usd is not None
    assert few.objective_usd is not None
    dearest = many.bound_usd * (1.0 - 1e-6)
    assert dearest <= few.objective_usd + 1e-9


@QUICK
@given(problems())
def test_order_of_offers_does_not_change_the_cost(base: Problem) -> None:
    backwards = replace(base, offers=tuple(reversed(base.offers)))
    one, two = EXACT.plan(base), EXACT.plan(backwards)
    assert one.objective_usd == pytest.approx(two.objective_usd, rel=3 * GAP, abs=1e-9)


def test_launches_before_a_rise_that_spill_would_make_dear() -> None:
    kind = offer("c5.large", launch_delay_s=100.0)
    rise = problem(
        [kind],
        [[20.0, 20.0, 200.0, 200.0, 200.0, 200.0] * 2],
        ready={"c5.large": 1},
        with_function=function(),
    )
    plan = Program().plan(rise)
    assert plan.targets[0, 0] > 1
    assert plan.reason.startswith("launch ")
    flat = problem([kind], np.full((1, 12), 20.0), ready={"c5.large": 1}, with_function=function())
    assert Program().plan(flat).targets[0, 0] == 1


def test_noticed_instances_are_replaced_beside_themselves() -> None:
    spot = offer("c5.large/spot", price_usd_per_h=0.035, purchase=PurchaseOption.SPOT)
    kept = problem([spot], np.full((1, 12), 100.0), ready={spot.name: 4}, with_function=function())
    hit = problem(
        [spot],
        np.full((1, 12), 100.0),
        ready={spot.name: 4},
        noticed={spot.name: 1},
        with_function=function(),
    )
    assert Program().plan(kept).targets[0, 0] == 4
    # Three are left to count on: the target of four is a launch, though four still serve.
    assert Program().plan(hit).targets[0].tolist()[:3] == [4, 4, 4]
    assert Program().plan(hit).reason.startswith("launch 1 ")
    assert Greedy().plan(hit).targets[0, 0] == 4


def test_pending_instances_are_counted_when_they_will_be_ready() -> None:
    kind = offer("c5.large")
    base = problem(
        [kind],
        np.full((1, 8), 80.0),
        ready={kind.name: 2},
        pending={kind.name: (30.0, 90.0)},
        with_function=function(),
    )
    assert Program().plan(base).targets[0, 0] == 4


def test_limits_bind() -> None:
    paths = np.full((1, 10), 300.0)
    lam = function(price_usd_per_gb_s=0.01)
    kind = offer("c5.large", stock=3)
    assert Program().plan(problem([kind], paths, with_function=lam)).targets.max() == 3
    free = offer("c5.large")
    few = problem([free], paths, with_function=lam, limits=Limits(max_launches_per_interval=2))
    assert Program().plan(few).targets[0, :3].tolist() == [2, 4, 6]
    small = problem([free], paths, with_function=lam, limits=Limits(max_vcpus=8.0))
    assert Program().plan(small).targets.max() == 4


def test_a_miss_has_a_constant_price_whatever_the_window_has_lost() -> None:
    kind = offer("c5.large")
    paths = np.array([[40.0] * 8, [40.0] * 7 + [41.0], [40.0] * 4 + [120.0] * 4])
    bad = SloWindow(requests=1000, violations=900, remaining_s=1800.0)
    good = SloWindow(requests=1_000_000, violations=0, remaining_s=1800.0)
    now = {kind.name: 2}
    plans = {}
    for weight in (2.0, 500.0):  # the high path has a chance of a third
        planner = Program(miss_weight=weight)
        first, second = (
            planner.plan(problem([kind], paths, ready=now, window=window)) for window in (bad, good)
        )
        assert first.targets.tolist() == second.targets.tolist()
        assert first.spends_misses
        plans[weight] = first
    assert plans[500.0].targets.sum() > plans[2.0].targets.sum()


def test_past_violations_make_the_plan_safer_but_never_infeasible() -> None:
    kind = offer("c5.large")
    paths = np.array([[40.0] * 8, [40.0] * 7 + [41.0], [40.0] * 4 + [120.0] * 4])
    bad = SloWindow(requests=1000, violations=900, remaining_s=1800.0)
    good = SloWindow(requests=1_000_000, violations=0, remaining_s=1800.0)
    now = {kind.name: 2}
    planner = Program(spill_weight=3.0, miss_weight=None, spread="open_loop")
    safe = planner.plan(problem([kind], paths, ready=now, window=bad))
    lax = planner.plan(problem([kind], paths, ready=now, window=good))
    assert safe.rung == lax.rung == "optimal"
    assert safe.targets[0].max() > lax.targets[0].max()


def test_default_settings_stay_close_to_the_exact_program() -> None:
    rng = np.random.default_rng(4)
    for _ in range(4):
        paths = walk_paths(rng, samples=60, horizon=8, start_rps=300.0)
        base = problem(EIGHT, paths, ready={"c5.large/spot": 11}, with_function=function())
        quick = Program().plan(base)
        assert quick.gap is not None
        assert quick.gap < 0.01
        assert quick.rung == "optimal"


def test_greedy_takes_over_where_the_solver_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    base = problem(EIGHT, np.full((1, 6), 100.0), with_function=function())

    def fails(*_, **__):
        raise SolverFailed("no plan")

    monkeypatch.setattr("markopt.planning.program.planner.search", fails)
    plan = Program().plan(base)
    assert plan.rung == "greedy"
    assert "no plan" in plan.reason
    assert (plan.targets == Greedy().plan(base).targets).all()
    none = problem([offer("c5.large", stock=0)], np.full((1, 6), 100.0), with_function=function())
    assert Program().plan(none).rung == "hold"


def test_rounded_relaxation_keeps_every_row() -> None:
    rng = np.random.default_rng(5)
    paths = walk_paths(rng, samples=30, horizon=8, start_rps=400.0)
    base = problem(EIGHT, paths, ready={"c5.large": 3}, with_function=function())
    built = Program().build(base)
    hurried = Program(max_nodes=0, time_limit_s=0.0).plan(base)
    assert hurried.rung in ("rounded", "incumbent", "greedy", "hold")
    relaxed = solve_model(built.model, SolverOptions(), relaxed=True, scale=100.0)
    assert relaxed.values is not None
    values = round_up(built, relaxed.values)
    assert (values[built.launch[:, :3]] == np.rint(values[built.launch[:, :3]])).all()
    # The ramp still holds: ready <= ready before + launches that arrive + what was there.
    ready, launch, fleet = values[built.ready], values[built.launch], built.statement.fleet
    for k, delay in enumerate(fleet.d.tolist()):
        for t in range(1, ready.shape[1]):
            arrived = launch[k, t - delay] if t >= delay else 0.0
            assert ready[k, t] <= ready[k, t - 1] + arrived + fleet.arriving[k, t] + 1e-6


@QUICK
@given(problems())
def test_lead_time_spread_is_the_same_program_on_the_stated_problem(base: Problem) -> None:
    planner = replace(EXACT, spread="lead_time")
    stated = planner.stated_problem(base)
    assert stated.forecast.mean_rps() == pytest.approx(base.forecast.mean_rps())
    plan = planner.plan(base)
    assert plan.objective_usd == pytest.approx(EXACT.plan(stated).objective_usd, rel=2 * GAP)
    account = evaluate_plan(stated, plan)
    assert account.feasible


def test_spread_beyond_the_launch_delay_is_left_to_later_decisions() -> None:
    kind = offer("c5.large")
    # From the fifth interval on the paths part; nothing needs to be decided about that now.
    paths = np.array([[60.0] * 4 + [30.0] * 8, [60.0] * 4 + [90.0] * 8])
    base = problem([kind], paths, ready={kind.name: 3}, with_function=function())
    stated = Program(spread="lead_time").stated_problem(base)
    assert (stated.forecast.paths_rps == 60.0).all()
    assert Program(spread="open_loop", window=None).stated_problem(base) is base


def test_the_window_is_what_is_looked_ahead_but_never_less_than_a_launch_needs() -> None:
    kind = offer("c5.large", launch_delay_s=200.0)
    base = problem([kind], np.full((2, 12), 60.0), ready={kind.name: 3})
    assert Program(window=8).stated_problem(base).horizon == 8
    assert Program(window=1).stated_problem(base).horizon == 5
    assert Program(window=None).stated_problem(base).horizon == 12
    assert Program(window=8).plan(base).targets.shape == (1, 12)


def test_a_large_instance_is_let_go_when_a_small_one_carries_the_load() -> None:
    # Per request the large one is cheaper: a continuous tail would keep a fraction of it for ever.
    large = offer("p3.2xlarge", price_usd_per_h=0.92, saturation_rps=960.0)
    small = offer("g3.4xlarge", price_usd_per_h=0.342, saturation_rps=183.0)
    base = problem(
        [large, small], np.full((3, 12), 100.0), ready={large.name: 1}, with_function=function()
    )
    assert Program().plan(base).target_now()[small.name] == 1
    assert Program(window=12, integer_intervals=3).plan(base).target_now()[small.name] == 0


def test_no_offer_in_time_is_infeasible_unless_a_function_is() -> None:
    slow = offer("c5.large", service_times_s=(0.9,))
    with pytest.raises(Infeasible, match=r"rt_max_s=0\.2"):
        Program().plan(problem([slow], [[10.0, 10.0]]))
    plan = Program().plan(problem([slow], [[10.0, 10.0]], with_function=function()))
    assert plan.targets.sum() == 0
    assert plan.warm_functions[0] >= 2


def test_unusable_settings_name_the_key() -> None:
    with pytest.raises(ConfigError, match=r"planner\.headroom"):
        Program(headroom=0.0)
    with pytest.raises(ConfigError, match=r"planner\.integer_intervals"):
        Program(integer_intervals=0)


def test_model_is_written_with_names(tmp_path) -> None:
    base = problem([offer("c5.large")], [[20.0, 60.0, 60.0]], with_function=function())
    path = tmp_path / "program.lp"
    write_model(Program().build(base).model, path)
    assert "launch_0_0" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["program.lp"]


def test_terminal_value_never_raises_the_objective() -> None:
    base = problem(EIGHT, np.linspace(50, 200, 10)[None, :], with_function=function())
    plain = Program(mip_rel_gap=0.0).plan(base)
    valued = Program(mip_rel_gap=0.0, terminal_value_share=1.0).plan(base)
    assert valued.objective_usd is not None
    assert plain.objective_usd is not None
    assert valued.objective_usd <= plain.objective_usd + 1e-9


def test_launches_stay_through_what_is_billed_at_least() -> None:
    def billed_intervals(minimum_billed_s: float) -> int:
        kind = offer("c5.large", launch_delay_s=60.0, minimum_billed_s=minimum_billed_s)
        peak = [[0.0, 120.0] + [0.0] * 8]
        lam = function(price_usd_per_gb_s=0.001)
        plan = EXACT.plan(problem([kind], peak, with_function=lam))
        assert plan.targets.max() == 5
        return int((plan.targets[0] > 0).sum())

    assert billed_intervals(60.0) == 2
    assert billed_intervals(300.0) == 5


def test_a_hazard_makes_spot_dearer_than_it_looks() -> None:
    paths = np.full((1, 10), 100.0)
    sure = offer("c5.large", price_usd_per_h=0.085)

    def spot_share(interruption_per_h: float) -> float:
        spot = offer(
            "c5.large/spot",
            price_usd_per_h=0.07,
            purchase=PurchaseOption.SPOT,
            interruption_per_h=interruption_per_h,
        )
        plan = EXACT.plan(problem([sure, spot], paths, with_function=function()))
        return float(plan.targets[1].sum() / plan.targets.sum())

    assert spot_share(0.05) == 1.0
    assert spot_share(15.0) == 0.0


def test_intervals_beyond_the_window_have_a_budget_of_their_own() -> None:
    kind = offer("c5.large")
    window = SloWindow(requests=10_000, violations=0, remaining_s=240.0)
    base = problem([kind], np.full((1, 10), 60.0), window=window, ready={kind.name: 3})
    built = EXACT.build(base)
    names = built.model.row_names()
    allowed = [u for n, u in zip(names, built.model.row_upper, strict=True) if "budget" in n]
    # The current window may miss 2 % of 10,000 more; the next one starts from nothing.
    assert allowed == pytest.approx([200.0, 0.0], abs=1e-6)
    assert evaluate_plan(base, EXACT.plan(base)).allowed == pytest.approx((200.0, 0.0))


def test_warm_environments_are_bought_where_cold_starts_would_miss() -> None:
    kind = offer("c5.large")
    lam = function(warm_price_usd_per_s=4e-6)
    base = problem([kind], [[80.0] * 6], ready={kind.name: 1}, with_function=lam)
    plan = EXACT.plan(base)
    account = evaluate_plan(base, plan)
    assert plan.warm_functions[0] > 0
    assert account.misses[0] <= account.allowed[0] + 1e-6
    # A cold start that is in time needs no warm environment for the SLO, only where it is cheaper.
    quick = function(warm_price_usd_per_s=4e-3, cold_start_s=0.01)
    lazy = EXACT.plan(problem([kind], [[80.0] * 6], ready={kind.name: 1}, with_function=quick))
    assert lazy.warm_functions.sum() == 0


def test_dominated_offers_are_dropped_unless_they_run() -> None:
    good = offer("a", saturation_rps=30.0, price_usd_per_h=0.08)
    worse = offer("b", saturation_rps=29.0, price_usd_per_h=0.09)
    twin = offer("c", saturation_rps=30.0, price_usd_per_h=0.08)
    scarce = offer("d", saturation_rps=40.0, price_usd_per_h=0.07, stock=2)
    base = problem([twin, worse, good, scarce], [[50.0] * 4])
    kept = {o.name for o in undominated_offers(base, base.offers)}
    assert kept == {"a", "d"}
    running = problem([twin, worse, good, scarce], [[50.0] * 4], ready={"b": 1, "c": 1})
    kept = {o.name for o in undominated_offers(running, running.offers)}
    assert kept == {"b", "c", "d"}


def test_a_type_that_pools_worse_does_not_replace_another() -> None:
    cheap, dear = offer("cheap", price_usd_per_h=0.05), offer("dear", price_usd_per_h=0.06)
    base = problem([cheap, dear], [[50.0] * 4], curves={"cheap": curve(3.0), "dear": curve(1.0)})
    assert len(undominated_offers(base, base.offers)) == 2


def test_required_throughput_follows_the_mix_of_the_plan() -> None:
    # Empty fleet: the first round takes the pooling of 'cheap', the plan's own is worse.
    cheap = offer("cheap", price_usd_per_h=0.05, stock=1)
    dear = offer("dear", price_usd_per_h=0.09)
    lam = function(price_usd_per_gb_s=0.01)
    base = problem(
        [cheap, dear],
        np.full((1, 8), 200.0),
        curves={"cheap": curve(0.0), "dear": curve(5.0)},
        with_function=lam,
    )
    counts = Program().plan(base).targets[:, 3]
    held = {"cheap": 30.0 * counts[0], "dear": 30.0 * counts[1]}
    q = base.required_throughput.at(np.array([200.0]), held)[0]
    assert sum(held.values()) >= 0.97 * q


def test_evaluator_refuses_a_plan_for_another_problem() -> None:
    base = problem([offer("a")], [[50.0] * 4], with_function=function())
    plan = Program().plan(base)
    with pytest.raises(PlanningError, match="offers"):
        evaluate_plan(problem([offer("b")], [[50.0] * 4]), plan)
    with pytest.raises(PlanningError, match="5 intervals"):
        evaluate_plan(problem([offer("a")], [[50.0] * 5]), plan)


def test_evaluator_names_what_is_broken() -> None:
    base = problem([offer("a", stock=2)], [[50.0] * 4], pending={"a": (110.0,)})
    plan = Program().plan(base)
    too_many = replace(plan, targets=np.full((1, 4), 5))
    assert any("stock 2" in item for item in evaluate_plan(base, too_many).broken)
    none = replace(plan, targets=np.zeros((1, 4)))
    assert any("not ready" in item for item in evaluate_plan(base, none).broken)


def test_a_heavier_spill_buys_more_and_its_weight_is_in_the_objective() -> None:
    # One path in ten needs a second instance: worth it only where a spill weighs more.
    kind = offer("c5.large", price_usd_per_h=0.085, saturation_rps=30.0, launch_delay_s=0.0)
    paths = np.full((10, 6), 20.0)
    paths[0] = 50.0
    base = problem([kind], paths, ready={kind.name: 1}, with_function=function())
    plans = [Program(spill_weight=weight).plan(base) for weight in (0.1, 1.0, 30.0)]
    bought = [int(plan.targets[0, 0]) for plan in plans]
    assert bought == sorted(bought)
    assert bought[0] < bought[-1]
    kept = Program(spill_weight=0.1).plan(base)
    heavier = Program(spill_weight=0.2).plan(base)
    assert kept.objective_usd is not None
    assert heavier.objective_usd is not None
    assert heavier.objective_usd > kept.objective_usd


def replaced(base: Problem, offer_: Offer, other: Offer, *, pools_matter: bool) -> bool:
    """Whether another offer takes an offer's place, by the words of ``undominated_offers``."""
    same_pool = other.pool == offer_.pool
    if other is offer_ or other.stock is not None:
        return False
    if not same_pool and other.pool in base.limits.max_instances_by_pool:
        return False
    if pools_matter and not (same_pool or other.purchase.lasting):
        return False
    curves = base.required_throughput.curves
    one, two = curves[other.instance_type], curves[offer_.instance_type]
    if one is not two and not (
        np.array_equal(one.demand_rps, two.demand_rps)
        and (one.throughput_rps <= two.throughput_rps).all()
    ):
        return False
    worse = [
        (
            *(o.price_usd_per_s, -o.saturation_rps, o.launch_delay_s, o.interruption_per_h),
            *(o.vcpus, o.minimum_billed_s),
        )
        for o in (other, offer_)
    ]
    if any(a > b for a, b in zip(*worse, strict=True)):
        return False
    runs = base.fleet.of(other.name).billed > 0
    return worse[0] != worse[1] or offer_.stock is not None or runs or other.name < offer_.name


@QUICK
@given(problems(offers=6), st.booleans(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2))))
def test_offers_go_where_and_only_where_another_takes_their_place(
    base: Problem, pools_matter: bool, copies: list[tuple[int, int]]
) -> None:
    kinds = list(base.offers)
    for number, (of, price) in enumerate(copies):
        kind = kinds[of % len(kinds)]
        usd = kind.price_usd_per_s * (1.0, 0.9, 1.1)[price]
        kinds.append(replace(kind, name=f"copy{number}", price_usd_per_s=usd))
    kept = undominated_offers(base, kinds, pools_matter=pools_matter)
    for kind in kinds:
        goes = base.fleet.of(kind.name).billed == 0 and any(
            replaced(base, kind, other, pools_matter=pools_matter) for other in kinds
        )
        assert (kind in kept) != goes
