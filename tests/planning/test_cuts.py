"""The cuts: exact with all of them, a lower bound with few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.planning.program.cuts import excess_cuts, spill_cuts
from markopt.planning.program.shortage import Shortage
from markopt.planning.statement.demand import DemandData, demand_data
from markopt.planning.statement.tree import scenario_tree
from tests.planning.problems import offer, problem, walk_paths


def random_demand(seed: int, samples: int, horizon: int = 3) -> DemandData:
    rng = np.random.default_rng(seed)
    kind = offer("c5.large")
    paths = walk_paths(rng, samples=samples, horizon=horizon, start_rps=80.0, step=0.3)
    base = problem([kind], paths)
    tree = scenario_tree(paths, base.forecast.probabilities, horizon)
    return demand_data(base, tree, {"c5.large": 1.0}, 1.0, "requests")


def value(cuts, t: int, capacity: float, warm: float = 0.0) -> float:
    at = cuts.interval == t
    lines = cuts.level[at] - cuts.slope[at] * capacity - cuts.weight[at] * warm
    return max(float(lines.max(initial=0.0)), 0.0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1000), st.integers(1, 60), st.floats(0.0, 300.0), st.floats(0.0, 100.0))
def test_all_cuts_together_are_exact(seed: int, samples: int, capacity: float, warm: float) -> None:
    demand = random_demand(seed, samples)
    free = np.full(3, np.inf)
    everywhere = np.full(3, capacity)
    spill = demand.expected_spill_rps(everywhere)
    excess = demand.expected_excess_rps(everywhere, np.full(3, warm))
    for t in range(3):
        assert value(spill_cuts(demand, 1000, free), t, capacity) == pytest.approx(spill[t])
        found = value(excess_cuts(demand, 1000, 0.0), t, capacity, warm)
        # Lines that differ by rounding only are one line: hence the absolute tolerance.
        assert found == pytest.approx(excess[t], abs=1e-9)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 1000), st.integers(2, 200), st.integers(2, 30), st.floats(0.0, 300.0))
def test_few_cuts_bound_from_below_and_keep_their_number(
    seed: int, samples: int, count: int, capacity: float
) -> None:
    demand = random_demand(seed, samples)
    cuts = spill_cuts(demand, count, np.full(3, np.inf))
    exact = demand.expected_spill_rps(np.full(3, capacity))
    for t in range(3):
        assert (cuts.interval == t).sum() <= count
        assert value(cuts, t, capacity) <= exact[t] + 1e-9
    assert value(cuts, 0, 0.0) == pytest.approx(demand.expected_spill_rps(np.zeros(3))[0])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(0, 1000), st.floats(0.0, 200.0), st.floats(0.0, 1.0))
def test_cuts_within_reach_suffice(seed: int, limit: float, share: float) -> None:
    demand = random_demand(seed, 40)
    capacity = limit * share
    cuts = spill_cuts(demand, 1000, np.full(3, limit))
    exact = demand.expected_spill_rps(np.full(3, capacity))
    for t in range(3):
        assert value(cuts, t, capacity) == pytest.approx(exact[t], abs=1e-9)


def test_twenty_cuts_are_close_to_a_hundred_scenarios() -> None:
    demand = random_demand(3, 100)
    cuts = spill_cuts(demand, 20, np.full(3, np.inf))
    for capacity in np.linspace(0.0, demand.q.max(), 50):
        exact = demand.expected_spill_rps(np.full(3, capacity))[1]
        assert exact - value(cuts, 1, capacity) <= 2e-3 * demand.expected_rps[1]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(0, 1000),
    st.integers(1, 60),
    st.floats(-50.0, 300.0),
    st.sampled_from([-1e-14, 0.0, 3.0, 80.0]),
)
def test_shortages_are_those_of_every_scenario(
    seed: int, samples: int, capacity: float, warm: float
) -> None:
    # Two states, the second without the first's last cell: cells may be filled up with nothing.
    demand = random_demand(seed, samples)
    some = np.arange(samples)[:, None] < np.array([samples, samples // 2, samples])[None, :]
    demand = replace(
        demand,
        **{k: np.where(some, getattr(demand, k), 0.0) for k in ("q", "demand", "p", "slope")},
    )
    capacities = np.array([np.full(3, capacity), [0.0, capacity, 10.0]])
    shortage = Shortage(demand)
    spill, _ = shortage.spill(capacities)
    excess, _ = shortage.excess(capacities, np.full(3, warm))
    for state, own in enumerate(capacities):
        assert spill[state] == pytest.approx(demand.expected_spill_rps(own), abs=1e-9)
        expected = demand.expected_excess_rps(own, np.full(3, max(warm, 0.0)))
        assert excess[state] == pytest.approx(expected, abs=1e-9)
