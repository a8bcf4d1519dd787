"""Random small decisions with every setting of the formulation, for the planning tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from markopt.core import Availability, Limits, Offer, Problem, PurchaseOption, Slo, SloWindow
from markopt.planning.program.terms import (
    BillCvar,
    BudgetCap,
    Diversification,
    LargestChange,
    MakeBeforeBreak,
)
from markopt.planning.requirement import candidate_offers, fleet_mix
from markopt.planning.statement import Formulation, Risk, Statement
from markopt.planning.statement.risk import MEASURES
from tests.planning.problems import curve, function, offer, problem, walk_paths

TERMS = {
    "make_before_break": MakeBeforeBreak(),
    "diversification": Diversification(largest_share=0.5),
    "largest_change": LargestChange(launches=3, terminations=2),
    "budget_cap": BudgetCap(usd_per_h=0.6),
    "bill_cvar": BillCvar(level=0.8, weight=0.5),
}


@st.composite
def offers(draw: st.DrawFn, rng: np.random.Generator) -> list[Offer]:
    """Two to four offers, some of spot pools, some of them sharing one."""
    kinds = []
    for k in range(draw(st.integers(2, 4))):
        spot = draw(st.booleans())
        kinds.append(
            offer(
                f"type{k}/{'spot' if spot else 'on-demand'}",
                price_usd_per_h=float(rng.uniform(0.03, 0.4)),
                saturation_rps=float(rng.uniform(15.0, 80.0)),
                vcpus=float(rng.integers(1, 9)),
                purchase=PurchaseOption.SPOT if spot else PurchaseOption.ON_DEMAND,
                pool=f"pool{draw(st.integers(0, 2))}",
                interruption_per_h=float(rng.uniform(0.1, 2.0)) if spot else 0.0,
                launch_delay_s=draw(st.sampled_from([0.0, 45.0, 100.0, 130.0])),
                minimum_billed_s=draw(st.sampled_from([60.0, 60.0, 240.0])),
                stock=draw(st.sampled_from([None, None, 1, 4])),
            )
        )
    return kinds


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Account limits, some of them tight."""
    if draw(st.booleans()):
        return Limits()
    return Limits(
        max_vcpus=draw(st.sampled_from([None, 12.0, 30.0])),
        max_launches_per_interval=draw(st.sampled_from([None, 2])),
        max_terminations_per_interval=draw(st.sampled_from([None, 1])),
        max_instances_by_pool=draw(st.sampled_from([{}, {"pool0": 2}, {"pool1": 3, "none": 1}])),
    )


@st.composite
def decisions(draw: st.DrawFn, *, pooling: bool = True) -> Problem:
    """A decision of two to six intervals and up to twelve paths, in any state of the fleet."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    kinds = draw(offers(rng))
    horizon = draw(st.integers(2, 6))
    ready = {o.name: draw(st.integers(0, 3)) for o in kinds}
    noticed = {kinds[-1].name: min(draw(st.integers(0, 1)), ready[kinds[-1].name])}
    pending = {kinds[0].name: tuple(draw(st.lists(st.sampled_from([20.0, 70.0]), max_size=2)))}
    lam = draw(
        st.sampled_from(
            [
                None,
                function(),
                function(warm_price_usd_per_s=4e-6),
                function(warm_price_usd_per_s=4e-6, concurrency_limit=3),
                function(concurrency_limit=2),
                function(cold_start_s=0.01),
                function(service_time_s=0.5),
            ]
        )
    )
    paths = walk_paths(
        rng,
        samples=draw(st.integers(1, 12)),
        horizon=horizon,
        start_rps=float(rng.uniform(5.0, 150.0)),
        step=0.25,
    )
    base = problem(
        kinds,
        paths,
        ready=ready,
        noticed=noticed,
        pending=pending,
        with_function=lam,
        slo=Slo(rt_max_s=0.2, sl_min=draw(st.sampled_from([0.9, 0.98]))),
        limits=draw(limits()),
        window=draw(
            st.sampled_from(
                [
                    SloWindow(),
                    SloWindow(20_000, 300, 1800.0),
                    SloWindow(5_000, 400, 130.0),
                    SloWindow(9_000, 20, 0.0),
                ]
            )
        ),
        curves=None if pooling else {o.instance_type: curve(0.0) for o in kinds},
    )
    weights = rng.uniform(0.5, 1.5, len(paths))
    if draw(st.booleans()):
        forecast = replace(base.forecast, probabilities=weights / weights.sum())
        base = replace(base, forecast=forecast)
    if draw(st.integers(0, 3)) == 0:
        shares = rng.choice([0.0, 0.5, 1.0], size=(3, 2, horizon), p=[0.2, 0.2, 0.6])
        known = Availability(("pool0", "pool1"), shares, np.array([0.7, 0.25, 0.05]))
        base = replace(base, availability=known)
    return base


@st.composite
def settings_of_all(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    """Every setting of the formulation, but for those that are ``fixed``."""
    measure = draw(st.sampled_from(MEASURES))
    drawn: dict[str, Any] = {
        "headroom": draw(st.sampled_from([1.0, 1.2])),
        "window": draw(st.sampled_from([None, 3])),
        "integer_intervals": draw(st.sampled_from([None, None, 2])),
        "spill_weight": draw(st.sampled_from([1.0, 3.0])),
        "miss_weight": draw(st.sampled_from([None, 10.0])),
        "spill_units": draw(st.sampled_from(["requests", "throughput"])),
        "spread": draw(st.sampled_from(["open_loop", "lead_time"])),
        "recourse": draw(st.sampled_from(["open_loop", "delayed", "wait_and_see"])),
        "scenario_groups": draw(st.sampled_from([(), (2,), (2, 2), (6,)])),
        "interruptions": draw(st.sampled_from(["expected", "joint"])),
        "shared_shock_share": draw(st.sampled_from([0.0, 0.1, 0.5])),
        "terminal_value_share": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "risk": Risk(
            measure=measure,
            violation_share=draw(st.sampled_from([0.02, 0.1, 0.3])),
            confidence=draw(st.sampled_from([0.0, 0.5, 0.95])),
            radius_share=draw(st.sampled_from([0.0, 0.01, 0.1])),
            joint=draw(st.booleans()),
        ),
        "terms": {name: TERMS[name] for name in draw(st.sets(st.sampled_from(sorted(TERMS))))},
    }
    return drawn | fixed


def statement_of(formulation: Formulation, base: Problem) -> Statement:
    """The statement of all offers of a decision, for the mix of the present fleet."""
    stated = formulation.stated_problem(base)
    kinds = candidate_offers(stated)
    return formulation.state(stated, kinds, fleet_mix(stated, kinds))
