import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import ConfigError
from markopt.evaluation.tuning import Trial, tune

GRID = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)


def rising(value):
    return Trial(value, attainment=min(0.9 + 0.1 * value, 1.0), cost_usd=value)


@pytest.mark.parametrize("search", ["grid", "bisection"])
def test_the_cheapest_value_that_attains_the_target_is_taken(search):
    tuned = tune("p", "headroom", GRID, 0.985, attempt=rising, search=search)
    assert (tuned.value, tuned.attained) == (0.9, True)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(1, 9))
def test_both_searches_agree_where_attainment_rises(target, size):
    grid = tuple(float(k) for k in range(size))

    def attempt(value):
        return Trial(value, attainment=(value + 1.0) / 10.0, cost_usd=value)

    first = tune("p", "k", grid, target, attempt=attempt, search="grid")
    second = tune("p", "k", grid, target, attempt=attempt, search="bisection")
    assert (first.value, first.attained) == (second.value, second.attained)
    assert len(second.trials) <= 5


def test_a_dearer_value_is_not_taken_for_a_higher_attainment():
    trials = {1.0: Trial(1.0, 0.99, 5.0), 2.0: Trial(2.0, 0.985, 4.0), 3.0: Trial(3.0, 1.0, 9.0)}
    tuned = tune("p", "k", tuple(trials), 0.98, attempt=trials.__getitem__)
    assert tuned.value == 2.0


def test_where_nothing_attains_the_closest_is_taken_and_flagged():
    tuned = tune("p", "k", (1.0, 2.0), 0.999, attempt=lambda v: Trial(v, 0.9 + v / 100.0, v))
    assert (tuned.value, tuned.attained) == (2.0, False)
    assert "no value attains" in tuned.remark


def test_a_policy_without_a_knob_is_judged_as_configured():
    tuned = tune("p", None, (), 0.98, attempt=rising)
    assert tuned.value is None
    assert "no knob" in tuned.remark


@pytest.mark.parametrize("target", [0.0, 1.0, -0.5, 98.0, float("nan")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ConfigError, match="at-equal-slo"):
        tune("p", "k", GRID, target, attempt=rising)


def test_an_unknown_search_is_refused():
    with pytest.raises(ConfigError, match=r"compare\.tune_search"):
        tune("p", "k", GRID, 0.9, attempt=rising, search="random")
