"""AWS Application Auto Scaling user guide, "How target tracking works", for SageMaker endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.planning.peers.alarms import Alarms
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_not_negative,
    check_share,
    instances_for,
    last_rates_rps,
)


@dataclass(frozen=True, kw_only=True)
class SageMakerTargetTracking:
    """Keep invocations per instance at their target, with Application Auto Scaling's cool-downs.

    The target is saturation throughput times ``safety_factor`` (AWS suggests 0.5). A high alarm
    asks for ceil(invocations / target) instances. What an earlier scale-out has added counts as
    capacity, so that in its cool-down only a larger one goes through, and no setting is needed for
    that. A scale-in waits ``scale_in_cooldown_s`` after the last one, and not for a scale-out
    before it. In both ``TargetTracking``, which rests after every change, differs.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "safety_factor"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    safety_factor: float = 0.5
    instance_type: str | None = None
    scale_out_points: int = 3
    scale_in_points: int = 15
    scale_in_share: float = 0.9
    scale_in_cooldown_s: float = 300.0

    def __post_init__(self) -> None:
        check_share("safety_factor", self.safety_factor)
        check_not_negative(scale_in_cooldown_s=self.scale_in_cooldown_s)
        self._alarms()

    def plan(self, problem: Problem) -> Plan:
        """Return the count that the alarms and cool-downs allow, over the whole horizon.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        target_rps = group.offer.saturation_rps * self.safety_factor
        count, why = self._desired(problem, group, target_rps)
        reason = f"{why}; target {60.0 * target_rps:.0f} invocations per instance per minute"
        return group.plan(
            problem, "sagemaker_target_tracking", count, last_rates_rps(problem), reason=reason
        )

    def _alarms(self) -> Alarms:
        return Alarms(self.scale_out_points, self.scale_in_points, self.scale_in_share)

    def _desired(self, problem: Problem, group: ScalingGroup, target_rps: float) -> tuple[int, str]:
        alarm = self._alarms().check(problem, target_rps * group.serving)
        name = group.offer.name
        wanted = instances_for(alarm.rate_rps, target_rps)
        if alarm.high and wanted > group.current:
            return wanted, f"scale out to {wanted} {name}"
        since_s = problem.since_scale_in_s
        rested = since_s is None or since_s >= self.scale_in_cooldown_s - 1e-9
        if alarm.low and rested:
            wanted = min(max(wanted, 1), group.current)
            return wanted, f"scale in to {wanted} {name}"
        return group.current, f"keep {group.current} {name}"
