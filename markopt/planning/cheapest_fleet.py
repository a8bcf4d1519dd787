"""The least-cost fleet that carries one rate under the SLO."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, PurchaseOption, RequiredThroughput
from markopt.errors import Infeasible
from markopt.planning.program.model import ModelBuilder
from markopt.planning.program.solver import SolverOptions, solve_model
from markopt.planning.requirement import REMIX_ROUNDS, cheapest_per_throughput, mix_of

Array = NDArray[np.float64]

EXACT = SolverOptions(relative_gap=0.0, max_nodes=20_000)


def cheapest_fleet(
    offers: Sequence[Offer], required_throughput: RequiredThroughput, rate_rps: float
) -> dict[str, int]:
    """Return {offer name: count} of least price with Q(rate) <= sum of mu n; zeros are left out.

    A covering integer program, solved to optimality for the Q of a given mix; the mix is read from
    its solution and the program solved again while the solution does not carry its own Q. Among
    those and the fleets of a single offer the cheapest that carries its own Q is returned. So the
    answer is exact where Q does not depend on the mix, and elsewhere it always carries the rate and
    is never dearer than a fleet of one offer.
    Burstable offers are left out: their throughput does not last.

    Raises:
        Infeasible: there are no offers, or their stock does not carry the rate.
    """
    lasting = [o for o in offers if o.purchase is not PurchaseOption.BURSTABLE]
    ordered = sorted(lasting, key=lambda offer: offer.name)
    if not ordered:
        raise Infeasible(f"Cheapest fleet: needs an offer for {rate_rps} rps, got none")
    if rate_rps <= 0.0:
        return {}
    found: list[Array] = _single_offer_fleets(ordered, required_throughput, rate_rps)
    mixes = [mix_of(ordered, [0.0] * len(ordered))]
    if found:
        mixes.append(mix_of(ordered, min(found, key=lambda n: _key(ordered, n))))
    for mix in mixes:
        found += _mixed_fleets(ordered, required_throughput, rate_rps, mix)
    if not found:
        stock = ", ".join(f"{offer.name} {offer.stock}" for offer in ordered)
        raise Infeasible(f"Cheapest fleet: {rate_rps} rps need more than the stock, got {stock}")
    best = min(found, key=lambda n: _key(ordered, n))
    return {o.name: int(n) for o, n in zip(ordered, best.tolist(), strict=True) if n > 0}


def _key(offers: Sequence[Offer], counts: Array) -> tuple[float, float, list[float]]:
    price = sum(o.price_usd_per_s * n for o, n in zip(offers, counts.tolist(), strict=True))
    return (round(price, 15), float(counts.sum()), (-counts).tolist())


def _own_q(
    offers: Sequence[Offer], required: RequiredThroughput, rate_rps: float, counts: Array
) -> float:
    return float(required.at(np.array([rate_rps]), mix_of(offers, counts))[0])


def _carries(
    offers: Sequence[Offer], required: RequiredThroughput, rate_rps: float, counts: Array
) -> bool:
    held = sum(o.saturation_rps * n for o, n in zip(offers, counts.tolist(), strict=True))
    return bool(held >= _own_q(offers, required, rate_rps, counts) * (1.0 - 1e-9))


def _single_offer_fleets(
    offers: Sequence[Offer], required: RequiredThroughput, rate_rps: float
) -> list[Array]:
    fleets = []
    for k, offer in enumerate(offers):
        q = float(required.at(np.array([rate_rps]), {offer.instance_type: 1.0})[0])
        count = math.ceil(q / offer.saturation_rps - 1e-9)
        if offer.stock is None or count <= offer.stock:
            counts = np.zeros(len(offers))
            counts[k] = count
            fleets.append(counts)
    return fleets


def _mixed_fleets(
    offers: Sequence[Offer],
    required: RequiredThroughput,
    rate_rps: float,
    mix: dict[str, float],
) -> list[Array]:
    fleets: list[Array] = []
    q_rps = float(required.at(np.array([rate_rps]), mix)[0])
    for _ in range(REMIX_ROUNDS):
        counts = _cover(offers, q_rps)
        if counts is None:
            break
        if _carries(offers, required, rate_rps, counts):
            fleets.append(counts)
            break
        q_rps = max(_own_q(offers, required, rate_rps, counts), q_rps * (1.0 + 1e-6))
    return fleets


def _cover(offers: Sequence[Offer], q_rps: float) -> Array | None:
    """Return the cheapest counts with at least ``q_rps`` of throughput, None if stock is short."""
    builder = ModelBuilder()
    scale = 1.0 / cheapest_per_throughput(offers).price_usd_per_s
    most = [
        math.ceil(q_rps / o.saturation_rps) if o.stock is None else float(o.stock) for o in offers
    ]
    counts = builder.add_columns(
        "count",
        (len(offers),),
        cost=np.array([offer.price_usd_per_s for offer in offers]),
        upper=np.array(most),
        integer=True,
    )
    row = builder.add_rows("cover", 1, lower=q_rps)
    builder.put(row, counts, np.array([offer.saturation_rps for offer in offers]))
    answer = solve_model(builder.build(), EXACT, scale=scale)
    return None if answer.values is None else np.rint(answer.values)
