"""KEDA documentation, "Scaling deployments" and "ScaledObject specification": scale to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.planning.peers.horizontal_pod_autoscaler import HorizontalPodAutoscaler
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_not_negative,
    check_share,
    intervals_in,
    known_rates_rps,
    last_rates_rps,
)


@dataclass(frozen=True, kw_only=True)
class Keda:
    """Kubernetes' autoscaler from one replica on, KEDA itself between none and one.

    KEDA activates the first replica as soon as the rate exceeds ``activation_rps`` and ends the
    last one when it has not for ``cooldown_s`` (300 s by default). In between
    ``HorizontalPodAutoscaler`` scales on the rate per replica, saturation throughput times
    ``target_utilization``, with its own defaults. Requests while nothing runs go to functions.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.8
    instance_type: str | None = None
    activation_rps: float = 0.0
    cooldown_s: float = 300.0

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_not_negative(activation_rps=self.activation_rps, cooldown_s=self.cooldown_s)

    def plan(self, problem: Problem) -> Plan:
        """Return none, or what the autoscaler sets.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        rates_rps = known_rates_rps(problem)[-intervals_in(self.cooldown_s, problem) :]
        if not (rates_rps > self.activation_rps).any():
            count, reason = 0, f"none: inactive for {self.cooldown_s:g} s"
        else:
            inner = HorizontalPodAutoscaler(target_utilization=self.target_utilization)
            count, reason = inner.desired(problem, group)
        return group.plan(problem, "keda", count, last_rates_rps(problem), reason=reason)
