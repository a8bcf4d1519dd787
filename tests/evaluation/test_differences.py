import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from markopt.evaluation.differences import (
    BLOCK_BOOTSTRAP,
    PAIRED_T,
    block_bootstrap_interval,
    cost_and_attainment_differences,
    paired_t_interval,
)
from tests.evaluation.synthetic import dearer, episode


def compare(reference, other):
    found = cost_and_attainment_differences(reference, other, np.random.default_rng(0))
    return {difference.metric: difference for difference in found}


def test_paired_interval_is_students():
    differences = np.array([1.0, 2.5, 0.3, 1.7])
    expected = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert paired_t_interval(differences) == pytest.approx((expected.low, expected.high))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=8), st.floats(-3.0, 3.0))
def test_interval_moves_with_the_differences(values, shift):
    base = paired_t_interval(np.array(values))
    moved = paired_t_interval(np.array(values) + shift)
    assert moved == pytest.approx((base[0] + shift, base[1] + shift), abs=1e-9)


def test_block_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        low, high = block_bootstrap_interval(rng.normal(1.0, 1.0, 30), rng)
        hits += low <= 30.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_several_seeds_give_a_paired_t_interval():
    reference = [episode(seed=seed) for seed in range(3)]
    other = [dearer(episode(policy="greedy", seed=s), 1.1 + 0.01 * s) for s in range(3)]
    cost = compare(reference, other)["cost_usd"]
    assert cost.method == PAIRED_T
    assert cost.seeds == 3
    assert cost.ci95_low < cost.mean_difference < cost.ci95_high
    assert cost.relative_difference == pytest.approx(0.11)


def test_one_seed_gives_a_block_bootstrap_of_its_hours():
    reference = [episode(intervals=600)]
    other = [dearer(episode(policy="greedy", intervals=600), 1.2)]
    found = compare(reference, other)
    assert found["cost_usd"].method == BLOCK_BOOTSTRAP
    assert found["cost_usd"].ci95_low < found["cost_usd"].mean_difference
    assert found["cost_usd"].mean_difference < found["cost_usd"].ci95_high
    assert found["attainment"].ci95_low is None


def test_a_short_single_episode_has_no_interval():
    cost = compare([episode(intervals=60)], [episode(policy="greedy", intervals=60)])["cost_usd"]
    assert cost.ci95_low is None
    assert cost.method.startswith("none")


def test_equal_policies_do_not_differ():
    same = [episode(intervals=300)]
    cost = compare(same, same)["cost_usd"]
    assert (cost.mean_difference, cost.ci95_low, cost.ci95_high) == (0.0, 0.0, 0.0)
