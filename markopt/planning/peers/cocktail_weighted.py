"""Cocktail (Gunasekaran et al., NSDI 2022): proactive weighted autoscaling, resource controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Offer, Plan, Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning.peers.scaling_group import (
    HEADROOM_GRID,
    check_positive,
    fleet_plan,
    instances_for,
    peak_until_ready_rps,
)
from markopt.planning.requirement import candidate_offers


@dataclass(frozen=True, kw_only=True)
class CocktailWeighted:
    """Predicted load on the cheapest transient instances of several pools, in equal parts.

    Cocktail weighs the predicted load by each model's share in the ensembles; of one model the
    weight is 1. Its DeepAR forecast is the forecaster's largest mean until a launch of the next
    decision is ready, times ``headroom``. The resource controller takes the type with the least
    price for a part, price * ceil(part / saturation throughput), spot first; ``pools`` parts go to
    as many pools, since one pool's instances are taken together (their number is assumed). What
    spot pools and their stock leave over is bought on demand.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = HEADROOM_GRID

    headroom: float = 1.15
    pools: int = 2

    def __post_init__(self) -> None:
        check_positive(headroom=self.headroom)
        if self.pools < 1:
            raise ConfigError(f"planner.pools: must be at least 1, got {self.pools}")

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of the cheapest parts.

        Raises:
            Infeasible: no offer meets the SLO.
        """
        offers = candidate_offers(problem)
        slowest = max(offers, key=lambda offer: offer.launch_delay_s)
        load_rps = self.headroom * peak_until_ready_rps(problem, slowest)
        wanted = self._procured(offers, load_rps)
        listed = ", ".join(f"{count} {name}" for name, count in wanted.items() if count)
        reason = f"{listed or 'nothing'} for {load_rps:.0f} rps in {self.pools} parts"
        rates_rps = self.headroom * problem.forecast.mean_rps()
        return fleet_plan(problem, "cocktail_weighted", wanted, rates_rps, reason=reason)

    def _procured(self, offers: Sequence[Offer], load_rps: float) -> dict[str, int]:
        part_rps = load_rps / self.pools
        spots = [o for o in offers if o.purchase is PurchaseOption.SPOT and o.stock != 0]
        wanted: dict[str, int] = {}
        taken: set[str] = set()
        rest_rps = load_rps
        for offer in _by_price(spots, part_rps):
            if len(taken) == self.pools:
                break
            if offer.pool in taken:
                continue
            count = instances_for(part_rps, offer.saturation_rps)
            wanted[offer.name] = count if offer.stock is None else min(count, offer.stock)
            taken.add(offer.pool)
            rest_rps -= min(wanted[offer.name] * offer.saturation_rps, part_rps)
        lasting = [o for o in offers if o.purchase.lasting] or spots
        if rest_rps > 1e-9 * load_rps and lasting:
            offer = _by_price(lasting, rest_rps)[0]
            count = instances_for(rest_rps, offer.saturation_rps)
            wanted[offer.name] = wanted.get(offer.name, 0) + count
        return wanted


def _by_price(offers: Sequence[Offer], rate_rps: float) -> list[Offer]:
    """Return the offers by what serving the rate costs, then per throughput, then by name."""

    def key(offer: Offer) -> tuple[float, float, str]:
        usd = instances_for(rate_rps, offer.saturation_rps) * offer.price_usd_per_s
        return (round(usd, 15), offer.price_usd_per_s / offer.saturation_rps, offer.name)

    return sorted(offers, key=key)
