"""Paired differences of policies on the same arrivals, with 95 % confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.outcome import EpisodeResult

CONFIDENCE = 0.95
RESAMPLES = 4000
BLOCK_S = 3600.0
PAIRED_T = "paired t over seeds"
BLOCK_BOOTSTRAP = "block bootstrap over hours of one episode"
TOO_SHORT = "none: one seed and fewer than two hours"


@dataclass(frozen=True)
class Difference:
    """How far a policy lies from the reference, mean over the seeds, and how sure that is.

    The interval's ends are None where the data do not give one; ``method`` names how it was found.
    """

    policy: str
    reference: str
    metric: str
    seeds: int
    mean_difference: float
    ci95_low: float | None
    ci95_high: float | None
    relative_difference: float | None
    method: str


def paired_t_interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more paired differences (Student's t)."""
    from scipy import stats

    count = len(differences)
    center, deviation = float(differences.mean()), float(differences.std(ddof=1))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, count - 1)) * deviation / float(np.sqrt(count))
    return center - half, center + half


def block_bootstrap_interval(
    blocks: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval of the sum of two or more blocks' paired differences.

    Whole blocks are resampled with replacement, so that dependence within an hour is kept. It
    speaks of other hours like these, not of other seeds.
    """
    picks = rng.integers(0, len(blocks), size=(RESAMPLES, len(blocks)))
    sums = blocks[picks].sum(axis=1)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(sums, [tail, 1.0 - tail])
    return float(low), float(high)


def _interval_costs(result: EpisodeResult) -> NDArray[np.float64]:
    bills = np.array([record.bill_usd for record in result.intervals], dtype=np.float64)
    costs = np.diff(bills, prepend=0.0)
    if len(costs):
        # What is billed after the last interval, while the fleet is closed, belongs to it.
        costs[-1] += result.ledger.total_usd - bills[-1]
    return costs


def _blocks(values: NDArray[np.float64], interval_s: float) -> NDArray[np.float64]:
    width = max(round(BLOCK_S / interval_s), 1)
    if not len(values):
        return values
    starts = np.arange(0, len(values), width)
    if len(values) - starts[-1] < width / 2 and len(starts) > 1:
        starts = starts[:-1]  # a short last block joins the one before it
    sums: NDArray[np.float64] = np.add.reduceat(values, starts)
    return sums


def _metric(result: EpisodeResult, metric: str) -> float:
    if metric == "cost_usd":
        return result.ledger.total_usd
    return result.statistics.attainment


def cost_and_attainment_differences(
    reference: Sequence[EpisodeResult],
    other: Sequence[EpisodeResult],
    rng: np.random.Generator,
) -> tuple[Difference, ...]:
    """Return ``other`` minus ``reference`` in cost and attainment.

    Both hold one episode per seed, in the same order of seeds. With two seeds or more the interval
    is Student's for paired differences; with one, only the cost has an interval, from blocks of an
    hour.
    """
    return tuple(_difference(reference, other, m, rng) for m in ("cost_usd", "attainment"))


def _difference(
    reference: Sequence[EpisodeResult],
    other: Sequence[EpisodeResult],
    metric: str,
    rng: np.random.Generator,
) -> Difference:
    base = np.array([_metric(result, metric) for result in reference])
    paired = np.array([_metric(result, metric) for result in other]) - base
    mean = float(paired.mean())
    low: float | None = None
    high: float | None = None
    method = TOO_SHORT
    if len(paired) > 1:
        low, high = paired_t_interval(paired)
        method = PAIRED_T
    elif metric == "cost_usd":
        costs = _interval_costs(other[0]) - _interval_costs(reference[0])
        blocks = _blocks(costs, reference[0].interval_s)
        if len(blocks) > 1:
            low, high = block_bootstrap_interval(blocks, rng)
            method = BLOCK_BOOTSTRAP
    else:
        method = "none: one seed"
    center = float(base.mean())
    return Difference(
        policy=other[0].policy,
        reference=reference[0].policy,
        metric=metric,
        seeds=len(paired),
        mean_difference=mean,
        ci95_low=low,
        ci95_high=high,
        relative_difference=mean / center if center else None,
        method=method,
    )


def as_rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Return the differences as flat rows."""
    return [dict(vars(difference)) for difference in differences]
