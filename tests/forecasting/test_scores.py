"""Scores against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import DataError
from markopt.forecasting import scores


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count, samples, horizon = (draw(st.integers(1, n)) for n in (3, 9, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.gamma(2.0, 10.0, (count, samples, horizon)), rng.gamma(2.0, 10.0, (count, horizon))


@settings(deadline=None)
@given(forecasts())
def test_pinball_loss_equals_a_plain_loop(case: tuple[np.ndarray, np.ndarray]) -> None:
    paths, realized = case
    levels = (0.05, 0.5, 0.9)
    loss = scores.pinball_loss(paths, realized, levels)
    for i, t in np.ndindex(*realized.shape):
        total = 0.0
        for level in levels:
            error = realized[i, t] - np.quantile(paths[i, :, t], level, method="hazen")
            total += level * error if error > 0 else (level - 1.0) * error
        assert loss[i, t] == pytest.approx(total / len(levels))


@settings(deadline=None)
@given(forecasts())
def test_crps_equals_its_double_sum(case: tuple[np.ndarray, np.ndarray]) -> None:
    paths, realized = case
    score = scores.crps(paths, realized)
    for i, t in np.ndindex(*realized.shape):
        x = paths[i, :, t]
        pairs = np.abs(x[:, None] - x[None, :]).mean()
        assert score[i, t] == pytest.approx(np.abs(x - realized[i, t]).mean() - pairs / 2.0)


def test_crps_of_many_normal_samples_approaches_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    paths = rng.standard_normal((20000, 1))
    # Gneiting and Raftery (2007): 2 phi(0) - 1/sqrt(pi) at the center of the normal.
    expected = 2.0 / np.sqrt(2.0 * np.pi) - 1.0 / np.sqrt(np.pi)
    assert scores.crps(paths, np.zeros(1))[0] == pytest.approx(expected, abs=0.01)


def test_coverage_counts_what_lies_inside_the_band_and_leaves_gaps_out() -> None:
    paths = np.tile(np.arange(100.0)[:, None], (4, 1, 2))
    realized = np.array([[50.0, 2.0], [98.0, np.nan], [10.0, np.nan], [np.nan, 97.0]])
    np.testing.assert_allclose(scores.coverage(paths, realized, 0.9), [2.0 / 3.0, 0.0])


def test_coverage_of_honest_paths_is_the_share_claimed() -> None:
    rng = np.random.default_rng(2)
    paths, realized = rng.standard_normal((4000, 40, 2)), rng.standard_normal((4000, 2))
    np.testing.assert_allclose(scores.coverage(paths, realized, 0.9), 0.9, atol=0.035)


def test_a_step_never_realised_scores_nan() -> None:
    paths = np.ones((2, 3, 2))
    realized = np.array([[1.0, np.nan], [2.0, np.nan]])
    for score in (scores.pinball_loss(paths, realized), scores.crps(paths, realized)):
        mean = scores.mean_by_step(score)
        assert np.isfinite(mean[0])
        assert np.isnan(mean[1])


def test_a_sharper_honest_forecast_scores_better() -> None:
    rng = np.random.default_rng(4)
    realized = rng.standard_normal((500, 3))
    sharp, wide = rng.standard_normal((500, 60, 3)), 3.0 * rng.standard_normal((500, 60, 3))
    assert np.all(scores.crps(sharp, realized).mean(0) < scores.crps(wide, realized).mean(0))
    assert np.all(
        scores.pinball_loss(sharp, realized).mean(0) < scores.pinball_loss(wide, realized).mean(0)
    )


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="got \\(3, 2\\) and \\(3,\\)"):
        scores.crps(np.ones((3, 2)), np.ones(3))


@settings(deadline=None)
@given(forecasts())
def test_energy_score_equals_its_double_sum(case: tuple[np.ndarray, np.ndarray]) -> None:
    paths, realized = case
    score = scores.energy_score(paths, realized)
    assert score.shape == (len(paths),)
    for i, x in enumerate(paths):
        misses = np.linalg.norm(x - realized[i], axis=1).mean()
        pairs = np.linalg.norm(x[:, None] - x[None, :], axis=2).mean()
        assert score[i] == pytest.approx(misses - pairs / 2.0, abs=1e-5)


def test_energy_score_by_hand_and_of_one_step_is_the_crps() -> None:
    # Two paths, (0, 0) and (3, 4), and truth (3, 0): (3 + 4)/2 - (0 + 5 + 5 + 0)/8.
    assert scores.energy_score([[0.0, 0.0], [3.0, 4.0]], [3.0, 0.0]) == pytest.approx(2.25)
    rng = np.random.default_rng(1)
    paths, realized = rng.gamma(2.0, 3.0, (7, 50, 1)), rng.gamma(2.0, 3.0, (7, 1))
    np.testing.assert_allclose(
        scores.energy_score(paths, realized), scores.crps(paths, realized)[:, 0], atol=1e-9
    )


def test_energy_score_prefers_paths_whose_steps_hang_together_as_the_truth_does() -> None:
    rng = np.random.default_rng(3)
    realized = np.repeat(rng.standard_normal((1000, 1)), 8, axis=1)
    joined = np.repeat(rng.standard_normal((1000, 60, 1)), 8, axis=2)
    apart = rng.standard_normal((1000, 60, 8))
    assert scores.crps(joined, realized).mean() == pytest.approx(
        scores.crps(apart, realized).mean(), rel=0.05
    )
    joined_score = scores.energy_score(joined, realized).mean()
    assert joined_score < 0.95 * scores.energy_score(apart, realized).mean()


def test_energy_score_and_peak_error_are_nan_where_a_step_was_not_realised() -> None:
    paths = np.ones((2, 5, 3))
    realized = np.array([[1.0, 1.0, np.nan], [1.0, 1.0, 2.0]])
    for score in (scores.energy_score(paths, realized), scores.peak_error(paths, realized)):
        assert np.isnan(score[0])
        assert np.isfinite(score[1])


def test_peak_error_by_hand() -> None:
    paths = [[1.0, 4.0], [6.0, 2.0], [3.0, 3.0]]  # peaks 4, 6 and 3: median 4
    assert scores.peak_error(paths, [8.0, 2.0]) == pytest.approx(-0.5)
    assert scores.peak_error(paths, [2.0, 1.0]) == pytest.approx(1.0)
    assert np.isnan(scores.peak_error(paths, [0.0, 0.0]))


def test_pit_bounds_by_hand() -> None:
    paths = np.array([[1.0], [2.0], [2.0], [5.0]])
    for truth, expected in ((0.0, (0, 1)), (2.0, (1, 4)), (3.0, (3, 4)), (9.0, (4, 5))):
        low, high = scores.pit_bounds(paths, [truth])
        assert (low[0], high[0]) == pytest.approx((expected[0] / 5.0, expected[1] / 5.0))
    assert np.isnan(scores.pit_bounds(paths, [np.nan])).all()


def test_pit_histogram_by_hand_spreads_each_forecast_over_its_bounds() -> None:
    low, high = np.array([0.0, 0.5, np.nan]), np.array([0.5, 0.75, np.nan])
    np.testing.assert_allclose(
        scores.pit_histogram(low, high, 4), [0.25, 0.25, 0.5, 0.0], atol=1e-12
    )
    assert np.isnan(scores.pit_histogram([np.nan], [np.nan], 4)).all()


@settings(deadline=None)
@given(forecasts(), st.integers(1, 30))
def test_pit_histogram_holds_all_mass(case: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    shares = scores.pit_histogram(*scores.pit_bounds(*case), bins)
    assert shares.sum() == pytest.approx(1.0)
    assert np.all(shares >= -1e-12)


@pytest.mark.parametrize("rate", [0.7, 300.0], ids=["mostly ties", "few ties"])
def test_pit_of_honest_counts_is_uniform_and_of_narrow_ones_is_not(rate: float) -> None:
    rng = np.random.default_rng(4)
    paths, realized = rng.poisson(rate, (3000, 40, 2)), rng.poisson(rate, (3000, 2))
    honest = scores.pit_histogram(*scores.pit_bounds(paths, realized), 10)
    np.testing.assert_allclose(honest, 0.1, atol=0.02)
    narrow = np.round(rate + 0.5 * (paths - rate))
    shares = scores.pit_histogram(*scores.pit_bounds(narrow, realized), 10)
    assert shares[[0, -1]].sum() > 0.3
