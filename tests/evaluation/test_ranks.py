import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from markopt.evaluation.pareto import front
from markopt.evaluation.ranks import as_rows, critical_difference, rank


def row(policy, seed, cost, attainment=0.99, sl_min=0.98):
    return {
        "policy": policy,
        "seed": seed,
        "cost_usd": cost,
        "attainment": attainment,
        "met": attainment >= sl_min,
    }


def table(costs):
    return [row(p, s, float(c)) for p, values in costs.items() for s, c in enumerate(values)]


def test_ranks_and_friedmans_test_are_scipys():
    rng = np.random.default_rng(2)
    costs = {name: rng.normal(mean, 1.0, 8) for name, mean in (("a", 5), ("b", 6), ("c", 8))}
    found = rank(table(costs), list(costs))
    matrix = np.array([costs[name] for name in costs]).T
    expected = stats.rankdata(matrix, axis=1).mean(axis=0)
    assert [found.mean_rank[name] for name in costs] == pytest.approx(list(expected))
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*matrix.T).pvalue)
    assert list(found.mean_rank) == sorted(costs, key=lambda name: found.mean_rank[name])


def test_the_critical_difference_is_demsars():
    # Demsar (2006), table 5a and section 3.2.2: q = 2.569 for 4 classifiers, 14 data sets.
    assert critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)


def test_a_policy_that_misses_the_slo_ranks_last_however_cheap():
    rows = [row("cheap", 0, 1.0, 0.90), row("worse", 0, 0.5, 0.80), row("dear", 0, 9.0)]
    found = rank(rows, ["cheap", "worse", "dear"])
    assert found.mean_rank == {"dear": 1.0, "cheap": 2.0, "worse": 3.0}


def test_few_seeds_or_policies_have_no_test():
    few = rank(table({"a": [1, 2], "b": [2, 3], "c": [3, 4]}), ["a", "b", "c"])
    two = rank(table({"a": range(9), "b": range(1, 10)}), ["a", "b"])
    for found in (few, two):
        assert (found.friedman_p, found.critical_difference, found.like_the_best) == (None,) * 2 + (
            (),
        )
    assert [entry["like_the_best"] for entry in as_rows(two)] == [None, None]


def test_policies_that_never_differ_are_all_like_the_best():
    found = rank(table({name: [1.0] * 6 for name in "abc"}), list("abc"))
    assert found.friedman_p == 1.0
    assert set(found.like_the_best) == set("abc")


def test_a_policy_that_always_wins_is_told_from_one_that_always_loses():
    costs = {"a": [1.0] * 10, "b": [2.0] * 10, "c": [3.0] * 10, "d": [4.0] * 10}
    found = rank(table(costs), list(costs))
    assert "a" in found.like_the_best
    assert "d" not in found.like_the_best
    assert found.friedman_p < 0.001


POINTS = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]), st.sampled_from([0.95, 0.97, 0.99, 1.0])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(POINTS)
def test_a_policy_is_on_the_front_exactly_where_nobody_beats_it(pairs):
    rows = [
        {"policy": f"p{k}", "cost_usd": cost, "attainment": share, "met": share >= 0.98}
        for k, (cost, share) in enumerate(pairs)
    ]
    points = front(rows)
    assert sorted(point.policy for point in points) == sorted(entry["policy"] for entry in rows)
    named = {point.policy: point for point in points}
    assert any(not point.dominated_by for point in points)
    for point in points:
        beaten = any(
            other.cost_usd <= point.cost_usd
            and other.attainment >= point.attainment
            and (other.cost_usd, other.attainment) != (point.cost_usd, point.attainment)
            for other in points
        )
        assert bool(point.dominated_by) == beaten
        if beaten:
            assert not named[point.dominated_by].dominated_by
