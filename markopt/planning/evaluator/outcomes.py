"""What may happen to the spot pools, found anew from the problem: probability, and who serves."""

from __future__ import annotations

from dataclasses import dataclass

from markopt.core import Availability, Offer, Problem, PurchaseOption


@dataclass(frozen=True)
class Outcome:
    """One joint outcome of the pools: ``shares[k][t]`` of offer k's ready instances serve in t."""

    probability: float
    shares: list[list[float]]


def pool_outcomes(problem: Problem, interruptions: str, shared_shock_share: float) -> list[Outcome]:
    """Return the outcomes: every offer's expected share, or pools that fail jointly."""
    if problem.availability is not None:
        joint = _recorded(problem, problem.availability)
    else:
        joint = _shocks(problem, shared_shock_share)
    if interruptions == "joint":
        return joint
    if problem.availability is None:
        shares = [[1.0 - _away(problem, o)] * problem.horizon for o in problem.offers]
        return [Outcome(1.0, shares)]
    mean = [[0.0] * problem.horizon for _ in problem.offers]
    for outcome in joint:
        for k, row in enumerate(outcome.shares):
            for t, share in enumerate(row):
                mean[k][t] += outcome.probability * share
    return [Outcome(1.0, mean)]


def _away(problem: Problem, offer: Offer) -> float:
    """Return the expected share of time that a slot waits for its replacement."""
    exposed_h = (offer.launch_delay_s + problem.interval_s) / 3600.0
    return min(offer.interruption_per_h * exposed_h, 1.0)


def _recorded(problem: Problem, known: Availability) -> list[Outcome]:
    outcomes = []
    for path, probability in zip(known.paths, known.probabilities, strict=True):
        shares = []
        for offer in problem.offers:
            spot = offer.purchase in (PurchaseOption.SPOT, PurchaseOption.BURSTABLE)
            if spot and offer.pool in known.pools:
                row = path[known.pools.index(offer.pool)]
                shares.append([float(row[t]) for t in range(problem.horizon)])
            else:
                shares.append([1.0] * problem.horizon)
        outcomes.append(Outcome(float(probability), shares))
    return outcomes


def _shocks(problem: Problem, shared_shock_share: float) -> list[Outcome]:
    """Nothing is out, one pool is, or all are; offers keep their expected shares."""
    limit_s = problem.service.slo.rt_max_s
    worst: dict[str, float] = {}
    away = []
    for offer in problem.offers:
        usable = offer.purchase is not PurchaseOption.BURSTABLE
        usable = usable and offer.service_times_s[0] <= limit_s
        share = _away(problem, offer) if usable else 0.0
        away.append(share)
        if share > 0.0:
            worst[offer.pool] = max(worst.get(offer.pool, 0.0), share)
    common = shared_shock_share * min(worst.values()) if len(worst) > 1 else 0.0
    found: list[tuple[float, list[float]]] = []
    for pool in sorted(worst):
        own = worst[pool] - common
        out = [
            min((share - common) / own, 1.0) if share > common and offer.pool == pool else 0.0
            for offer, share in zip(problem.offers, away, strict=True)
        ]
        found.append((own, out))
    if common > 0.0:
        found.append((common, [1.0 if share > 0.0 else 0.0 for share in away]))
    total = sum(probability for probability, _ in found)
    scale = 1.0 / max(total, 1.0)
    found.insert(0, (max(1.0 - total, 0.0) / scale, [0.0] * len(away)))
    return [
        Outcome(probability * scale, [[1.0 - o] * problem.horizon for o in out])
        for probability, out in found
    ]
