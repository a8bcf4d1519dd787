"""How sure a paired difference of two policies is: bootstrap interval, tests, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.tabulation import Row

CONFIDENCE = 0.95
RESAMPLES = 9999
METRICS = ("cost_usd", "attainment")
BCA, PERCENTILE = "BCa bootstrap over seeds", "percentile bootstrap over seeds"
ONE_VALUE = "none: every seed has the same difference"
TOO_FEW = "none: fewer than three seeds"
LEAST_SEEDS = 3


@dataclass(frozen=True)
class PairedTest:
    """A policy minus the reference, seed by seed, with what chance alone would make of it.

    ``bootstrap_low`` and ``bootstrap_high`` bound the mean difference with 95 % confidence.
    ``p_t`` is Student's paired test, ``p_permutation`` the exact test that flips signs; ``…_holm``
    are corrected for the number of policies compared. ``effect_size`` is the mean difference in
    standard deviations of the differences. None: the seeds do not tell.
    """

    policy: str
    reference: str
    metric: str
    seeds: int
    mean_difference: float
    relative_difference: float | None
    effect_size: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    bootstrap_method: str
    p_t: float | None
    p_t_holm: float | None
    p_permutation: float | None
    p_permutation_holm: float | None


def paired_tests(
    rows: Sequence[Row], policies: Sequence[str], rng: np.random.Generator
) -> tuple[PairedTest, ...]:
    """Test every policy against the first one, in cost and attainment.

    ``rows`` has one row per policy and seed; the seeds of all policies are the same, and are the
    blocks that pair them: arrivals, service times and interruptions of a seed are shared.
    """
    reference, *others = policies
    found: list[PairedTest] = []
    for metric in METRICS:
        base = _by_seed(rows, reference, metric)
        tests = [
            _test((policy, reference, metric), base, _by_seed(rows, policy, metric), rng)
            for policy in others
        ]
        found += _corrected(tests)
    return tuple(found)


def bootstrap_interval(
    differences: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float | None, float | None, str]:
    """Return the 95 % interval of the mean difference, and how it was found.

    Bias-corrected and accelerated (Efron 1987), since costs are skewed: one busy seed outweighs
    many calm ones, and percentiles of the mean then lie too low. Where the correction does not
    exist (nearly all resamples on one side), plain percentiles.
    """
    if len(differences) < LEAST_SEEDS:
        return None, None, TOO_FEW
    if _all_equal(differences):
        value = float(differences[0])
        return value, value, ONE_VALUE
    state = rng.bit_generator.state
    low, high = _interval(differences, "BCa", rng)
    if np.isfinite([low, high]).all():
        return low, high, BCA
    rng.bit_generator.state = state  # the same resamples
    return *_interval(differences, "percentile", rng), PERCENTILE


def _interval(
    differences: NDArray[np.float64], method: Literal["BCa", "percentile"], rng: np.random.Generator
) -> tuple[float, float]:
    from scipy import stats

    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.bootstrap(
            [differences],
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method=method,
            rng=rng,
        ).confidence_interval
    return float(found.low), float(found.high)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Holm 1979); None stays None and counts not."""
    known = sorted(p for p in p_values if p is not None)
    least = np.maximum.accumulate([(len(known) - at) * p for at, p in enumerate(known)])
    corrected = dict(zip(known, np.minimum(least, 1.0), strict=True))
    return [None if p is None else float(corrected[p]) for p in p_values]


def as_rows(tests: Sequence[PairedTest]) -> list[dict[str, Any]]:
    """Return the tests as flat rows."""
    return [dict(vars(test)) for test in tests]


def _by_seed(rows: Sequence[Row], policy: str, metric: str) -> NDArray[np.float64]:
    values: Mapping[int, float] = {r["seed"]: r[metric] for r in rows if r["policy"] == policy}
    return np.array([values[seed] for seed in sorted(values)], dtype=np.float64)


def _test(
    names: tuple[str, str, str],
    base: NDArray[np.float64],
    other: NDArray[np.float64],
    rng: np.random.Generator,
) -> PairedTest:
    policy, reference, metric = names
    differences = other - base
    mean, center = float(differences.mean()), float(base.mean())
    low, high, method = bootstrap_interval(differences, rng)
    p_t, p_permutation, effect = _tests(differences, rng)
    return PairedTest(
        policy=policy,
        reference=reference,
        metric=metric,
        seeds=len(differences),
        mean_difference=mean,
        relative_difference=mean / center if center else None,
        effect_size=effect,
        bootstrap_low=low,
        bootstrap_high=high,
        bootstrap_method=method,
        p_t=p_t,
        p_t_holm=None,
        p_permutation=p_permutation,
        p_permutation_holm=None,
    )


def _tests(
    differences: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float | None, float | None, float | None]:
    """Return the p-values of Student's test and of flipped signs, and the effect size."""
    from scipy import stats

    if len(differences) < 2:
        return None, None, None
    if not differences.any():
        return 1.0, 1.0, 0.0
    # All signs are flipped in turn where that is fewer than RESAMPLES, which 13 seeds are.
    flipped = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=rng
    )
    deviation = float(differences.std(ddof=1))
    if _all_equal(differences):  # Student's test would divide by a deviation of nothing
        return None, float(flipped.pvalue), None
    p_t = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return p_t, float(flipped.pvalue), float(differences.mean()) / deviation


def _all_equal(differences: NDArray[np.float64]) -> bool:
    """Tell whether the differences are one number, but for the last digits."""
    return bool(np.allclose(differences, differences[0], rtol=1e-9, atol=0.0))


def _corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    p_t = holm([test.p_t for test in tests])
    p_permutation = holm([test.p_permutation for test in tests])
    return [
        replace(test, p_t_holm=one, p_permutation_holm=other)
        for test, one, other in zip(tests, p_t, p_permutation, strict=True)
    ]
