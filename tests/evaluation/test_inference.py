import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from markopt.evaluation import inference
from markopt.evaluation.inference import (
    BCA,
    ONE_VALUE,
    TOO_FEW,
    bootstrap_interval,
    holm,
    paired_tests,
)


def rows(costs, attainments=None):
    """Rows of policies by seed: ``costs`` maps a policy to its costs."""
    return [
        {
            "policy": policy,
            "seed": seed,
            "cost_usd": float(cost),
            "attainment": 0.99 if attainments is None else attainments[policy][seed],
            "met": True,
        }
        for policy, values in costs.items()
        for seed, cost in enumerate(values)
    ]


def by_name(costs, seed):
    found = paired_tests(rows(costs), list(costs), np.random.default_rng(seed))
    return {(test.policy, test.metric): test for test in found}


def paired(costs):
    return by_name(costs, 0)


def test_the_tests_are_scipys():
    costs = {"a": [10, 12, 9, 11, 13, 10], "b": [11, 12.5, 9.2, 12, 13.1, 10.9]}
    test = paired(costs)["b", "cost_usd"]
    difference = np.array(costs["b"]) - np.array(costs["a"])
    assert test.p_t == pytest.approx(stats.ttest_rel(costs["b"], costs["a"]).pvalue)
    assert test.p_permutation == pytest.approx(2 / 2**6)  # all signs equal: the least there is
    assert test.mean_difference == pytest.approx(difference.mean())
    assert test.relative_difference == pytest.approx(difference.mean() / np.mean(costs["a"]))
    assert test.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert test.bootstrap_method == BCA
    assert difference.min() <= test.bootstrap_low < test.mean_difference < test.bootstrap_high


def test_holm_is_as_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([None, 0.02, None]) == [None, pytest.approx(0.02), None]
    assert holm([None]) == [None]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    corrected = holm(values)
    assert all(after >= before - 1e-12 for before, after in zip(values, corrected, strict=True))
    assert corrected == pytest.approx(list(multipletests(values, method="holm")[1]))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= -1e-12)


def test_more_policies_make_each_finding_less_sure():
    rng = np.random.default_rng(1)
    base = rng.normal(10.0, 1.0, 8)
    alone = paired({"a": base, "b": base + rng.normal(0.3, 0.3, 8)})
    shift = {f"c{k}": base + rng.normal(0.0, 0.3, 8) for k in range(4)}
    rng = np.random.default_rng(1)
    base = rng.normal(10.0, 1.0, 8)
    among = paired({"a": base, "b": base + rng.normal(0.3, 0.3, 8), **shift})
    one, other = alone["b", "cost_usd"], among["b", "cost_usd"]
    assert one.p_t == pytest.approx(other.p_t)
    assert other.p_t_holm > one.p_t_holm


def test_equal_policies_do_not_differ():
    test = paired({"a": [1, 2, 3], "b": [1, 2, 3]})["b", "cost_usd"]
    assert (test.mean_difference, test.bootstrap_low, test.bootstrap_high) == (0.0, 0.0, 0.0)
    assert (test.p_t, test.p_permutation) == (1.0, 1.0)
    assert test.bootstrap_method == ONE_VALUE


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_no_interval(seeds):
    test = paired({"a": [1, 2][:seeds], "b": [2, 2.5][:seeds]})["b", "cost_usd"]
    assert test.bootstrap_method == TOO_FEW
    assert test.bootstrap_low is None
    assert (test.p_t is None) == (seeds == 1)


def test_the_same_draws_give_the_same_interval_whatever_comes_before():
    values = np.array([1.0, 0.4, 0.9, 2.0, 1.4])
    found = [bootstrap_interval(values, np.random.default_rng(5)) for _ in range(2)]
    assert found[0] == found[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(120):
        low, high, _ = bootstrap_interval(rng.gamma(4.0, 1.0, 12) - 4.0, rng)
        hits += low <= 0.0 <= high
    assert 0.84 <= hits / 120 <= 0.99


def test_true_null_hypotheses_are_rejected_about_as_often_as_the_level_says(monkeypatch):
    monkeypatch.setattr(inference, "RESAMPLES", 199)  # more than there are signs of 7 seeds
    rng = np.random.default_rng(11)
    rejected = 0
    for trial in range(60):
        base = rng.normal(10.0, 2.0, 7)
        costs = {"a": base, **{f"b{k}": base + rng.normal(0.0, 1.0, 7) for k in range(3)}}
        found = by_name(costs, trial)
        rejected += any(t.p_t_holm < 0.05 for (_, m), t in found.items() if m == "cost_usd")
    assert rejected / 60 <= 0.15  # the family's level is 5 %


def test_a_reference_alone_is_tested_against_nobody():
    assert paired_tests(rows({"a": [1, 2, 3]}), ["a"], np.random.default_rng(0)) == ()
