import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import ConfigError
from markopt.evaluation.tuning import Knob, Trial, as_rows, trial_rows, tune, tune_knobs

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
    assert len(second.trials) <= 7


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 8), st.integers(0, 1), st.integers(2, 9))
def test_both_searches_find_the_valley_of_the_cost(valley, least, size):
    """Safer is cheaper up to a point, where a miss is answered by a dear function."""
    grid = tuple(float(k) for k in range(size))

    def attempt(value):
        return Trial(
            value, attainment=0.99 if value >= least else 0.9, cost_usd=abs(value - valley)
        )

    first = tune("p", "k", grid, 0.98, attempt=attempt, search="grid")
    second = tune("p", "k", grid, 0.98, attempt=attempt, search="bisection")
    assert (first.cost_usd, first.attained) == (second.cost_usd, second.attained)


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


TWO = (Knob("headroom", (0.8, 1.0, 1.2, 1.4)), Knob("price", (1, 2, 4)))


def both(values):
    """Attainment rises with either knob; either costs, and what is beyond costs more."""
    safety = values["headroom"] + 0.1 * values["price"]
    return Trial(None, attainment=min(0.8 + 0.1 * safety, 1.0), cost_usd=safety**2)


@pytest.mark.parametrize("search", ["grid", "in_turn", "bisection"])
def test_several_knobs_are_tuned_together(search):
    tuned = tune_knobs("p", TWO, 0.93, attempt=both, search=search)
    assert tuned.attained
    assert tuned.knob == "headroom, price"
    assert tuned.value is None
    reaching = [t for t in tuned.trials if t.attainment >= 0.93]
    assert tuned.cost_usd == min(t.cost_usd for t in reaching)
    assert both(tuned.values).cost_usd == tuned.cost_usd
    every = [both({"headroom": h, "price": p}) for h in TWO[0].grid for p in TWO[1].grid]
    assert tuned.cost_usd <= 1.2 * min(t.cost_usd for t in every if t.attainment >= 0.93)
    assert len(tuned.trials) == 12 if search == "grid" else len(tuned.trials) < 12


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 0.95), st.integers(0, 6), st.booleans())
def test_refining_comes_closer_to_the_target_and_never_costs_more(target, steps, whole):
    grid = (0, 16, 64, 128) if whole else (0.0, 0.4, 0.7, 1.0)
    most = grid[-1]

    def attempt(values):
        return Trial(None, attainment=values["k"] / most, cost_usd=values["k"])

    coarse = tune_knobs("p", (Knob("k", grid),), target, attempt=attempt)
    fine = tune_knobs("p", (Knob("k", grid),), target, attempt=attempt, refine=steps)
    assert target <= fine.attainment <= coarse.attainment
    assert fine.cost_usd <= coarse.cost_usd
    assert len(fine.trials) <= len(coarse.trials) + steps
    gap = max(b - a for a, b in itertools.pairwise(grid)) / most
    assert fine.attainment - target <= gap / 2**steps + (1.0 / most if whole else 1e-9)
    assert all(isinstance(t.values["k"], int) for t in fine.trials) or not whole


def test_names_are_tried_and_not_refined():
    knobs = (Knob("measure", ("cvar", "saa")), Knob("joint", (False, True)))

    def attempt(values):
        dear = (values["measure"] == "saa") + values["joint"]
        return Trial(None, attainment=0.9 + 0.04 * dear, cost_usd=1.0 + dear)

    tuned = tune_knobs("p", knobs, 0.93, attempt=attempt, refine=5)
    assert tuned.attainment == pytest.approx(0.94)
    assert len(tuned.trials) == 4
    rows = trial_rows([tuned])
    assert [row["chosen"] for row in rows].count(True) == 1
    assert rows[0]["values"] == "measure=cvar joint=False"
    assert as_rows([tuned])[0]["values"] == dict(tuned.values)


def test_no_combination_is_tried_twice():
    asked = []

    def attempt(values):
        asked.append(tuple(values.items()))
        return both(values)

    tune_knobs("p", TWO, 0.93, attempt=attempt, search="in_turn", refine=3)
    assert len(asked) == len(set(asked))


def test_a_knob_without_values_is_refused():
    with pytest.raises(ConfigError, match=r"compare\.knobs: 'headroom'"):
        Knob("headroom", ())
