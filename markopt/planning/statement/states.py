"""Joint states of the spot pools in an interval: which offers serve, and how likely that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Availability, Offer, Problem
from markopt.planning.statement.fleet import SECONDS_PER_HOUR

Array = NDArray[np.float64]
Interruptions = Literal["expected", "joint"]


@dataclass(frozen=True, eq=False)
class PoolStates:
    """Joint states: ``available`` (states, offers, horizon) shares, ``probability`` (states,).

    The last axis has length 1 where shares are the same in all intervals. Demand does not depend
    on states. A state speaks of every interval; what lasts from one to the
    next matters to no expectation and no chance per interval.
    """

    available: Array
    probability: Array

    @property
    def expected(self) -> Array:
        """Return the expected share of every offer, (offers, horizon or 1)."""
        return np.asarray(np.tensordot(self.probability, self.available, axes=1), dtype=np.float64)

    def kept(self, share: float) -> tuple[NDArray[np.int64], float]:
        """Return the states that a promise must hold in, and the probability of the others.

        The least likely states are dropped while their probability stays within ``share``.
        """
        order = np.argsort(self.probability, kind="stable")
        mass = np.cumsum(self.probability[order])
        dropped = order[mass <= share + 1e-12]
        kept = np.setdiff1d(np.arange(len(self.probability)), dropped)
        return kept, float(self.probability[dropped].sum())

    def of(self, offers: NDArray[np.int64]) -> tuple[PoolStates, NDArray[np.int64]]:
        """Return the states of some of the offers, equal ones as one, and the new state of each."""
        own = self.available[:, offers]
        flat = own.reshape(len(own), -1)
        _, first, group = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        mass = np.asarray(np.bincount(group, self.probability), dtype=np.float64)
        return PoolStates(own[first], mass), group


def unavailable_share(offer: Offer, interval_s: float) -> float:
    """Return the expected share of time that a slot waits for its replacement: h (delay + Δ)."""
    hazard = offer.interruption_per_h / SECONDS_PER_HOUR
    return min(hazard * (offer.launch_delay_s + interval_s), 1.0)


def pool_states(
    problem: Problem,
    offers: Sequence[Offer],
    interruptions: Interruptions,
    shared_shock_share: float,
) -> PoolStates:
    """Return the states of this decision.

    ``expected``: one state in which every offer serves its expected share. ``joint``: the paths of
    ``problem.availability`` where it has any; else nothing is out, one pool is out, or all spot
    pools are: of the least unavailable pool's share ``shared_shock_share`` strikes all at once.
    Every offer keeps its expected share, unless the shares add up to more than one.
    """
    if interruptions == "expected":
        share = [1.0 - unavailable_share(offer, problem.interval_s) for offer in offers]
        if problem.availability is None:
            return PoolStates(np.array([share])[:, :, None], np.ones(1))
        recorded = _recorded(problem, problem.availability, offers)
        return PoolStates(recorded.expected[None, :, :], np.ones(1))
    if problem.availability is not None:
        return _recorded(problem, problem.availability, offers)
    return _shocks(problem, offers, shared_shock_share)


def _recorded(problem: Problem, known: Availability, offers: Sequence[Offer]) -> PoolStates:
    available = np.ones((len(known.paths), len(offers), problem.horizon))
    for k, offer in enumerate(offers):
        if offer.pool in known.pools and not offer.purchase.lasting:
            available[:, k] = known.paths[:, known.pools.index(offer.pool), : problem.horizon]
    return PoolStates(available, np.asarray(known.probabilities))


def _shocks(problem: Problem, offers: Sequence[Offer], shared_shock_share: float) -> PoolStates:
    """One state per spot pool, one for all of them; offers of a pool differ by their maximum."""
    away = np.array([unavailable_share(offer, problem.interval_s) for offer in offers])
    pools = sorted({o.pool for o, q in zip(offers, away.tolist(), strict=True) if q > 0.0})
    rows = [np.array([o.pool == p and q > 0.0 for o, q in zip(offers, away, strict=True)])
            for p in pools]  # fmt: skip
    worst = np.array([away[row].max() for row in rows])
    common = shared_shock_share * float(worst.min()) if len(pools) > 1 else 0.0
    out, mass = [np.zeros(len(offers))], []
    for row, most in zip(rows, worst.tolist(), strict=True):
        # An offer with a higher maximum price is out less often than its pool's worst one.
        alone = row & (most > common)
        own = np.divide(away - common, most - common, out=np.zeros(len(offers)), where=alone)
        out.append(np.clip(np.where(row, own, 0.0), 0.0, 1.0))
        mass.append(most - common)
    if common > 0.0:
        out.append(np.where(away > 0.0, 1.0, 0.0))
        mass.append(common)
    total = sum(mass)
    if total > 1.0:
        mass = [share / total for share in mass]
    probability = np.array([max(1.0 - sum(mass), 0.0), *mass])
    return PoolStates(1.0 - np.array(out)[:, :, None], probability)
