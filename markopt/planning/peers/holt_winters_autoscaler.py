"""Point forecasts of Holt and Winters (1957, 1960) one launch delay ahead, divided by a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_share,
    instances_for,
)
from markopt.planning.requirement import launch_delay_intervals


@dataclass(frozen=True, kw_only=True)
class HoltWintersAutoscaler:
    """ceil(forecast at t = d_k / (saturation throughput times ``target_utilization``)) instances.

    The forecast's mean of the interval in which a launch made now is ready; its spread is not
    used. Made for ``forecaster=holt_winters``, it takes any forecaster's mean.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.8
    instance_type: str | None = None

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of the forecast's count.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        offer = group.offer
        mean_rps = problem.forecast.mean_rps()
        ready_at = min(launch_delay_intervals(offer, problem.interval_s), problem.horizon - 1)
        rate_rps = float(mean_rps[ready_at])
        per_instance_rps = offer.saturation_rps * self.target_utilization
        count = max(instances_for(rate_rps, per_instance_rps), 1)
        reason = (
            f"{count} {offer.name}: {rate_rps:.0f} rps in {ready_at} intervals at "
            f"{per_instance_rps:.1f} rps each"
        )
        return group.plan(problem, "holt_winters_autoscaler", count, mean_rps, reason=reason)
