"""Joint draws: marginals and correlation are those that were measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import spearmanr

from markopt.errors import DataError
from markopt.forecasting.draws import joint_normals, systematic_choice
from markopt.forecasting.quantile_copula import QuantileCopula, at_scores, outcome_scores

LEVELS = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])


def outcomes(count: int, horizon: int, carry: float, scale: float = 1.0) -> np.ndarray:
    """Return stationary first-order autoregressions with unit variance times ``scale``."""
    rng = np.random.default_rng(0)
    values = np.empty((count, horizon))
    values[:, 0] = rng.standard_normal(count)
    for step in range(1, horizon):
        fresh = rng.standard_normal(count)
        values[:, step] = carry * values[:, step - 1] + np.sqrt(1.0 - carry**2) * fresh
    return scale * values


def test_paths_are_as_correlated_over_the_horizon_as_past_outcomes() -> None:
    past = outcomes(4000, 6, 0.8)
    quantiles = np.broadcast_to(ndtri(LEVELS), (4000, 6, len(LEVELS)))
    copula = QuantileCopula.estimate(LEVELS, quantiles, past)
    paths = copula.paths(quantiles[0], 2000, np.random.default_rng(1))
    np.testing.assert_allclose(spearmanr(paths).statistic, spearmanr(past).statistic, atol=0.05)
    np.testing.assert_allclose(paths.std(axis=0), 1.0, atol=0.04)


def test_quantiles_that_were_too_narrow_are_widened_until_the_band_holds() -> None:
    past = outcomes(4000, 3, 0.5, scale=1.4)
    quantiles = np.broadcast_to(ndtri(LEVELS), (4000, 3, len(LEVELS)))
    copula = QuantileCopula.estimate(LEVELS, quantiles, past)
    paths = copula.paths(quantiles[0], 2000, np.random.default_rng(1))
    low, high = np.quantile(paths, (0.05, 0.95), axis=0)
    covered = ((past >= low) & (past <= high)).mean(axis=0)
    np.testing.assert_allclose(covered, 0.9, atol=0.02)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_outcome_scores_invert_the_quantile_function(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quantiles = np.cumsum(rng.uniform(0.1, 2.0, (4, len(LEVELS))), axis=1)
    draws = rng.uniform(-2.9, 2.9, (5, 4))
    values = at_scores(ndtri(LEVELS), quantiles, draws)
    repeated = np.broadcast_to(quantiles, (5, *quantiles.shape))
    np.testing.assert_allclose(outcome_scores(ndtri(LEVELS), repeated, values), draws, atol=1e-9)


def test_at_the_levels_themselves_the_quantiles_are_returned() -> None:
    quantiles = np.array([[1.0, 2.0, 4.0, 8.0, 9.0, 12.0, 20.0]])
    values = at_scores(ndtri(LEVELS), quantiles, ndtri(LEVELS)[:, None])
    np.testing.assert_allclose(values[:, 0], quantiles[0])


def test_validation_without_a_whole_horizon_of_data_is_refused() -> None:
    past = outcomes(5, 3, 0.5)
    past[:, 1] = np.nan
    quantiles = np.broadcast_to(ndtri(LEVELS), (5, 3, len(LEVELS)))
    with pytest.raises(DataError, match="at least 2 gapless stretches of 3 intervals, got 0"):
        QuantileCopula.estimate(LEVELS, quantiles, past)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 2**32))
def test_each_column_of_joint_normals_has_one_draw_per_stratum(
    samples: int, dimension: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((dimension, dimension))
    factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    strata = np.floor(ndtr(joint_normals(rng, samples, factor)) * samples)
    expected = np.tile(np.arange(samples)[:, None], (1, dimension))
    np.testing.assert_allclose(np.sort(strata, axis=0), expected, atol=1.0)
    assert np.mean(np.sort(strata, axis=0) == expected) > 0.99


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32))
def test_systematic_choice_uses_candidates_as_evenly_as_possible(
    samples: int, count: int, seed: int
) -> None:
    chosen = systematic_choice(np.random.default_rng(seed), samples, np.arange(count))
    uses = np.bincount(chosen, minlength=count)
    assert uses.sum() == samples
    assert uses.max() - uses.min() <= 1 or uses.max() <= -(-samples // count)
