"""The peers: each follows its published rule, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from markopt.core import Problem
from markopt.errors import ConfigError
from markopt.planning import (
    CocktailWeighted,
    Ec2PredictiveScaling,
    Ec2TargetTracking,
    FaroMdc,
    HoltWintersAutoscaler,
    HorizontalPodAutoscaler,
    Keda,
    MelangeIlp,
    SageMakerTargetTracking,
    SpockVmLambda,
    SpotHedge,
    TargetTracking,
    peers,
)
from markopt.planning.peers.horizontal_pod_autoscaler import desired_replicas
from tests.planning.problems import offer, problem

KIND = offer("c5.large", saturation_rps=30.0)  # a launch takes 100 s: two intervals
TYPE = "c5.large"


def observed(rates: list[float], ready: int, **changes: Any) -> Problem:
    paths = changes.pop("paths_rps", np.full((1, 6), rates[-1]))
    return problem([KIND], paths, ready={TYPE: ready}, recent_rps=tuple(rates), **changes)


def count(planner: Any, base: Problem) -> int:
    return int(planner.plan(base).target_now()[TYPE])


# SageMaker and EC2 target tracking: 30 rps at a target of 0.5 are 15 rps for each instance.


@pytest.mark.parametrize("planner", [SageMakerTargetTracking(), Ec2TargetTracking()])
def test_three_points_above_the_target_scale_out_in_proportion(planner: Any) -> None:
    assert count(planner, observed([100.0, 100.0], 2)) == 2
    assert count(planner, observed([100.0, 20.0, 100.0], 2)) == 2
    assert count(planner, observed([100.0] * 3, 2)) == 7  # 100 / 15 = 6.7


def test_a_larger_scale_out_goes_through_while_one_is_under_way() -> None:
    booting = observed([100.0] * 3, 2, pending={TYPE: (40.0,) * 5}, since_scale_out_s=60.0)
    assert count(SageMakerTargetTracking(), booting) == 7, "the five under way suffice"
    more = replace(booting, recent_rps=(100.0, 120.0, 130.0))
    assert count(SageMakerTargetTracking(), more) == 9  # 130 / 15 = 8.7
    assert count(Ec2TargetTracking(), more) == 9
    assert count(TargetTracking(), more) == 7, "rests for 300 s"


def test_sagemaker_scales_in_below_nine_tenths_of_the_target_after_fifteen_points() -> None:
    # Seven instances: target 105 rps, low alarm 94.5 rps.
    assert count(SageMakerTargetTracking(), observed([94.0] * 14, 7)) == 7
    assert count(SageMakerTargetTracking(), observed([95.0] * 15, 7)) == 7
    assert count(SageMakerTargetTracking(), observed([70.0] + [40.0] * 14, 7)) == 5  # 70 / 15
    low = observed([40.0] * 15, 7, since_scale_in_s=240.0)
    assert count(SageMakerTargetTracking(), low) == 7
    assert count(SageMakerTargetTracking(), replace(low, since_scale_in_s=300.0)) == 3
    after_out = observed([40.0] * 15, 7, since_scale_out_s=240.0)
    assert count(SageMakerTargetTracking(), after_out) == 3
    assert count(TargetTracking(), after_out) == 7


def test_ec2_scales_in_below_seven_tenths_and_never_while_an_instance_warms_up() -> None:
    # Seven instances: low alarm at 73.5 rps.
    assert count(Ec2TargetTracking(), observed([80.0] * 15, 7)) == 7
    assert count(Ec2TargetTracking(), observed([60.0] * 15, 7)) == 4
    assert count(Ec2TargetTracking(), observed([60.0] * 15, 7, since_scale_out_s=240.0)) == 7
    booting = observed([60.0] * 15, 7, pending={TYPE: (10.0,)}, since_scale_out_s=360.0)
    assert count(Ec2TargetTracking(), booting) == 8


def test_a_point_without_data_sets_off_no_alarm() -> None:
    gap = [100.0, float("nan"), 100.0]
    base = observed(gap, 2, paths_rps=np.full((1, 6), 100.0))
    assert count(SageMakerTargetTracking(), base) == 2
    assert count(Ec2TargetTracking(), base) == 2


# Predictive scaling


def test_predictive_scaling_takes_the_larger_of_forecast_and_alarm() -> None:
    rising = np.array([[30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 300.0, 300.0]])
    # 300 s ahead is six intervals from now: 105 / 15 = 7; what comes after is not seen.
    quiet = observed([30.0] * 3, 2, paths_rps=rising)
    assert count(Ec2PredictiveScaling(), quiet) == 7
    assert count(Ec2PredictiveScaling(scheduling_buffer_s=60.0), quiet) == 3  # 45 / 15
    alarmed = observed([150.0] * 3, 2, paths_rps=rising)
    assert count(Ec2PredictiveScaling(), alarmed) == 10


def test_a_falling_forecast_alone_does_not_scale_in() -> None:
    falling = np.full((1, 6), 15.0)
    assert count(Ec2PredictiveScaling(), observed([100.0] * 15, 7, paths_rps=falling)) == 7
    dropped = observed([40.0] * 15, 7, paths_rps=falling)
    assert count(Ec2PredictiveScaling(), dropped) == 3


# Kubernetes


def test_desired_replicas_are_those_of_the_kubernetes_documentation() -> None:
    assert desired_replicas(1, 200.0, 100.0, 0.1) == 2
    assert desired_replicas(2, 50.0, 100.0, 0.1) == 1
    assert desired_replicas(50, 90.0, 75.0, 0.1) == 60
    assert desired_replicas(10, 109.0, 100.0, 0.1) == 10
    assert desired_replicas(10, 91.0, 100.0, 0.1) == 10
    assert desired_replicas(10, 111.0, 100.0, 0.1) == 12


def test_hpa_scales_out_at_once_and_within_tolerance_not_at_all() -> None:
    # Target 0.8 of 30 rps: 24 rps for each.
    assert count(HorizontalPodAutoscaler(), observed([100.0], 4)) == 4  # ratio 1.04
    assert count(HorizontalPodAutoscaler(), observed([120.0], 4)) == 5
    booting = observed([120.0], 4, pending={TYPE: (40.0,)})
    assert count(HorizontalPodAutoscaler(), booting) == 5, "the fifth is on its way"


def test_hpa_scales_in_to_the_largest_wish_of_five_minutes() -> None:
    assert count(HorizontalPodAutoscaler(), observed([200.0, 24.0, 24.0, 24.0, 24.0], 9)) == 9
    rates = [200.0, 100.0, 24.0, 24.0, 24.0, 24.0]
    assert count(HorizontalPodAutoscaler(), observed(rates, 9)) == 5  # 100 / 24 = 4.2
    assert count(HorizontalPodAutoscaler(), observed([24.0] * 5, 9)) == 1


def test_the_recommendations_of_the_stabilization_proposal_give_its_answers() -> None:
    # KEP-853's example: 10, 9, 8, … in the window keep 10; without the 10, nine.
    wishes = [10, 9, 8, 9, 9, 8, 9, 8, 9, 8]
    scaler = HorizontalPodAutoscaler()
    assert scaler.stabilized(10, wishes, 60.0) == 10
    assert scaler.stabilized(10, [*wishes[1:], 7], 60.0) == 9


def test_hpa_adds_at_most_four_replicas_or_doubles_per_period() -> None:
    scaler = HorizontalPodAutoscaler()
    assert scaler.most(1, 15.0) == 5
    assert scaler.most(10, 15.0) == 20
    assert scaler.most(3, 60.0) == 56  # 3, 7, 14, 28, 56
    slow = HorizontalPodAutoscaler(scale_up_pods=1, scale_up_share=0.0, policy_period_s=60.0)
    assert count(slow, observed([600.0], 4)) == 5


def test_keda_ends_the_last_replica_after_five_silent_minutes_and_starts_one_at_once() -> None:
    assert count(Keda(), observed([24.0, 0.0, 0.0, 0.0, 0.0], 1)) == 1
    silent = observed([24.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1)
    assert count(Keda(), silent) == 0
    assert count(Keda(), observed([0.0] * 5 + [0.1], 0)) == 1
    assert count(Keda(), observed([120.0], 4)) == count(
        HorizontalPodAutoscaler(), observed([120.0], 4)
    )


# All of them


def test_the_documentation_names_every_peer_with_its_option_and_knob() -> None:
    root = Path(__file__).parents[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (root / "docs" / "peers.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and line.count("|") == 6
    ]
    documented = {row[0].strip("`"): row[4].strip("`") for row in rows}
    options = {
        str(config["_target_"]).rpartition(".")[2]: path.stem
        for path in (root / "conf" / "planner").glob("*.yaml")
        if "_target_" in (config := OmegaConf.load(path))
    }
    for name in peers.__all__:
        assert documented[options[name]] == getattr(peers, name).KNOB


SETTINGS = [
    (SageMakerTargetTracking, {"safety_factor": 0.0}, "safety_factor"),
    (SageMakerTargetTracking, {"scale_in_points": 0}, "scale_in_points"),
    (Ec2TargetTracking, {"warmup_s": -1.0}, "warmup_s"),
    (Ec2PredictiveScaling, {"scheduling_buffer_s": -1.0}, "scheduling_buffer_s"),
    (HorizontalPodAutoscaler, {"target_utilization": 1.5}, "target_utilization"),
    (HorizontalPodAutoscaler, {"policy_period_s": 0.0}, "policy_period_s"),
    (Keda, {"cooldown_s": float("nan")}, "cooldown_s"),
    (SpotHedge, {"extra": -1}, "extra"),
    (FaroMdc, {"headroom": 0.0}, "headroom"),
    (FaroMdc, {"max_utilization": 1.0}, "max_utilization"),
    (CocktailWeighted, {"pools": 0}, "pools"),
    (MelangeIlp, {"slices": 0}, "slices"),
    (SpockVmLambda, {"prediction": "oracle"}, "prediction"),
    (HoltWintersAutoscaler, {"target_utilization": 0.0}, "target_utilization"),
]


@pytest.mark.parametrize(("make", "settings", "key"), SETTINGS)
def test_a_setting_out_of_range_is_named(make: Any, settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"planner\.{key}") as caught:
        make(**settings)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.floats(0.0, 500.0), min_size=1, max_size=30), st.integers(0, 20))
def test_a_lower_target_never_means_fewer_instances(rates: list[float], ready: int) -> None:
    base = observed(rates, ready)
    for make in (HorizontalPodAutoscaler, SpockVmLambda, HoltWintersAutoscaler):
        counts = [count(make(target_utilization=u), base) for u in make.KNOB_GRID]
        assert all(a <= b for a, b in pairwise(counts))
