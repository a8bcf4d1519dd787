"""How large a batch may grow and how long it may wait: MArk's rule, and the best by search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from markopt.core import Batching, Profile, Slo

BatchingRule = Literal["mark", "best", "none"]

_GUARD_NORMAL_QUANTILE = 2.326
"""The 99 % quantile of the standard normal distribution."""


def guard_factor(service_time_cv: float) -> float:
    """Return the factor on a mean service time that 99 % of lognormal service times stay within."""
    variance = math.log1p(service_time_cv**2)
    return math.exp(_GUARD_NORMAL_QUANTILE * math.sqrt(variance) - 0.5 * variance)


def mark_batching(profile: Profile, rt_max_s: float) -> Batching | None:
    """Return MArk's batch size and wait, None where even single requests miss ``rt_max_s``.

    MArk (ATC 2019), section 4.2: ``W + T_b <= RT_max`` and ``W + T_b <= b / mu_nb``, so the longest
    wait is ``W(b) = min(RT_max, b / mu_nb) - T_b``, with ``mu_nb = 1 / T_1`` the throughput without
    batching; b grows from 1 until ``W(b)`` is negative. Service times are taken with
    ``guard_factor``: MArk's are constants (cv 0), for which the rule is exactly the printed one.
    """
    guard = guard_factor(profile.service_time_cv)
    single_s = profile.service_time_s(1) * guard
    if single_s > rt_max_s:
        return None
    best = Batching(1, 0.0)
    for batch_size in range(2, profile.largest_batch + 1):
        wait_s = min(rt_max_s, batch_size * single_s) - profile.service_time_s(batch_size) * guard
        if wait_s < 0.0:
            break
        best = Batching(batch_size, wait_s)
    return best


def candidate_batchings(profile: Profile, rt_max_s: float) -> list[Batching]:
    """Return batch sizes (measured ones whose service time fits) with waits up to half the slack.

    A wait of 0 means that a batch starts as soon as its server is free, with what has gathered.
    One that waits until the last moment, as MArk's may, is late as soon as its server is busy.
    """
    guard = guard_factor(profile.service_time_cv)
    candidates: list[Batching] = []
    for batch_size in sorted({1, *profile.batch_sizes}):
        slack_s = rt_max_s - profile.service_time_s(batch_size) * guard
        if slack_s < 0.0:
            break
        shares = (0.0,) if batch_size == 1 else (0.0, 0.25, 0.5)
        candidates += [Batching(batch_size, share * slack_s) for share in shares]
    return candidates


def best_batching(
    profile: Profile, slo: Slo, slo_capacity_rps: Callable[[Batching], float]
) -> Batching | None:
    """Return the batching that carries the largest rate under the SLO, None where none meets it.

    ``slo_capacity_rps`` measures a candidate (see ``markopt.capacity.fleet_factor``). A wait must
    carry 10 % more than none: beside faster servers a batch that waits is late at any load, and
    larger fleets fill their batches anyway. Of candidates within 2 % of the best, the one with the
    smaller wait, then the smaller batch is taken: it answers sooner.
    """
    candidates = candidate_batchings(profile, slo.rt_max_s)
    if not candidates:
        return None
    carried = {candidate: slo_capacity_rps(candidate) for candidate in candidates}

    def pick(among: list[Batching]) -> Batching:
        enough = 0.98 * max(carried[candidate] for candidate in among)
        good = [candidate for candidate in among if carried[candidate] >= enough]
        return min(good, key=lambda batching: (batching.wait_s, batching.batch_size))

    at_once = pick([candidate for candidate in candidates if candidate.wait_s == 0.0])
    overall = pick(candidates)
    return overall if carried[overall] > 1.1 * carried[at_once] else at_once


def saturation_rps(profile: Profile, batch_size: int) -> float:
    """Return what an instance serves per second when never idle, batches up to ``batch_size``."""
    return max(
        profile.servers * b / profile.service_time_s(b)
        for b in (*(m for m in profile.batch_sizes if m <= batch_size), batch_size)
    )


def saturation_bound_rps(profile: Profile, rt_max_s: float) -> float:
    """Return the largest saturation throughput of any batch whose mean service time fits."""
    sizes = range(1, profile.largest_batch + 1)
    rates = [
        profile.servers * b / profile.service_time_s(b)
        for b in sizes
        if profile.service_time_s(b) <= rt_max_s
    ]
    return max(rates, default=0.0)
