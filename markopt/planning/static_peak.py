"""The baseline that always runs a fleet for the peak of the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from markopt.core import Plan, Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning.cheapest_fleet import cheapest_fleet
from markopt.planning.requirement import candidate_offers, warm_count
from markopt.planning.transition import counts_plan, make_before_break


@dataclass(frozen=True, kw_only=True)
class StaticPeak:
    """The cheapest fleet for ``history_peak_rps`` times ``headroom``, whatever the load.

    On-demand offers only, unless ``spot`` lets it use the others as well.

    Raises:
        ConfigError: headroom is not positive.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)

    headroom: float = 1.0
    spot: bool = False

    def __post_init__(self) -> None:
        if not self.headroom > 0.0:
            raise ConfigError(f"planner.headroom: must be positive, got {self.headroom}")

    def plan(self, problem: Problem) -> Plan:
        """Return the plan that reaches and keeps the peak fleet.

        Raises:
            Infeasible: no offer meets the SLO, or stock does not carry the peak.
        """
        offers = [
            offer
            for offer in candidate_offers(problem)
            if self.spot or offer.purchase is not PurchaseOption.SPOT
        ]
        forecast_peak_rps = float(problem.forecast.mean_rps().max())
        peak_rps = self.headroom * (problem.history_peak_rps or forecast_peak_rps)
        wanted = cheapest_fleet(offers, problem.required_throughput, peak_rps)
        counts = make_before_break(problem, wanted)
        rates_rps = problem.forecast.mean_rps()
        warm = warm_count(problem, np.maximum(rates_rps - peak_rps, 0.0), rates_rps)
        listed = ", ".join(f"{count} {name}" for name, count in wanted.items()) or "nothing"
        reason = f"keep {listed}: the least for the past peak, {peak_rps:.0f} rps with headroom"
        return counts_plan(problem, "static_peak", counts, warm, reason=reason)
