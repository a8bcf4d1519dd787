"""Risk measures: levels against brute force and linear programs, promises against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from benchmarks.promises import realised
from markopt.errors import ConfigError
from markopt.planning.statement.risk import (
    Risk,
    quantile_level,
    sampled_level,
    spared,
    tail_mean,
    transported_level,
)
from tests.fuzzing import examples

QUICK = settings(max_examples=examples(60), deadline=None, derandomize=True)


@st.composite
def scenarios(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Required throughputs, largest first, and their probabilities."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    count = draw(st.integers(1, 12))
    q = np.sort(np.round(rng.uniform(1.0, 100.0, count), draw(st.sampled_from([0, 3]))))[::-1]
    p = rng.uniform(0.2, 1.0, count) if draw(st.booleans()) else np.ones(count)
    return q, p / p.sum()


SHARES = st.floats(0.01, 0.6)


@QUICK
@given(scenarios(), SHARES)
def test_quantile_is_the_least_scenario_that_enough_lie_below(data, share: float) -> None:
    q, p = data
    held = [b for b in q if float(p[q > b].sum()) <= share + 1e-12]
    assert quantile_level(q, p, share) == min(held)


@QUICK
@given(scenarios(), SHARES)
def test_cvar_is_its_linear_program(data, share: float) -> None:
    q, p = data
    # min v + sum p x / share, x >= q - v, x >= 0 (Rockafellar and Uryasev 2000)
    n = len(q)
    found = optimize.linprog(
        np.concatenate([[1.0], p / share]),
        A_ub=-np.hstack([np.ones((n, 1)), np.eye(n)]),
        b_ub=-q,
        bounds=[(None, None)] + [(0.0, None)] * n,
    )
    assert tail_mean(q, p, share) == pytest.approx(found.fun, rel=1e-6)


def transported_violation(q: np.ndarray, p: np.ndarray, level: float, radius: float) -> float:
    """The largest P'(q >= level) within a transport distance, as a linear program over moves."""
    distance = np.maximum(level - q, 0.0)
    # y_i of scenario i's probability is moved to the level; what lies beyond it is there already.
    found = optimize.linprog(
        -np.ones(len(q)), A_ub=distance[None, :], b_ub=[radius], bounds=[(0.0, x) for x in p]
    )
    return -float(found.fun)


@QUICK
@given(scenarios(), SHARES, st.floats(0.05, 20.0))
def test_wasserstein_level_holds_against_the_worst_transport(data, share, radius) -> None:
    q, p = data
    level = transported_level(q, p, share, radius)
    assert transported_violation(q, p, level + 1e-6, radius) <= share + 1e-6
    assert transported_violation(q, p, level - 1e-3, radius) >= share - 1e-6


def test_wasserstein_without_a_radius_is_the_quantile() -> None:
    q, p = np.array([5.0, 4.0, 3.0]), np.full(3, 1.0 / 3.0)
    assert transported_level(q, p, 0.4, 0.0) == quantile_level(q, p, 0.4)


@QUICK
@given(st.integers(1, 300), st.floats(0.005, 0.5), st.floats(0.05, 0.99))
def test_wilks_bound_is_binomial_arithmetic(samples: int, share: float, confidence: float) -> None:
    # The k-th largest fails with P(Bin(S, share) <= k): by sums of the mass function.
    mass = stats.binom.pmf(np.arange(samples + 1), samples, share)
    held = [k for k in range(samples) if mass[: k + 1].sum() <= 1.0 - confidence + 1e-9]
    assert spared(samples, share, confidence) == (max(held) if held else -1)


def test_known_sample_sizes_of_wilks() -> None:
    # 95 % confidence that 95 % lie below the largest of 59, the second largest of 93.
    assert spared(58, 0.05, 0.95) == -1
    assert spared(59, 0.05, 0.95) == 0
    assert spared(93, 0.05, 0.95) == 1
    assert spared(100, 0.05, 0.0) == 5


@QUICK
@given(scenarios(), SHARES, st.floats(0.0, 0.3))
def test_levels_are_ordered_and_monotone(data, share: float, radius_share: float) -> None:
    q, p = data
    quantile = quantile_level(q, p, share)
    assert quantile <= tail_mean(q, p, share) + 1e-9
    assert quantile <= transported_level(q, p, share, radius_share * float(p @ q)) + 1e-9
    for measure in ("quantile", "saa", "cvar", "gaussian", "wasserstein"):
        risk = Risk(measure=measure, radius_share=radius_share)
        assert risk.level(q, p, share) >= risk.level(q, p, min(1.5 * share, 0.9)) - 1e-9
    wide = Risk(measure="wasserstein", radius_share=radius_share + 0.1)
    near = Risk(measure="wasserstein", radius_share=radius_share)
    assert wide.level(q, p, share) >= near.level(q, p, share) - 1e-9
    assert sampled_level(q, share, 0.95) >= sampled_level(q, share, 0.5)


def test_gaussian_is_the_normal_quantile() -> None:
    q = np.array([30.0, 20.0, 10.0])
    level = Risk(measure="gaussian").level(q, np.full(3, 1.0 / 3.0), 0.1)
    assert level == pytest.approx(stats.norm.ppf(0.9, 20.0, q.std()))


def test_unusable_risks_name_the_key() -> None:
    with pytest.raises(ConfigError, match=r"risk\.measure"):
        Risk(measure="value_at_risk")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"risk\.violation_share"):
        Risk(violation_share=0.0)
    with pytest.raises(ConfigError, match=r"risk\.confidence"):
        Risk(confidence=1.0)
    with pytest.raises(ConfigError, match=r"risk\.radius_share"):
        Risk(radius_share=-0.1)


PROBLEMS = 1000
FEW = 200
UNLUCKY = 1e-4  # of a test that judges draws: a binomial interval this wide


def test_saa_keeps_its_promise_beyond_the_sample_as_often_as_it_says() -> None:
    for family in ("normal", "lognormal"):
        violation = realised(Risk(measure="saa", violation_share=0.05), family, PROBLEMS, 100)
        broken = int((violation > 0.05).sum())
        assert stats.binom.sf(broken - 1, PROBLEMS, 1.0 - 0.95) > UNLUCKY
        in_sample = realised(
            Risk(measure="saa", violation_share=0.05, confidence=0.0), family, FEW, 100
        )
        assert (in_sample > 0.05).mean() > 0.3  # without its bound it promises the sample only


def test_gaussian_promise_holds_on_average_where_demand_is_normal() -> None:
    violation = realised(Risk(measure="gaussian", violation_share=0.05), "normal", FEW, 400)
    assert violation.mean() == pytest.approx(0.05, abs=0.005)
    skewed = realised(Risk(measure="gaussian", violation_share=0.02), "lognormal", FEW, 400)
    assert skewed.mean() > 0.025  # and not where it is skewed


def test_wasserstein_keeps_its_promise_where_the_radius_covers_the_sampling_error() -> None:
    risk = Risk(measure="wasserstein", violation_share=0.05, radius_share=0.02)
    violation = realised(risk, "lognormal", FEW, 100)
    assert (violation > 0.05).mean() <= 0.05
    none = Risk(measure="wasserstein", violation_share=0.05, radius_share=0.0)
    assert (realised(none, "lognormal", FEW, 100) > 0.05).mean() > 0.3


def test_quantile_promises_the_sample_only() -> None:
    violation = realised(Risk(measure="quantile", violation_share=0.05), "normal", FEW, 100)
    assert (violation > 0.05).mean() > 0.3
    tail = realised(Risk(measure="cvar", violation_share=0.05), "normal", FEW, 100)
    assert tail.mean() < violation.mean()
