"""Mélange (Griggs et al., arXiv 2404.14527): the allocation ILP over instance types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from markopt.core import Offer, Plan, Problem, PurchaseOption
from markopt.errors import ConfigError, Infeasible
from markopt.planning.peers.scaling_group import HEADROOM_GRID, check_positive, fleet_plan
from markopt.planning.program.model import ModelBuilder
from markopt.planning.program.solver import SolverOptions, solve_model
from markopt.planning.requirement import candidate_offers, cheapest_per_throughput, listed

EXACT = SolverOptions(relative_gap=0.0, max_nodes=20_000)


@dataclass(frozen=True, kw_only=True)
class MelangeIlp:
    """The cheapest counts that slices of the load fit into, each slice on one instance type.

    min sum c_j B_j with sum_j A_j = S slices and A_j (D / S) / mu_j <= B_j, A and B integer, mu the
    saturation throughput. Mélange's buckets are sizes of LLM requests; requests of one size are one
    bucket, whose ``slices`` (8 in its released code) are alike, so that counting them per type says
    what its binary matrix says. D is the mean forecast of the next interval times ``headroom``. No
    horizon, no launch delay, no price of a change. On demand only, unless ``spot``.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = HEADROOM_GRID

    headroom: float = 1.0
    slices: int = 8
    spot: bool = False

    def __post_init__(self) -> None:
        check_positive(headroom=self.headroom)
        if self.slices < 1:
            raise ConfigError(f"planner.slices: must be at least 1, got {self.slices}")

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of the cheapest counts, what runs else kept until they are ready.

        Raises:
            Infeasible: no offer meets the SLO, or stock does not carry the load.
        """
        offers = [
            offer
            for offer in candidate_offers(problem)
            if self.spot or offer.purchase is not PurchaseOption.SPOT
        ]
        rates_rps = self.headroom * problem.forecast.mean_rps()
        wanted = allocation(offers, float(rates_rps[0]), self.slices)
        text = ", ".join(f"{count} {name}" for name, count in wanted.items()) or "nothing"
        reason = f"{text}: the least for {self.slices} slices of {rates_rps[0]:.0f} rps"
        return fleet_plan(problem, "melange_ilp", wanted, rates_rps, reason=reason)


def allocation(offers: Sequence[Offer], rate_rps: float, slices: int) -> dict[str, int]:
    """Return {offer name: count} of least price; zeros are left out.

    Raises:
        Infeasible: there are no offers, or their stock does not carry the rate.
    """
    ordered = sorted(offers, key=lambda offer: offer.name)
    if not ordered:
        raise Infeasible(f"Mélange: needs an offer for {rate_rps:.1f} rps, got none")
    if rate_rps <= 0.0:
        return {}
    builder = ModelBuilder()
    size = (len(ordered),)
    price = np.array([offer.price_usd_per_s for offer in ordered])
    stock = np.array([np.inf if o.stock is None else float(o.stock) for o in ordered])
    load = np.array([rate_rps / slices / offer.saturation_rps for offer in ordered])
    most = np.minimum(np.ceil(slices * load), stock)
    assigned = builder.add_columns("assigned", size, upper=float(slices), integer=True)
    counts = builder.add_columns("count", size, cost=price, upper=most, integer=True)
    builder.put(builder.add_rows("every_slice", 1, lower=slices, upper=slices), assigned, 1.0)
    fits = builder.add_rows("fits", len(ordered), upper=0.0) + np.arange(len(ordered))
    builder.put(fits, assigned, load)
    builder.put(fits, counts, -1.0)
    scale = 1.0 / cheapest_per_throughput(ordered).price_usd_per_s
    answer = solve_model(builder.build(), EXACT, scale=scale)
    if answer.values is None:
        raise Infeasible(
            f"Mélange: needs instances for {rate_rps:.1f} rps, the stock leaves too few of "
            f"{listed([offer.name for offer in ordered])}"
        )
    found = np.rint(answer.values[counts]).astype(int).tolist()
    return {o.name: n for o, n in zip(ordered, found, strict=True) if n > 0}
