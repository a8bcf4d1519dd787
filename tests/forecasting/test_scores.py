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
