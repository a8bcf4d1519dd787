"""Amazon EC2 Auto Scaling user guide, "Target tracking scaling policies" and "instance warmup"."""

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
class Ec2TargetTracking:
    """Keep requests per instance at saturation throughput times ``target_utilization``.

    No cool-down: an instance counts in the metric once it is ready, and as capacity from its launch
    on, so that several alarms of one rise ask for one scale-out. While an instance warms up, for
    ``warmup_s`` after a scale-out at least, nothing is scaled in. A low alarm is at
    ``scale_in_share`` of the target (0.7: as groups' alarms show, not in AWS's documentation).

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.5
    instance_type: str | None = None
    scale_out_points: int = 3
    scale_in_points: int = 15
    scale_in_share: float = 0.7
    warmup_s: float = 300.0

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_not_negative(warmup_s=self.warmup_s)
        self._alarms()

    def plan(self, problem: Problem) -> Plan:
        """Return the count that the alarms ask for, over the whole horizon.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        count, reason = self.desired(problem, group)
        return group.plan(
            problem, "ec2_target_tracking", count, last_rates_rps(problem), reason=reason
        )

    def desired(self, problem: Problem, group: ScalingGroup) -> tuple[int, str]:
        """Return the desired capacity of the group, and why."""
        target_rps = group.offer.saturation_rps * self.target_utilization
        alarm = self._alarms().check(problem, target_rps * group.serving)
        name = group.offer.name
        wanted = instances_for(alarm.rate_rps, target_rps)
        if alarm.high and wanted > group.current:
            return wanted, f"scale out to {wanted} {name}: {alarm.rate_rps:.0f} rps"
        if alarm.low and not self._warming(problem, name):
            wanted = min(max(wanted, 1), group.current)
            return wanted, f"scale in to {wanted} {name}: at most {alarm.rate_rps:.0f} rps"
        return group.current, f"keep {group.current} {name}: {target_rps:.1f} rps for each"

    def _alarms(self) -> Alarms:
        return Alarms(self.scale_out_points, self.scale_in_points, self.scale_in_share)

    def _warming(self, problem: Problem, offer: str) -> bool:
        since_s = problem.since_scale_out_s
        fresh = since_s is not None and since_s < self.warmup_s - 1e-9
        return fresh or bool(problem.fleet.of(offer).pending_ready_in_s)
