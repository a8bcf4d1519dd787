"""Which instance type the single-offer baselines scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from markopt.core import FleetState, OfferFleet, Problem, PurchaseOption
from markopt.planning import TargetTracking
from markopt.planning.single_offer import scaled_offer
from tests.planning.problems import offer, problem

SMALL = offer("c5.large", saturation_rps=10.0, price_usd_per_h=0.1)
LARGE = offer("p2.xlarge", saturation_rps=100.0, price_usd_per_h=0.9)
SPOT = offer("p2.xlarge/spot", saturation_rps=100.0, purchase=PurchaseOption.SPOT)


def running(rate_rps: float, **ready: int) -> Problem:
    """A problem at a steady rate, with instances of small, large and spot ready."""
    kinds = {"small": SMALL, "large": LARGE, "spot": SPOT}
    return problem(
        [SMALL, LARGE, SPOT],
        np.full((1, 4), rate_rps),
        ready={kinds[name].name: count for name, count in ready.items()},
        recent_rps=(rate_rps,) * 3,
    )


def test_without_a_fleet_the_cheapest_for_the_load_is_scaled():
    assert scaled_offer(running(5.0), None).name == SMALL.name
    assert scaled_offer(running(900.0), None).name == LARGE.name


@pytest.mark.parametrize("rate_rps", [5.0, 90.0, 101.0, 450.0, 900.0])
def test_a_running_group_keeps_its_type_whatever_the_load(rate_rps):
    assert scaled_offer(running(rate_rps, large=5), None).name == LARGE.name
    assert scaled_offer(running(rate_rps, small=50, large=1), None).name == SMALL.name


def test_a_remainder_of_another_fleet_is_no_group():
    assert scaled_offer(running(900.0, small=1, spot=9), None).name == LARGE.name


def test_instances_under_notice_do_not_count():
    noticed = replace(running(900.0), fleet=FleetState((OfferFleet(SMALL.name, 90, noticed=90),)))
    assert scaled_offer(noticed, None).name == LARGE.name


def test_target_tracking_never_swaps_its_fleet_for_another_type():
    for rate_rps in (5.0, 50.0, 101.0, 300.0):
        plan = TargetTracking().plan(running(rate_rps, large=5))
        assert plan.target_now().get(SMALL.name, 0) == 0
