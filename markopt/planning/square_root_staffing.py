"""The baseline from queueing theory: offered load plus beta times its square root."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from markopt.core import Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.requirement import launch_delay_intervals, warm_count
from markopt.planning.single_offer import scaled_offer
from markopt.planning.transition import counts_plan, make_before_break


@dataclass(frozen=True, kw_only=True)
class SquareRootStaffing:
    """R + ``beta`` sqrt(R) model servers on one on-demand offer, R the offered load in servers.

    (Halfin and Whitt 1981.) The load is the largest mean forecast rate until a launch made next
    interval would be ready. ``instance_type`` None takes the cheapest for the load. The rule has
    its own safety, so it does not use Q(D).

    Raises:
        ConfigError: beta is not finite.
    """

    KNOB: ClassVar[str | None] = "beta"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

    beta: float = 2.0
    instance_type: str | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.beta):
            raise ConfigError(f"planner.beta: must be a finite number, got {self.beta}")

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of the rule.

        Raises:
            Infeasible: no on-demand offer meets the SLO.
        """
        offer = scaled_offer(problem, self.instance_type)
        mean_rps = problem.forecast.mean_rps()
        ahead = launch_delay_intervals(offer, problem.interval_s) + 2
        rate_rps = float(mean_rps[:ahead].max())
        load = rate_rps / (offer.saturation_rps / offer.servers)
        servers = max(load + self.beta * math.sqrt(load), 0.0)
        count = math.ceil(servers / offer.servers - 1e-9)
        counts = make_before_break(problem, {offer.name: count})
        spill_rps = np.maximum(mean_rps - count * offer.saturation_rps, 0.0)
        warm = warm_count(problem, spill_rps, mean_rps)
        reason = (
            f"run {count} {offer.name}: {rate_rps:.0f} rps are {load:.1f} servers of load, plus "
            f"{self.beta:g} times the square root"
        )
        return counts_plan(problem, "square_root_staffing", counts, warm, reason=reason)
