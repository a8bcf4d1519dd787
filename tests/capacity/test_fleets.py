"""The promise itself: fleets that are loaded to what they are said to carry meet their SLO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache as remember

import numpy as np
import pytest
from scipy.optimize import brentq

from markopt.capacity import (
    CalibrationSettings,
    OfferSelection,
    attainment,
    build_offers,
    calibrate,
    slo_capacity_share,
)
from markopt.catalog import load_catalog, load_profiles
from markopt.core import Offer, RequiredThroughput, Service, Slo
from tests.capacity.services import QUICK, batching_of, fleet, mix, offer, profile

SHIPPED = {
    "inception_bn": (0.2, ("c5.large", "c5.xlarge", "c5.2xlarge", "p2.xlarge", "g3.4xlarge")),
    "inception_v3": (0.5, ("c5.large", "c5.xlarge", "c5.2xlarge", "c5.4xlarge", "p2.xlarge")),
    "squeezenet": (0.2, ("c5.large", "c5.xlarge", "c5.2xlarge")),
    "resnet200": (1.0, ("c5.large", "c5.xlarge", "c5.2xlarge")),
    "nasnet": (2.0, ("c5.xlarge", "c5.2xlarge", "c5.4xlarge", "p2.xlarge")),
}


@dataclass(frozen=True)
class Case:
    """A fleet, and what it is said to carry."""

    name: str
    offers: tuple[Offer, ...]
    counts: tuple[int, ...]
    slo: Slo
    required: RequiredThroughput

    @property
    def promised_rps(self) -> float:
        """The largest rate whose required throughput the fleet has."""
        saturation_rps = fleet(self.offers, self.counts).saturation_rps
        shares = mix(self.offers, self.counts)

        def missing_rps(rate_rps: float) -> float:
            return float(self.required.at(np.array([rate_rps]), shares)[0]) - saturation_rps

        return float(brentq(missing_rps, 0.0, saturation_rps, xtol=1e-9 * saturation_rps))

    def attained(self, seed: int, *, share: float = 1.0, requests: int = 200_000) -> float:
        """Return the share of requests in time at the promised rate, on fresh arrivals."""
        unit_arrivals_s = np.cumsum(np.random.default_rng(seed).standard_exponential(requests))
        servers = fleet(self.offers, self.counts)
        rate_rps = share * self.promised_rps
        return attainment(servers, self.slo, rate_rps, unit_arrivals_s, seed + 1)


def drawn_counts(types: int, rng: np.random.Generator) -> tuple[int, ...]:
    """From one instance of a type to two hundred, small numbers as likely as large ones."""
    return tuple(int(10**exponent) for exponent in rng.uniform(0.0, 2.3, types))


@remember
def shipped_offers(service: str) -> tuple[tuple[Offer, ...], Slo, RequiredThroughput]:
    rt_max_s, types = SHIPPED[service]
    slo = Slo(rt_max_s, 0.98)
    offers = build_offers(
        Service(service, slo),
        load_catalog("catalog/aws-us-east-1-2019.yaml"),
        load_profiles("profiles").of(service),
        OfferSelection(instance_types=types, purchase=("on_demand",)),
    )
    return offers, slo, calibrate(offers, slo, QUICK)


def shipped_case(service: str, rng: np.random.Generator) -> Case:
    offers, slo, required = shipped_offers(service)
    chosen = rng.choice(len(offers), int(rng.integers(1, min(len(offers), 4) + 1)), replace=False)
    picked = tuple(offers[i] for i in sorted(chosen))
    return Case(service, picked, drawn_counts(len(picked), rng), slo, required)


def random_case(rng: np.random.Generator) -> Case:
    """Types up to eight times as fast as the slowest, which fits into RT_max 1.5 to 10 times."""
    types = int(rng.integers(1, 5))
    rule = str(rng.choice(["none", "best"]))
    slowest_s = 10 ** rng.uniform(-2.0, -0.3)
    slo = Slo(
        slowest_s * float(rng.choice([1.5, 2.0, 4.0, 10.0])),
        float(rng.choice([0.9, 0.95, 0.98, 0.99])),
    )
    sizes = (1, 2, 4, 8, 16, 32)
    offers = []
    for number in range(types):
        single_s = slowest_s / (1.0 if number == 0 else 2 ** rng.uniform(0.0, 3.0))
        marginal = float(rng.choice([0.02, 0.1, 0.3, 0.8]))
        measured = profile(
            [single_s * (1.0 - marginal + marginal * b) for b in sizes],
            sizes=sizes,
            platform=f"type{number}",
            servers=int(rng.choice([1, 1, 2, 4])),
            cv=float(rng.choice([0.0, 0.02, 0.1, 0.15])),
        )
        batching = batching_of(measured, slo, rule)
        if batching is not None:
            offers.append(offer(measured, batching))
    required = calibrate(offers, slo, QUICK)
    return Case(f"random, {rule}", tuple(offers), drawn_counts(len(offers), rng), slo, required)


def cases(count: int, seed: int) -> Iterator[Case]:
    rng = np.random.default_rng(seed)
    services = list(SHIPPED)
    for number in range(count):
        if number % 5 < 3:
            yield shipped_case(services[number // 5 % len(services)], rng)
        else:
            yield random_case(rng)


def test_of_50_random_fleets_at_what_they_are_said_to_carry_at_most_one_misses_its_slo() -> None:
    below = []
    for number, case in enumerate(cases(50, seed=2019)):
        attained = case.attained(seed=10_000 + number)
        if attained < case.slo.sl_min:
            below.append(f"{case.name} {case.counts}: {attained:.4f} < {case.slo.sl_min}")
    assert len(below) <= 1, below


def test_the_promise_is_not_bought_with_waste() -> None:
    ratios = []
    truth = CalibrationSettings(min_requests=60_000, max_requests=120_000, miss_margin=0.0)
    for case in cases(20, seed=7):
        servers = fleet(case.offers, case.counts)
        carried_rps = slo_capacity_share(servers, case.slo, truth) * servers.saturation_rps
        ratios.append(case.promised_rps / carried_rps)
    assert np.median(ratios) > 0.97
    assert np.quantile(ratios, 0.1) > 0.85


def test_saturation_throughput_or_one_instances_capacity_would_both_be_wrong() -> None:
    """The reason for the fleet factor: at 0.5 s, Inception-v3 on c5.large."""
    offers, slo, required = shipped_offers("inception_v3")
    c5_large = next(entry for entry in offers if entry.instance_type == "c5.large")
    case = Case("25", (c5_large,), (25,), slo, required)
    single = Case("1", (c5_large,), (1,), slo, required)
    at_saturation = 0.999 * fleet((c5_large,), (25,)).saturation_rps / case.promised_rps
    assert case.attained(seed=3, share=at_saturation, requests=60_000) < 0.9
    assert case.promised_rps > 3.3 * 25 * single.promised_rps


@pytest.mark.xfail(
    strict=True,
    reason="With the bouncer off, least expected delay joins batches whose first request is then "
    "late; slow full batches (p2.xlarge: 0.72 of RT_max) beside fast ones suffer at any load.",
)
def test_slow_batches_beside_fast_ones_meet_a_tight_slo_as_well() -> None:
    slo = Slo(0.2, 0.98)
    offers = build_offers(
        Service("inception_v3", slo),
        load_catalog("catalog/aws-us-east-1-2019.yaml"),
        load_profiles("profiles").of("inception_v3"),
        OfferSelection(
            instance_types=("p2.xlarge", "g3.4xlarge", "c5.4xlarge"), purchase=("on_demand",)
        ),
    )
    case = Case("tight", offers, (10, 3, 1), slo, calibrate(offers, slo, QUICK))
    assert case.attained(seed=5) >= slo.sl_min
