"""Kubernetes documentation, "Horizontal Pod Autoscaling": algorithm and scaling behavior, v2."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_not_negative,
    check_positive,
    check_share,
    intervals_in,
    known_rates_rps,
    last_rates_rps,
)


def desired_replicas(current: int, metric: float, target: float, tolerance: float) -> int:
    """Return ceil(current * metric / target); current where the ratio is within the tolerance."""
    ratio = metric / target
    if abs(ratio - 1.0) <= tolerance:
        return current
    return max(math.ceil(current * ratio - 1e-9), 1)


@dataclass(frozen=True, kw_only=True)
class HorizontalPodAutoscaler:
    """Kubernetes' autoscaler on utilization, one replica per instance.

    Wanted are ceil(current * utilization / ``target_utilization``) replicas (0.8: what the API
    takes where no metric is given), current ones where the ratio is within ``tolerance`` of 1. A
    replica that is not ready yet counts with no load, so a rise is scaled out for once. Scale-in
    takes the largest wish of the last ``scale_down_window_s``; past wishes are recomputed from the
    rates observed then. Scale-out adds at most the larger of ``scale_up_pods`` and
    ``scale_up_share`` of the replicas per ``policy_period_s``; such periods as fit in an interval
    follow each other.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.8
    instance_type: str | None = None
    tolerance: float = 0.1
    scale_down_window_s: float = 300.0
    scale_up_pods: int = 4
    scale_up_share: float = 1.0
    policy_period_s: float = 15.0

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_positive(policy_period_s=self.policy_period_s)
        check_not_negative(
            tolerance=self.tolerance,
            scale_down_window_s=self.scale_down_window_s,
            scale_up_pods=self.scale_up_pods,
            scale_up_share=self.scale_up_share,
        )

    def plan(self, problem: Problem) -> Plan:
        """Return the replicas that the autoscaler sets, over the whole horizon.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        count, reason = self.desired(problem, group)
        return group.plan(problem, "hpa", count, last_rates_rps(problem), reason=reason)

    def desired(self, problem: Problem, group: ScalingGroup) -> tuple[int, str]:
        """Return the replicas that the autoscaler sets, and why."""
        window = intervals_in(self.scale_down_window_s, problem)
        rates_rps = known_rates_rps(problem)[-window:].tolist()
        wishes = [self._wish(group, rate) for rate in rates_rps]
        count = self.stabilized(group.current, wishes, problem.interval_s)
        used = rates_rps[-1] / (group.current * group.offer.saturation_rps)
        return count, (
            f"{count} {group.offer.name}: utilization {used:.2f} of {group.current}, target "
            f"{self.target_utilization:g}, wish {wishes[-1]}"
        )

    def stabilized(self, current: int, wishes: Iterable[int], interval_s: float) -> int:
        """Return the replicas after window and limits; ``wishes`` of the window, newest last."""
        wanted = list(wishes)
        if wanted[-1] > current:
            return min(wanted[-1], self.most(current, interval_s))
        return min(max(wanted), current)

    def most(self, current: int, interval_s: float) -> int:
        """Return how many replicas there may be an interval later."""
        for _ in range(max(int(interval_s / self.policy_period_s + 1e-9), 1)):
            by_share = math.ceil(current * (1.0 + self.scale_up_share) - 1e-9)
            current = max(by_share, current + self.scale_up_pods)
        return current

    def _wish(self, group: ScalingGroup, rate_rps: float) -> int:
        utilization = rate_rps / (group.current * group.offer.saturation_rps)
        return desired_replicas(group.current, utilization, self.target_utilization, self.tolerance)
