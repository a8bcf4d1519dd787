"""SkyServe (Mao et al., EuroSys 2025), its policy SpotHedge, and the released autoscaler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from markopt.core import Offer, Plan, Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    check_not_negative,
    check_share,
    fleet_plan,
    instances_for,
    intervals_in,
    known_rates_rps,
    last_rates_rps,
)
from markopt.planning.requirement import candidate_offers, cheapest_per_throughput
from markopt.planning.single_offer import scaled_offer


def fallback_count(target: int, extra: int, ready_spot: int) -> int:
    """Return how many on-demand replicas stand in: min(N_tar, N_tar + N_extra - ready spot)."""
    return max(min(target, target + extra - ready_spot), 0)


@dataclass(frozen=True, kw_only=True)
class SpotHedge:
    """N_tar + ``extra`` spot replicas over the pools, on demand for those that are not ready.

    N_tar follows ceil(rate / (saturation throughput times ``target_utilization``)) once that has
    been larger for ``upscale_delay_s`` or smaller for ``downscale_delay_s`` (the released code's
    300 and 1200 s). On-demand replicas: ``fallback_count``. A new spot replica goes to the active
    pool with the fewest, then the cheapest; a pool under an interruption notice, or refused for
    want of capacity, is not active, and all are again once fewer than two would be left. One
    instance type (None: the one that runs, else the cheapest for the load on demand).

    N_tar is carried in the plan's last interval, where all spot replicas are ready; a horizon of
    one interval has no room for it, and no delays then.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.8
    extra: int = 1
    instance_type: str | None = None
    upscale_delay_s: float = 300.0
    downscale_delay_s: float = 1200.0

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_not_negative(
            extra=self.extra,
            upscale_delay_s=self.upscale_delay_s,
            downscale_delay_s=self.downscale_delay_s,
        )

    def plan(self, problem: Problem) -> Plan:
        """Return spot replicas by pool, and the on-demand ones that stand in for them.

        Raises:
            ConfigError: there is no offer of ``instance_type``.
            Infeasible: no offer meets the SLO.
        """
        spots, fallback = self._replicas(problem)
        rps = (spots[0] if spots else fallback).saturation_rps
        target = self._target(problem, rps * self.target_utilization, rps)
        placed = place(problem, spots, target + self.extra) if spots else {}
        ready = sum(
            problem.fleet.of(o.name).ready - problem.fleet.of(o.name).noticed for o in spots
        )
        stand_in = fallback_count(target, self.extra, ready)
        reason = (
            f"{target} + {self.extra} {fallback.instance_type} on spot in {len(spots)} pools, "
            f"{ready} ready: {stand_in} on demand"
        )
        wanted = placed if fallback in spots else placed | {fallback.name: stand_in}
        plan = fleet_plan(problem, "spot_hedge", wanted, last_rates_rps(problem), reason=reason)
        return _with_memory(plan, (spots or [fallback])[0].name, target + self.extra)

    def _replicas(self, problem: Problem) -> tuple[list[Offer], Offer]:
        """Return the spot offers of the type, the cheapest of each pool, and the one to fall to.

        Without on-demand offers of the type its cheapest spot offer stands for the latter.
        """
        offers = candidate_offers(problem)
        name = self.instance_type or _running_type(problem, offers)
        if name is None:
            lasting = [o for o in offers if o.purchase.lasting]
            chosen = scaled_offer(problem, None) if lasting else cheapest_per_throughput(offers)
            name = chosen.instance_type
        own = [o for o in offers if o.instance_type == name]
        if not own:
            raise ConfigError(
                f"planner.instance_type: needs an offer that meets the SLO, got '{name}'; there "
                f"are {sorted({o.instance_type for o in offers})}"
            )
        own.sort(key=lambda o: (o.price_usd_per_s, o.name))
        by_pool: dict[str, Offer] = {}
        for offer in own:
            if offer.purchase is PurchaseOption.SPOT:
                by_pool.setdefault(offer.pool, offer)
        spots = list(by_pool.values())
        return spots, next((o for o in own if o.purchase.lasting), own[0])

    def _target(self, problem: Problem, per_replica_rps: float, rps: float) -> int:
        """Return N_tar with its hysteresis."""
        rates_rps = known_rates_rps(problem)
        wishes = [max(instances_for(rate, per_replica_rps), 1) for rate in rates_rps.tolist()]
        if not problem.recent_final_targets_rps or problem.horizon < 2:
            return wishes[-1]
        now = max(round(problem.recent_final_targets_rps[-1] / rps) - self.extra, 1)
        up = wishes[-intervals_in(self.upscale_delay_s, problem) :]
        down = wishes[-intervals_in(self.downscale_delay_s, problem) :]
        if min(up) > now or max(down) < now:
            return wishes[-1]
        return now


def place(problem: Problem, spots: Sequence[Offer], wanted: int) -> dict[str, int]:
    """Return so many spot replicas by offer: where they run, then spread over active pools.

    Fewer where stock is short.
    """
    fleets = {o.name: problem.fleet.of(o.name) for o in spots}
    counts = {name: fleet.billed - fleet.noticed for name, fleet in fleets.items()}
    stock = {o.name: np.inf if o.stock is None else float(o.stock) for o in spots}
    active = active_pools(problem, spots)
    price = {o.name: (o.price_usd_per_s, o.name) for o in spots}
    while sum(counts.values()) > wanted:
        held = [name for name, count in counts.items() if count > 0]
        counts[max(held, key=lambda n: (n not in active, counts[n], price[n]))] -= 1
    while sum(counts.values()) < wanted:
        free = [name for name in counts if counts[name] < stock[name]]
        usable = [name for name in free if name in active] or free
        if not usable:
            break
        counts[min(usable, key=lambda n: (counts[n], price[n]))] += 1
    return counts


def active_pools(problem: Problem, spots: Sequence[Offer]) -> set[str]:
    """Return the offers whose pool was not seen to lack capacity; all, if fewer than two were."""
    active = set()
    for offer in spots:
        fleet = problem.fleet.of(offer.name)
        short = offer.stock is not None and fleet.billed >= offer.stock
        if not fleet.noticed and not short:
            active.add(offer.name)
    return active if len(active) >= 2 else {offer.name for offer in spots}


def _running_type(problem: Problem, offers: Sequence[Offer]) -> str | None:
    """Return the type that makes up at least half of the billed throughput, None: none does."""
    held: dict[str, float] = {}
    for offer in offers:
        fleet = problem.fleet.of(offer.name)
        rps = offer.saturation_rps * (fleet.billed - fleet.noticed)
        held[offer.instance_type] = held.get(offer.instance_type, 0.0) + rps
    name = max(sorted(held), key=lambda n: held[n])
    return name if held[name] > 0.0 and 2.0 * held[name] >= sum(held.values()) else None


def _with_memory(plan: Plan, name: str, replicas: int) -> Plan:
    """Return the plan with nothing but so many of one offer in its last interval.

    That is what the next decision reads N_tar from.
    """
    if plan.targets.shape[1] < 2:
        return plan
    targets = plan.targets.copy()
    targets[:, -1] = [replicas if offer == name else 0 for offer in plan.offers]
    return replace(plan, targets=targets)
