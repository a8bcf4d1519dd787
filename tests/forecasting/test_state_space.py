"""The filter's joint forecast against the textbook recursion, one pair of steps at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.forecasting.state_space import Filter, StateSpace


def random_filter(seed: int, size: int) -> Filter:
    rng = np.random.default_rng(seed)
    transition = rng.standard_normal((size, size))
    transition *= 0.9 / max(np.abs(np.linalg.eigvals(transition)).max(), 0.1)
    root, start = rng.standard_normal((2, size, size))
    model = StateSpace(
        design=rng.standard_normal(size),
        transition=transition,
        noise=root @ root.T,
        state_intercept=rng.standard_normal(size),
        observation_intercept=float(rng.standard_normal()),
        observation_variance=float(rng.random()),
    )
    return Filter(model, rng.standard_normal(size), start @ start.T)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 7))
def test_joint_covariance_equals_the_recursion(seed: int, size: int, horizon: int) -> None:
    filtered = random_filter(seed, size)
    model = filtered.model
    mean, covariance = filtered.predict(horizon)
    state, spread = filtered.state, filtered.covariance
    for step in range(horizon):
        np.testing.assert_allclose(
            mean[step], model.observation_intercept + model.design @ state, rtol=1e-9, atol=1e-9
        )
        for later in range(step, horizon):
            power = np.linalg.matrix_power(model.transition, later - step)
            expected = model.design @ power @ spread @ model.design
            expected += model.observation_variance if later == step else 0.0
            np.testing.assert_allclose(covariance[step, later], expected, rtol=1e-7, atol=1e-7)
            np.testing.assert_allclose(covariance[later, step], expected, rtol=1e-7, atol=1e-7)
        state = model.state_intercept + model.transition @ state
        spread = model.transition @ spread @ model.transition.T + model.noise


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_appending_conditions_the_joint_normal(seed: int, size: int) -> None:
    filtered = random_filter(seed, size)
    mean, covariance = filtered.predict(4)
    filtered.append(1.5)
    after_mean, after_covariance = filtered.predict(3)
    # Conditioning of a multivariate normal on its first coordinate.
    weight = covariance[1:, 0] / covariance[0, 0]
    np.testing.assert_allclose(after_mean, mean[1:] + weight * (1.5 - mean[0]), atol=1e-6)
    expected = covariance[1:, 1:] - np.outer(weight, covariance[0, 1:])
    np.testing.assert_allclose(after_covariance, expected, atol=1e-6 * covariance.max() + 1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_missing_observation_only_lets_time_pass(seed: int, size: int) -> None:
    filtered = random_filter(seed, size)
    mean, covariance = filtered.predict(4)
    filtered.append(float("nan"))
    after_mean, after_covariance = filtered.predict(3)
    np.testing.assert_allclose(after_mean, mean[1:], atol=1e-9)
    np.testing.assert_allclose(after_covariance, covariance[1:, 1:], atol=1e-9 * covariance.max())
