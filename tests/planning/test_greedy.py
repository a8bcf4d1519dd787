"""MArk's Algorithm 1, step by step, and the released variant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Limits, Problem
from markopt.errors import ConfigError, Infeasible
from markopt.planning import Greedy, GreedyReleased
from tests.planning.problems import curve, function, offer, problem

# With Q(D) = D the algorithm is MArk's own, in requests.
PLAIN = curve(0.0)
SURE = Greedy(quantile=1.0)


def plain(offers, paths, **changes) -> Problem:
    return problem(offers, paths, curves={o.instance_type: PLAIN for o in offers}, **changes)


def test_fills_with_the_cheapest_candidate_per_request() -> None:
    small = offer("small", price_usd_per_h=0.10, saturation_rps=10.0)
    large = offer("large", price_usd_per_h=0.30, saturation_rps=40.0)
    plan = SURE.plan(plain([small, large], np.full((1, 6), 80.0)))
    assert plan.target_now() == {"small": 0, "large": 2}
    # 5 rps are left: four tenths of the price serve them as well.
    plan = SURE.plan(plain([small, large], np.full((1, 6), 85.0)))
    assert plan.target_now() == {"small": 1, "large": 2}


def test_running_instances_come_first_because_they_have_no_overhead() -> None:
    cheap = offer("cheap", price_usd_per_h=0.10, saturation_rps=10.0)
    dear = offer("dear", price_usd_per_h=0.12, saturation_rps=10.0)
    base = plain([cheap, dear], np.full((1, 3), 10.0), ready={"dear": 1})
    # 4 intervals less 2 of delay leave 1: overhead 100 s of 0.10 outweighs 60 s of 0.02.
    assert SURE.plan(base).target_now() == {"cheap": 0, "dear": 1}
    # Over a long horizon the cheaper one is worth its launch.
    longer = plain([cheap, dear], np.full((1, 40), 10.0), ready={"dear": 1})
    assert SURE.plan(longer).target_now() == {"cheap": 1, "dear": 0}


def test_pending_instances_count_as_running() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], np.full((1, 6), 20.0), ready={kind.name: 1}, pending={kind.name: (80.0,)})
    assert SURE.plan(base).target_now() == {kind.name: 2}


def test_ends_what_is_not_in_the_plan() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], np.full((1, 6), 15.0), ready={kind.name: 7})
    assert SURE.plan(base).target_now() == {kind.name: 2}


def test_only_demand_at_the_step_when_a_launch_is_ready_triggers_one() -> None:
    kind = offer("c5.large", saturation_rps=10.0, launch_delay_s=100.0)
    late = plain([kind], [[5.0, 5.0, 5.0, 90.0, 90.0]], ready={kind.name: 1})
    assert SURE.plan(late).target_now() == {kind.name: 1}
    now = plain([kind], [[5.0, 5.0, 90.0, 90.0, 90.0]], ready={kind.name: 1})
    assert SURE.plan(now).target_now() == {kind.name: 9}


def test_shortage_is_counted_up_to_its_first_end() -> None:
    # The peak lasts one step for the large type: its price per request served is then worse.
    small = offer("small", price_usd_per_h=0.10, saturation_rps=10.0, launch_delay_s=60.0)
    large = offer("large", price_usd_per_h=0.30, saturation_rps=40.0, launch_delay_s=60.0)
    assert SURE.plan(plain([small, large], [[0.0, 10.0, 0.0, 40.0]])).target_now() == {
        "small": 1,
        "large": 0,
    }


def test_printed_span_charges_no_running_time_for_a_single_step() -> None:
    quick = offer("quick", price_usd_per_h=0.10, saturation_rps=10.0, launch_delay_s=100.0)
    cheap = offer("cheap", price_usd_per_h=0.09, saturation_rps=10.0, launch_delay_s=115.0)
    base = plain([quick, cheap], [[0.0, 0.0, 10.0]])
    # Overheads 10 and 10.35; with a step of running time 16 and 15.75 (in 100 s x 0.01 USD/h).
    printed = Greedy(quantile=1.0, span="printed").plan(base).target_now()
    inclusive = Greedy(quantile=1.0, span="inclusive").plan(base).target_now()
    assert printed == {"quick": 1, "cheap": 0}
    assert inclusive == {"quick": 0, "cheap": 1}


def test_window_hides_what_lies_beyond() -> None:
    kind = offer("c5.large", saturation_rps=10.0, launch_delay_s=60.0)
    other = offer("c5.xlarge", price_usd_per_h=0.16, saturation_rps=20.0, launch_delay_s=60.0)
    base = plain([kind, other], [[10.0] * 3 + [20.0] * 9])
    assert SURE.plan(base).targets.sum() > 0
    assert Greedy(quantile=1.0, window=2).plan(base).target_now()[kind.name] == 1


def test_higher_quantiles_never_buy_less() -> None:
    kind = offer("c5.large")
    paths = np.linspace(20.0, 200.0, 10)[:, None] * np.ones(6)
    counts = [
        Greedy(quantile=q).plan(problem([kind], paths)).targets.sum() for q in (0.3, 0.6, 0.9, 1.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.floats(1.0, 400.0), min_size=3, max_size=8), st.integers(0, 8))
def test_plan_covers_the_required_throughput_when_a_launch_is_ready(
    rates: list[float], running: int
) -> None:
    kinds = [offer("a", saturation_rps=28.0), offer("b", price_usd_per_h=0.15, saturation_rps=45.0)]
    base = problem(kinds, [rates], ready={"a": running})
    counts = SURE.plan(base).target_now()
    held = 28.0 * counts["a"] + 45.0 * counts["b"]
    needed = curve().at(np.array(rates))[2]
    assert held >= needed - 1e-6


def test_no_candidate_left_is_infeasible() -> None:
    slow = offer("c5.large", service_times_s=(0.3,))
    with pytest.raises(Infeasible, match="rt_max_s"):
        SURE.plan(plain([slow], [[10.0] * 4]))
    with pytest.raises(Infeasible, match="stock"):
        SURE.plan(plain([offer("c5.large", stock=1)], [[100.0] * 4]))
    limited = plain([offer("c5.large")], [[100.0] * 4], limits=Limits(max_vcpus=4.0))
    with pytest.raises(Infeasible, match="vCPU"):
        SURE.plan(limited)
    with pytest.raises(Infeasible, match=r"within the 2 intervals of the horizon: .* takes 2"):
        SURE.plan(plain([offer("c5.large", launch_delay_s=100.0)], [[100.0] * 2]))


def test_unusable_settings_name_the_key() -> None:
    with pytest.raises(ConfigError, match=r"planner\.quantile"):
        Greedy(quantile=0.0)
    with pytest.raises(ConfigError, match=r"planner\.span"):
        Greedy(span="both")  # type: ignore[arg-type]


def test_released_code_takes_the_running_peak_for_a_forecast() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], np.full((1, 10), 5.0), recent_bin_rps=(10.0, 50.0, 20.0))
    assert GreedyReleased().plan(base).target_now() == {kind.name: 6}
    assert GreedyReleased(headroom=1.0).plan(base).target_now() == {kind.name: 5}


def test_released_code_shrinks_only_below_the_last_six_plans() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], np.full((1, 10), 5.0), ready={kind.name: 9}, recent_bin_rps=(10.0,))
    held = replace(base, recent_final_targets_rps=(90.0, 60.0, 60.0, 50.0, 50.0, 40.0, 30.0))
    assert GreedyReleased().plan(held).target_now() == {kind.name: 6}
    assert GreedyReleased().plan(base).target_now() == {kind.name: 2}


def test_released_code_lets_go_once_six_plans_wanted_less() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    fleet, wanted = 9, (90.0,)
    for _ in range(7):
        plan = GreedyReleased().plan(
            plain(
                [kind],
                np.full((1, 10), 5.0),
                ready={kind.name: fleet},
                recent_bin_rps=(10.0,),
                recent_final_targets_rps=wanted,
            )
        )
        fleet = plan.target_now()[kind.name]
        wanted = (*wanted, 10.0 * float(plan.targets[0, -1]))
    assert fleet == 2


def test_released_code_never_launches_for_the_sake_of_past_plans() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], np.full((1, 10), 5.0), ready={kind.name: 3}, recent_bin_rps=(10.0,))
    held = replace(base, recent_final_targets_rps=(900.0,))
    assert GreedyReleased().plan(held).target_now() == {kind.name: 3}


def test_functions_are_warm_for_what_the_fleet_lacks() -> None:
    kind = offer("c5.large", saturation_rps=10.0)
    base = plain([kind], [[100.0, 100.0, 0.0]], with_function=function())
    plan = SURE.plan(base)
    assert plan.warm_functions[0] == np.ceil((100.0 + 2.0) * 0.144)
