"""Joint states of the spot pools: shares kept, probabilities whole, and the largest reach."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Problem
from markopt.planning.evaluator.outcomes import pool_outcomes
from markopt.planning.requirement import candidate_offers
from markopt.planning.statement import Formulation
from markopt.planning.statement.reach import capacity_in_reach
from markopt.planning.statement.states import pool_states, unavailable_share
from tests.fuzzing import examples
from tests.planning.statements import decisions, statement_of

QUICK = settings(
    max_examples=examples(60),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
SHARED = st.sampled_from([0.0, 0.1, 1.0])


@QUICK
@given(decisions(), SHARED)
def test_probabilities_sum_to_one_and_offers_keep_their_shares(
    base: Problem, shared: float
) -> None:
    kinds = candidate_offers(base)
    states = pool_states(base, kinds, "joint", shared)
    assert np.isclose(states.probability.sum(), 1.0)
    assert (states.probability >= 0.0).all()
    assert ((states.available >= 0.0) & (states.available <= 1.0)).all()
    expected = pool_states(base, kinds, "expected", shared)
    assert np.allclose(states.expected, expected.available[0])
    if base.availability is None:
        away = [unavailable_share(o, base.interval_s) for o in kinds]
        assert np.allclose(1.0 - states.expected[:, 0], away)


@QUICK
@given(decisions(), SHARED, st.sampled_from(["joint", "expected"]))
def test_the_evaluator_finds_the_same_states(base: Problem, shared: float, how: str) -> None:
    states = pool_states(base, candidate_offers(base), how, shared)
    outcomes = pool_outcomes(base, how, shared)
    full = np.broadcast_to(states.available, (*states.available.shape[:2], base.horizon))
    one = sorted(
        (round(p, 9), a.round(9).tolist()) for p, a in zip(states.probability, full, strict=True)
    )
    two = sorted((round(o.probability, 9), np.round(o.shares, 9).tolist()) for o in outcomes)
    assert [p for p, _ in one if p > 0.0] == [p for p, _ in two if p > 0.0]
    assert np.allclose([a for p, a in one if p > 0.0], [a for p, a in two if p > 0.0])


@QUICK
@given(decisions(), st.floats(0.0, 0.5))
def test_states_left_out_of_a_promise_are_within_its_share(base: Problem, share: float) -> None:
    states = pool_states(base, candidate_offers(base), "joint", 0.1)
    kept, lost = states.kept(share)
    assert lost <= share + 1e-9
    assert np.isclose(states.probability[kept].sum() + lost, 1.0)


@QUICK
@given(decisions())
def test_no_stock_and_no_time_bound_what_can_be_in_reach(base: Problem) -> None:
    statement = statement_of(Formulation(window=None, interruptions="joint"), base)
    fleet = statement.fleet
    reach = capacity_in_reach(fleet, statement.states, base.horizon)
    for m in range(len(reach)):
        for t in range(base.horizon):
            total = fleet.noticed_rps if t == 0 else 0.0
            for k in range(len(fleet.offers)):
                count = fleet.ready[k] + fleet.arriving[k, : t + 1].sum()
                if t >= fleet.d[k]:
                    most = fleet.ready[k] + fleet.arriving[k].sum()
                    count = max(min(fleet.stock[k], 1e12), most)
                total += fleet.mu[k] * statement.available[m, k, t] * count
            assert np.isclose(reach[m, t], total)
