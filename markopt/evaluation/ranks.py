"""Which policy comes first how often: mean ranks over seeds, and which ranks differ by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.tabulation import Row

LEVEL = 0.05
LEAST_POLICIES = 3
LEAST_BLOCKS = 5


@dataclass(frozen=True)
class Ranks:
    """Mean ranks by policy, 1 for the best.

    ``friedman_p`` is how likely ranks so different are among equal policies; two mean ranks that
    differ by more than ``critical_difference`` (Nemenyi, 5 %) belong to different policies. Both
    are None below three policies or five seeds. ``like_the_best`` are the policies whose mean rank
    lies within the critical difference of the best.
    """

    blocks: int
    mean_rank: dict[str, float]
    friedman_p: float | None
    critical_difference: float | None
    like_the_best: tuple[str, ...]


def rank(rows: Sequence[Row], policies: Sequence[str]) -> Ranks:
    """Rank the policies within each seed: by cost those that meet SL_min, then by attainment.

    A policy that misses its SLO comes after all that meet it, whatever it costs (Demšar 2006 for
    the tests).
    """
    from scipy import stats

    seeds = sorted({row["seed"] for row in rows})
    table = {(row["policy"], row["seed"]): row for row in rows}
    scores = np.array([_scores([table[policy, seed] for policy in policies]) for seed in seeds])
    ranks = stats.rankdata(scores, axis=1)
    means = {policy: float(value) for policy, value in zip(policies, ranks.mean(0), strict=True)}
    ordered = dict(sorted(means.items(), key=lambda entry: entry[1]))
    if len(policies) < LEAST_POLICIES or len(seeds) < LEAST_BLOCKS:
        return Ranks(len(seeds), ordered, None, None, ())
    p_value = 1.0  # all ranks equal, which the test cannot be asked
    if np.ptp(ranks, axis=1).any():
        p_value = float(stats.friedmanchisquare(*ranks.T).pvalue)
    critical = critical_difference(len(policies), len(seeds))
    least = min(ordered.values())
    like = tuple(policy for policy, value in ordered.items() if value - least <= critical)
    return Ranks(len(seeds), ordered, p_value, critical, like)


def critical_difference(policies: int, blocks: int) -> float:
    """Return the difference of mean ranks that Nemenyi's test takes for real at 5 %."""
    from scipy import stats

    spread = float(stats.studentized_range.ppf(1.0 - LEVEL, policies, np.inf)) / np.sqrt(2.0)
    return float(spread * np.sqrt(policies * (policies + 1) / (6.0 * blocks)))


def as_rows(ranks: Ranks) -> list[dict[str, Any]]:
    """Return one row per policy, the best first."""
    return [
        {
            "policy": policy,
            "mean_rank": value,
            "seeds": ranks.blocks,
            "like_the_best": policy in ranks.like_the_best if ranks.like_the_best else None,
            "friedman_p": ranks.friedman_p,
            "critical_difference": ranks.critical_difference,
        }
        for policy, value in ranks.mean_rank.items()
    ]


def _scores(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return numbers in the order of the ranks: costs, and beyond them misses."""
    beyond = 1.0 + max(row["cost_usd"] for row in rows)
    scores = [row["cost_usd"] if row["met"] else beyond + (1.0 - row["attainment"]) for row in rows]
    return np.array(scores, dtype=np.float64)
