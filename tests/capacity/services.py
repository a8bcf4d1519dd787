"""Small services and fleets that the capacity tests are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from markopt.capacity import (
    CalibrationSettings,
    Fleet,
    best_batching,
    mark_batching,
    saturation_rps,
    server_kind,
    slo_capacity_rps,
)
from markopt.core import Batching, Offer, Profile, PurchaseOption, Slo

QUICK = CalibrationSettings(
    sizes=(1, 2, 3, 5, 8, 13, 22, 40, 80, 200, 600), min_requests=40_000, max_requests=250_000
)
"""Calibration that takes a second per instance type."""

SEARCH = CalibrationSettings(min_requests=15_000, max_requests=40_000, precision=0.01)


def profile(
    times_s: Sequence[float],
    *,
    sizes: Sequence[int] = (),
    platform: str = "c5.large",
    servers: int = 1,
    cv: float = 0.0,
) -> Profile:
    """Return a profile measured at ``sizes`` (1, 2, 3, … unless given)."""
    return Profile(
        service="made up",
        platform=platform,
        batch_sizes=tuple(sizes) or tuple(range(1, len(times_s) + 1)),
        service_times_s=tuple(times_s),
        servers=servers,
        service_time_cv=cv,
    )


def offer(profile: Profile, batching: Batching = Batching()) -> Offer:  # noqa: B008 (frozen)
    """Return an on-demand offer of a profiled instance type."""
    return Offer(
        name=f"{profile.platform}/on_demand",
        instance_type=profile.platform,
        purchase=PurchaseOption.ON_DEMAND,
        pool=f"{profile.platform}/us-east-1",
        vcpus=2.0,
        price_usd_per_s=1e-5,
        saturation_rps=saturation_rps(profile, batching.batch_size),
        batching=batching,
        service_times_s=tuple(profile.service_time_s(b) for b in range(1, batching.batch_size + 1)),
        servers=profile.servers,
        service_time_cv=profile.service_time_cv,
    )


def batching_of(profile: Profile, slo: Slo, rule: str) -> Batching | None:
    """Return what a batching rule gives, None where the profile cannot meet the SLO."""
    if rule == "best":
        return best_batching(
            profile,
            slo,
            lambda batching: slo_capacity_rps(
                profile, batching, slo, instances=16, settings=SEARCH
            ),
        )
    mark = mark_batching(profile, slo.rt_max_s)
    return mark if rule == "mark" or mark is None else Batching()


def fleet(offers: Sequence[Offer], counts: Sequence[int]) -> Fleet:
    """Return the servers of so many instances of each offer."""
    return Fleet(
        tuple(server_kind(entry) for entry in offers),
        tuple(int(n) * entry.servers for entry, n in zip(offers, counts, strict=True)),
    )


def mix(offers: Sequence[Offer], counts: Sequence[int]) -> dict[str, float]:
    """Return the share of saturation throughput that each instance type holds."""
    held = np.array([n * e.saturation_rps for e, n in zip(offers, counts, strict=True)])
    return {e.instance_type: float(s) for e, s in zip(offers, held / held.sum(), strict=True)}
