"""Never without an answer: whatever breaks, a plan within the limits or a clear Infeasible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Forecast, Limits, Plan, Problem, PurchaseOption, Slo, SloWindow
from markopt.errors import CatalogError, ConfigError, ForecastError, Infeasible, SolverFailed
from markopt.planning import Greedy, Program, evaluate_plan
from markopt.planning.greedy import _Candidates
from markopt.planning.program import search as searching
from markopt.planning.program import solver
from markopt.planning.program.solver import SolverAnswer
from markopt.planning.requirement import remixed
from tests.planning.problems import EIGHT, curve, function, offer, problem, walk_paths
from tests.planning.test_program import problems

ROUND_ENDS = "markopt.planning.statement.statement.remixed"
RUNGS = {"optimal", "incumbent", "rounded", "greedy", "hold", "rule"}
QUICK = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
FLAT = np.full((3, 8), 100.0)


def killed(columns: int) -> SolverAnswer:
    raise SolverFailed("HiGHS: the process was killed")


def crashed(columns: int) -> SolverAnswer:
    raise RuntimeError("vector::_M_range_check\nin HEkk")


def out_of_memory(columns: int) -> SolverAnswer:
    raise MemoryError


def silent(columns: int) -> SolverAnswer:
    return SolverAnswer("limit", "Time limit reached", None, None, None)


def nonsense(columns: int) -> SolverAnswer:
    return SolverAnswer("optimal", "Optimal", 0.0, 0.0, np.full(columns, np.nan))


def halved(columns: int) -> SolverAnswer:
    return SolverAnswer("optimal", "Optimal", 0.0, 0.0, np.zeros(columns // 2))


FAULTS = (killed, crashed, out_of_memory, silent, nonsense, halved)


def break_solver(
    patch: pytest.MonkeyPatch, fault: Callable, *, whole: bool = True, relaxed: bool = True
) -> None:
    """Let the border to HiGHS give ``fault`` instead of what a solve gave."""
    real = solver._answer

    def broken(highspy, highs, *, mip: bool, scale: float) -> SolverAnswer:
        if (whole and mip) or (relaxed and not mip):
            return fault(highs.getNumCol())
        return real(highspy, highs, mip=mip, scale=scale)

    patch.setattr(solver, "_answer", broken)


def answer(base: Problem, planner: Program | None = None) -> Plan | None:
    """The plan, which keeps its limits; None where there is provably none."""
    try:
        plan = (planner or Program()).plan(base)
    except Infeasible:
        return None
    assert isinstance(plan, Plan)
    account = evaluate_plan(base, plan)
    assert account.feasible, account.broken
    assert plan.rung in RUNGS
    assert plan.reason
    assert "\n" not in plan.reason
    return plan


@pytest.mark.parametrize("fault", FAULTS)
def test_a_solver_that_breaks_leaves_greedys_plan(
    monkeypatch: pytest.MonkeyPatch, fault: Callable
) -> None:
    break_solver(monkeypatch, fault)
    base = problem(EIGHT, FLAT, ready={"c5.large": 1}, with_function=function())
    plan = answer(base)
    assert plan is not None
    assert plan.rung == "greedy"
    assert "the solver gave no plan" in plan.reason
    assert (plan.targets == Greedy().plan(base).targets).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_solver_that_breaks_where_greedy_may_launch_nothing_keeps_the_fleet(
    monkeypatch: pytest.MonkeyPatch, fault: Callable
) -> None:
    break_solver(monkeypatch, fault)
    base = problem(
        EIGHT,
        FLAT,
        ready={"c5.large": 2},
        pending={"c5.xlarge": (30.0,)},
        limits=Limits(max_launches_per_interval=0),
    )
    plan = answer(base)
    assert plan is not None
    assert plan.rung == "hold"
    assert plan.target_now()["c5.large"] == 2
    assert plan.target_now()["c5.xlarge"] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_solver_that_breaks_in_a_later_round_leaves_the_earlier_rounds_plan(
    monkeypatch: pytest.MonkeyPatch, fault: Callable
) -> None:
    # The mix moves required throughput, so that a second round is solved.
    kinds = [offer("cheap", price_usd_per_h=0.05, stock=1), offer("dear", price_usd_per_h=0.09)]
    base = problem(
        kinds,
        np.full((1, 8), 200.0),
        curves={"cheap": curve(0.0), "dear": curve(5.0)},
        with_function=function(price_usd_per_gb_s=0.01),
    )
    rounds = []

    def breaks_after_the_first(old_rps: np.ndarray, new_rps: np.ndarray) -> bool:
        rounds.append(None)
        break_solver(monkeypatch, fault)
        return remixed(old_rps, new_rps)

    monkeypatch.setattr(ROUND_ENDS, breaks_after_the_first)
    plan = answer(base)
    assert len(rounds) == 1
    assert plan is not None
    assert plan.rung == "optimal"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_solver_that_breaks_on_whole_numbers_leaves_the_rounded_relaxation(
    monkeypatch: pytest.MonkeyPatch, fault: Callable
) -> None:
    monkeypatch.setattr(searching, "BRANCHES", 0)
    break_solver(monkeypatch, fault, relaxed=False)
    plan = Program(mip_rel_gap=0.0).plan(problem(EIGHT, FLAT, with_function=function()))
    assert plan.rung == "rounded"
    assert plan.gap is not None
    assert plan.solver_status is not None
    assert "then relaxation: Optimal" in plan.solver_status


@QUICK
@given(
    base=problems(),
    fault=st.sampled_from([*FAULTS, None]),
    relaxes=st.booleans(),
    vcpus=st.none() | st.floats(0.0, 20.0),
    launches=st.none() | st.integers(0, 3),
    stock=st.none() | st.integers(0, 2),
    missed=st.integers(0, 3000),
)
def test_whatever_breaks_there_is_a_plan_within_the_limits(
    base: Problem,
    fault: Callable | None,
    relaxes: bool,
    vcpus: float | None,
    launches: int | None,
    stock: int | None,
    missed: int,
) -> None:
    base = replace(
        base,
        offers=tuple(replace(o, stock=stock) for o in base.offers),
        limits=Limits(max_vcpus=vcpus, max_launches_per_interval=launches),
        window=SloWindow(requests=2000, violations=missed, remaining_s=150.0),
    )
    with pytest.MonkeyPatch.context() as patch:
        if fault is not None:
            break_solver(patch, fault, relaxed=not relaxes)
        assert answer(base) is not None


@QUICK
@given(problems(), st.sampled_from([1e-6, 1e-3]))
def test_a_solver_without_time_leaves_a_plan(base: Problem, time_limit_s: float) -> None:
    assert answer(base, Program(time_limit_s=time_limit_s)) is not None


@pytest.mark.parametrize("limits", [Limits(), Limits(100.0, 7), Limits(0.0, 0)])
def test_a_millisecond_on_a_large_problem_leaves_a_plan(limits: Limits) -> None:
    rng = np.random.default_rng(0)
    paths = walk_paths(rng, samples=100, horizon=30, start_rps=2000.0)
    kinds = [
        offer(
            f"type{k}",
            price_usd_per_h=float(rng.uniform(0.05, 3.0)),
            saturation_rps=float(rng.uniform(10.0, 900.0)),
            launch_delay_s=float(rng.uniform(30.0, 200.0)),
        )
        for k in range(60)
    ]
    base = problem(
        kinds, paths, ready={"type3": 4}, pending={"type4": (70.0,)}, limits=limits,
        with_function=function(),
    )  # fmt: skip
    plan = answer(base, Program(time_limit_s=1e-3, window=None))
    assert plan is not None
    assert plan.rung != "optimal"


EXTREMES = {
    "a load of a billion": problem(EIGHT, FLAT * 1e7, with_function=function()),
    "a load of a billion, no function": problem(EIGHT, FLAT * 1e7),
    "no load": problem(EIGHT, FLAT * 0.0, ready={"c5.large": 3}, with_function=function()),
    "no load, no function": problem(EIGHT, FLAT * 0.0, ready={"c5.large": 3}),
    "a negative budget": problem(EIGHT, FLAT, window=SloWindow(1000, 900, 600.0)),
    "more misses than requests": problem(
        EIGHT, FLAT, window=SloWindow(10, 900, 600.0), with_function=function(cold_start_s=3.0)
    ),
    "no stock": problem([replace(o, stock=0) for o in EIGHT], FLAT, ready={"c5.large": 2}),
    "vCPUs below what runs": problem(EIGHT, FLAT, ready={"c5.large": 9}, limits=Limits(4.0)),
    "vCPUs below what launches": problem(
        EIGHT, FLAT, pending={"c5.large": (10.0, 70.0, 100.0)}, limits=Limits(2.0, 0)
    ),
    "one path, one interval": problem(EIGHT, FLAT[:1, :1]),
    "all noticed": problem(EIGHT, FLAT, ready={"c5.large": 3}, noticed={"c5.large": 3}),
    "no offers, a function": problem([], FLAT, curves={"x": curve()}, with_function=function()),
    "late offers launching, a function": problem(
        [offer("slow", service_times_s=(0.9,))],
        FLAT,
        ready={"slow": 1},
        pending={"slow": (30.0, 90.0)},
        with_function=function(),
    ),
    "standbys launching": problem(
        [offer("c5.large"), offer("t2.medium", purchase=PurchaseOption.BURSTABLE)],
        FLAT,
        pending={"t2.medium": (30.0, 90.0)},
    ),
    "a function without concurrency": problem(
        EIGHT, FLAT, with_function=function(concurrency_limit=0)
    ),
    "an interval longer than a launch": replace(
        problem(EIGHT, FLAT),
        interval_s=600.0,
        forecast=Forecast.equally_likely(0.0, 600.0, FLAT),
    ),
    "an interval much shorter than a launch": replace(
        problem(EIGHT, FLAT, pending={"c5.large": (55.0,)}),
        interval_s=1.0,
        forecast=Forecast.equally_likely(0.0, 1.0, np.full((2, 130), 100.0)),
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("fault", [None, killed])
def test_extremes_have_a_plan_with_and_without_a_solver(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: Callable | None
) -> None:
    if fault is not None:
        break_solver(monkeypatch, fault)
    plan = answer(EXTREMES[name])
    assert plan is not None
    if fault is None and "billion" in name:
        assert plan.targets.max() > 1_000_000


def wild_problem(seed: int) -> Problem:
    """Anything that can be stated: every scale, option, delay and limit, likely or not."""
    rng = np.random.default_rng(seed)

    def pick(*values):
        return values[int(rng.integers(len(values)))]

    kinds = [
        offer(
            f"type{k}",
            price_usd_per_h=float(10.0 ** rng.uniform(-6.0, 3.0)),
            saturation_rps=float(10.0 ** rng.uniform(-3.0, 6.0)),
            purchase=pick(*PurchaseOption),
            launch_delay_s=pick(0.0, 1.0, 59.0, 60.0, 61.0, 100.0, 400.0, 1e5),
            minimum_billed_s=pick(0.0, 60.0, 3600.0, 1e6),
            interruption_per_h=pick(0.0, 0.05, 5.0, 500.0),
            stock=pick(None, None, 0, 1, 5, 10**6),
            vcpus=pick(0.0, 0.25, 2.0, 96.0),
            service_times_s=(pick(0.01, 0.05, 0.19, 0.2, 0.21, 5.0),),
        )
        for k in range(int(rng.integers(0, 6)))
    ]
    scale_rps, spread = pick(0.0, 1.0, 30.0, 1e3, 1e6, 1e9), pick(0.0, 0.3, 3.0)
    shape = (int(rng.integers(1, 7)), int(rng.integers(1, 9)))
    interval_s = pick(1.0, 60.0, 60.0, 600.0)
    ready = {o.name: int(pick(0, 0, 1, 7, 300)) for o in kinds}
    base = problem(
        kinds,
        scale_rps * np.exp(rng.normal(0.0, spread, shape)),
        ready=ready,
        pending={
            o.name: tuple(rng.uniform(-10.0, 500.0, int(rng.integers(0, 4))).tolist())
            for o in kinds
        },
        noticed={o.name: int(rng.integers(0, ready[o.name] + 1)) for o in kinds},
        curves={name: curve(pick(0.0, 1.0, 30.0)) for name in ("x", *(o.name for o in kinds))},
        with_function=pick(
            None,
            function(),
            function(service_time_s=0.5),
            function(warm_price_usd_per_s=1e-5),
            function(concurrency_limit=0),
            function(cold_start_s=0.0, warm_price_usd_per_s=1e-3),
        ),
        slo=Slo(0.2, pick(0.5, 0.98, 0.99999), pick(60.0, 3600.0)),
        window=SloWindow(
            int(rng.integers(0, 10**6)), int(rng.integers(0, 10**5)), pick(0.0, 30.0, 1e4)
        ),
        limits=Limits(pick(None, 0.0, 7.5, 1e4), pick(None, None, 0, 1, 50)),
    )
    forecast = replace(base.forecast, interval_s=interval_s)
    return replace(base, interval_s=interval_s, forecast=forecast)


@settings(QUICK, max_examples=50)
@given(
    st.integers(0, 10**6),
    st.sampled_from(
        [
            Program(),
            Program(time_limit_s=1e-3),
            Program(max_nodes=0),
            Program(window=None),
            Program(integer_intervals=1),
            Program(headroom=3.0),
            Program(terminal_value_share=1.0),
        ]
    ),
)
def test_anything_that_can_be_stated_has_a_plan_or_nothing_answers_in_time(
    seed: int, planner: Program
) -> None:
    base = wild_problem(seed)
    if answer(base, planner) is None:
        assert all(
            o.purchase is PurchaseOption.BURSTABLE or o.service_times_s[0] > 0.2
            for o in base.offers
        )


def test_a_greedy_plan_that_breaks_a_limit_is_no_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    # Greedy launches the cheap one into the quota, and then adds what runs already on top.
    break_solver(monkeypatch, killed)
    dear = offer("dear", price_usd_per_h=5.0)
    cheap = offer("cheap", price_usd_per_h=0.05, saturation_rps=60.0, vcpus=8.0)
    base = problem([dear, cheap], FLAT, ready={"dear": 4}, limits=Limits(max_vcpus=8.0))
    assert not evaluate_plan(base, Greedy().plan(base)).feasible
    plan = answer(base)
    assert plan is not None
    assert plan.rung == "hold"
    assert "greedy's plan breaks a limit" in plan.reason


def test_standbys_that_launch_leave_fewer_vcpus_to_the_others() -> None:
    standby = offer("t2.medium", purchase=PurchaseOption.BURSTABLE, vcpus=4.0)
    base = problem(
        [offer("c5.large", launch_delay_s=0.0), standby],
        FLAT,
        pending={"t2.medium": (90.0,)},
        limits=Limits(max_vcpus=8.0),
    )
    plan = answer(base)
    assert plan is not None
    assert plan.target_now() == {"c5.large": 2, "t2.medium": 1}


def test_fractions_beyond_the_whole_intervals_break_no_limit_when_rounded_up() -> None:
    kinds = [offer(f"type{k}", saturation_rps=30.0 - k, launch_delay_s=60.0) for k in range(3)]
    paths = 30.0 + 10.0 * np.arange(6)
    base = problem(
        kinds, [paths], ready={"type0": 1, "type1": 1}, limits=Limits(5.0, 1),
        with_function=function(),
    )  # fmt: skip
    plan = answer(base, Program(integer_intervals=1))
    assert plan is not None
    assert plan.rung in ("optimal", "incumbent")


def test_limits_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_vcpus: must not be negative, got -1"):
        Limits(max_vcpus=-1.0)
    with pytest.raises(ConfigError, match="max_launches_per_interval"):
        Limits(max_launches_per_interval=-1)
    with pytest.raises(CatalogError, match="stock must not be negative, got -2"):
        offer("c5.large", stock=-2)


@pytest.mark.parametrize("kinds", [[], [offer("slow", service_times_s=(0.9,))]])
def test_what_nothing_can_answer_in_time_is_infeasible_and_says_so(kinds: list) -> None:
    late = function(service_time_s=0.4)
    for lam, words in ((None, "no function"), (late, "lambda/3008 0.4 s")):
        base = problem(kinds, FLAT, curves={"slow": curve()}, with_function=lam)
        assert answer(base) is None
        with pytest.raises(Infeasible, match=r"rt_max_s=0\.2") as caught:
            Program().plan(base)
        assert words in str(caught.value)
        assert ("slow 0.9 s" if kinds else "no offers") in str(caught.value)


def test_the_text_of_an_infeasible_catalogue_stays_short() -> None:
    kinds = [offer(f"type{k}", service_times_s=(0.9,)) for k in range(500)]
    with pytest.raises(Infeasible, match="and 494 more"):
        Program().plan(problem(kinds, FLAT))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_forecast_that_no_load_can_have_never_becomes_a_problem(bad: float) -> None:
    with pytest.raises(ForecastError, match=r"finite and not negative, got (nan|inf|-1\.0)"):
        problem(EIGHT, [[10.0, bad]])


@QUICK
@given(
    st.integers(0, 10_000),
    st.floats(1.0, 5000.0),
    st.none() | st.integers(0, 400),
    st.none() | st.floats(0.0, 900.0),
    st.none() | st.integers(0, 40),
    st.integers(0, 30),
)
def test_greedy_adds_in_bulk_what_it_would_add_one_by_one(
    seed: int,
    start_rps: float,
    stock: int | None,
    vcpus: float | None,
    launches: int | None,
    ready: int,
) -> None:
    paths = walk_paths(np.random.default_rng(seed), samples=4, horizon=8, start_rps=start_rps)
    kinds = [replace(o, stock=stock) if seed % 3 else o for o in EIGHT]
    base = problem(
        kinds,
        paths,
        ready={"c5.xlarge": ready, "p2.xlarge/spot": seed % 2},
        limits=Limits(vcpus, launches),
    )

    def counts() -> list[list[int]] | str:
        try:
            return Greedy().plan(base).targets.tolist()
        except Infeasible as error:
            return str(error).split("needs")[0]

    bulk = counts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Candidates, "_repeats", lambda *_, **__: 1.0)
        assert counts() == bulk


def test_a_tree_search_whose_values_do_not_cost_what_it_says_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # HiGHS 1.16 sometimes reports an optimum and hands back the plan that it started from.
    model = Program().build(problem(EIGHT, FLAT, with_function=function())).model
    session = solver.Session(model, solver.SolverOptions(), 100.0)
    real, stale = solver._answer, []

    def hands_back_its_start(highspy, highs, *, mip: bool, scale: float) -> SolverAnswer:
        found = real(highspy, highs, mip=mip, scale=scale)
        if stale:
            return found
        stale.append(found)
        return replace(found, values=np.zeros(len(found.values)))

    monkeypatch.setattr(solver, "_answer", hands_back_its_start)
    answer = session.whole(1.0)
    assert stale
    assert answer.values is not None
    assert model.cost @ answer.values + model.offset == pytest.approx(answer.objective)


def test_a_search_that_runs_out_of_time_before_all_offers_are_priced_claims_no_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dear = [offer(f"dear{n}", price_usd_per_h=0.3 + 0.01 * n) for n in range(30)]
    base = problem([*dear, offer("cheap", price_usd_per_h=0.05)], FLAT, with_function=function())
    planner = Program(time_limit_s=100.0)
    statement = planner.state(base, base.offers, {"cheap": 1.0})
    options = solver.SolverOptions(time_limit_s=100.0)
    _, whole = searching.search(statement, options, price_offers=True)
    assert whole.bound_usd is not None
    monkeypatch.setattr(searching, "starting_offers", lambda _: np.arange(3))
    monkeypatch.setattr(searching._Search, "_late", lambda _: True)
    _, hurried = searching.search(statement, options, price_offers=True)
    assert hurried.objective_usd > whole.objective_usd
    assert hurried.bound_usd is None
