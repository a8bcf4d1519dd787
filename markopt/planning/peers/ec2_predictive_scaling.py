"""Amazon EC2 Auto Scaling user guide, "Predictive scaling" and "How predictive scaling works"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.planning.peers.ec2_target_tracking import Ec2TargetTracking
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_not_negative,
    check_share,
    instances_for,
    intervals_in,
    last_rates_rps,
)


@dataclass(frozen=True, kw_only=True)
class Ec2PredictiveScaling:
    """The larger of what is forecast and what dynamic target tracking wants.

    Predicted capacity is the largest mean forecast rate of the next ``scheduling_buffer_s`` (AWS
    launches so much ahead; 300 s by default) over saturation throughput times
    ``target_utilization``. A forecast only adds: scaling in is left to ``Ec2TargetTracking`` at the
    same target. AWS forecasts hours; here the forecaster's intervals take their place.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.5
    scheduling_buffer_s: float = 300.0
    instance_type: str | None = None

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_not_negative(scheduling_buffer_s=self.scheduling_buffer_s)

    def plan(self, problem: Problem) -> Plan:
        """Return the larger of the two counts, over the whole horizon.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        dynamic = Ec2TargetTracking(
            target_utilization=self.target_utilization, instance_type=self.instance_type
        )
        reactive, why = dynamic.desired(problem, group)
        ahead = intervals_in(self.scheduling_buffer_s, problem) + 1
        rate_rps = float(problem.forecast.mean_rps()[:ahead].max())
        per_instance_rps = group.offer.saturation_rps * self.target_utilization
        predicted = instances_for(rate_rps, per_instance_rps)
        reason = f"forecast {rate_rps:.0f} rps: {predicted}; dynamic: {why}"
        count = max(predicted, reactive)
        return group.plan(
            problem, "ec2_predictive_scaling", count, last_rates_rps(problem), reason=reason
        )
