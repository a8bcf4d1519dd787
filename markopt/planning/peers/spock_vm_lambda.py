"""Spock (Gunasekaran et al., IEEE CLOUD 2019): VMs by recent load, functions while they boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.peers.scaling_group import (
    UTILIZATION_GRID,
    ScalingGroup,
    check_not_negative,
    check_positive,
    check_share,
    instances_for,
    intervals_in,
    known_rates_rps,
    last_rates_rps,
)
from markopt.planning.requirement import launch_delay_intervals

Prediction = Literal["average", "regression"]


@dataclass(frozen=True, kw_only=True)
class SpockVmLambda:
    """VMs for a moving estimate of the load; what arrives while they boot goes to functions.

    The estimate is the mean of the rates of the last ``window_s`` (``average``, Spock's reactive
    policy) or their straight line a launch delay ahead (``regression``, its predictive one), and a
    VM takes saturation throughput times ``target_utilization``. VMs end once no estimate of the
    last ``idle_s`` needs them. Functions are kept warm for what the ready VMs cannot serve of the
    last rate. Window and idle time are assumed: the published description names neither.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "target_utilization"
    KNOB_GRID: ClassVar[tuple[float, ...]] = UTILIZATION_GRID

    target_utilization: float = 0.8
    instance_type: str | None = None
    prediction: Prediction = "average"
    window_s: float = 300.0
    idle_s: float = 300.0

    def __post_init__(self) -> None:
        check_share("target_utilization", self.target_utilization)
        check_positive(window_s=self.window_s)
        check_not_negative(idle_s=self.idle_s)
        if self.prediction not in ("average", "regression"):
            raise ConfigError(
                f"planner.prediction: must be 'average' or 'regression', got '{self.prediction}'"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of VMs and warm functions.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        offer = group.offer
        ahead = launch_delay_intervals(offer, problem.interval_s)
        per_vm_rps = offer.saturation_rps * self.target_utilization
        estimates = self._estimates(problem, ahead)
        needed = [max(instances_for(rate, per_vm_rps), 1) for rate in estimates]
        count = max(needed[-1], min(group.current, max(needed)))
        reason = (
            f"{count} {offer.name}: {self.prediction} {estimates[-1]:.0f} rps needs {needed[-1]}, "
            f"{group.serving:.3g} serve"
        )
        return group.plan(problem, "spock_vm_lambda", count, last_rates_rps(problem), reason=reason)

    def _estimates(self, problem: Problem, ahead: int) -> list[float]:
        """Return the estimates of now and of the ``idle_s`` before, newest last."""
        rates_rps = known_rates_rps(problem)
        window = intervals_in(self.window_s, problem)
        # A VM that an estimate has needed since then is not idle yet.
        steps = min(intervals_in(self.idle_s, problem), len(rates_rps)) if self.idle_s else 1
        ends = range(len(rates_rps) - steps + 1, len(rates_rps) + 1)
        return [self._estimate(rates_rps[max(end - window, 0) : end], ahead) for end in ends]

    def _estimate(self, rates_rps: NDArray[np.float64], ahead: int) -> float:
        mean = float(rates_rps.mean())
        if self.prediction == "average" or len(rates_rps) < 2:
            return mean
        at = np.arange(len(rates_rps)) - (len(rates_rps) - 1) / 2.0
        slope = float(at @ rates_rps) / float(at @ at)
        return max(mean + slope * (float(at[-1]) + ahead), 0.0)
