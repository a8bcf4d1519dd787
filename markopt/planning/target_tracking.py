"""The baseline that SageMaker and its like offer: target tracking on requests per instance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.requirement import warm_count
from markopt.planning.single_offer import equivalent_count, scaled_offer
from markopt.planning.transition import counts_plan, make_before_break

POINT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class TargetTracking:
    """Keep invocations per instance per minute at saturation throughput times ``safety_factor``.

    One on-demand instance type (``instance_type``; None: the cheapest for the load). Scale out
    after ``scale_out_points`` one-minute points above the target, in after ``scale_in_points``
    below ``scale_in_share`` of it, each at most once per ``cooldown_s``. FACTS section 2.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "safety_factor"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25)

    safety_factor: float = 0.5
    instance_type: str | None = None
    scale_out_points: int = 3
    scale_in_points: int = 15
    scale_in_share: float = 0.9
    cooldown_s: float = 300.0

    def __post_init__(self) -> None:
        if not 0.0 < self.safety_factor <= 1.0:
            raise ConfigError(
                f"planner.safety_factor: must lie in (0, 1], got {self.safety_factor}"
            )
        if self.scale_out_points < 1 or self.scale_in_points < 1:
            raise ConfigError(
                "planner.scale_out_points and planner.scale_in_points: must be at least 1, got "
                f"{self.scale_out_points} and {self.scale_in_points}"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the count that target tracking asks for now, over the whole horizon.

        Raises:
            Infeasible: no on-demand offer meets the SLO.
        """
        offer = scaled_offer(problem, self.instance_type)
        target_rps = offer.saturation_rps * self.safety_factor
        desired, reason = self._desired(problem, offer, target_rps)
        counts = make_before_break(problem, {offer.name: desired})
        known_rps = [rate for rate in problem.recent_rps if math.isfinite(rate)]
        last_rps = known_rps[-1] if known_rps else 0.0
        rates_rps = np.full(problem.horizon, last_rps)
        held_rps = offer.saturation_rps * equivalent_count(problem, offer, ready_only=True)
        warm = warm_count(problem, np.maximum(rates_rps - held_rps, 0.0), rates_rps)
        return counts_plan(problem, "target_tracking", counts, warm, reason=reason)

    def _desired(self, problem: Problem, offer: Offer, target_rps: float) -> tuple[int, str]:
        own = problem.fleet.of(offer.name)
        current = own.billed - own.noticed
        if current <= 0:
            # What else runs is taken over once, as so many of the scaled offer.
            current = max(math.ceil(equivalent_count(problem, offer) - 1e-9), 1)
        points_rps = minute_points(problem)
        serving = max(equivalent_count(problem, offer, ready_only=True), 1e-9)
        out = points_rps[-self.scale_out_points :]
        above = len(out) == self.scale_out_points and bool((out / serving > target_rps).all())
        low_rps = self.scale_in_share * target_rps
        tail = points_rps[-self.scale_in_points :]
        below = len(tail) == self.scale_in_points and bool((tail / current < low_rps).all())
        per_minute = f"{target_rps * 60.0:.0f} invocations per instance per minute"
        if above and _rested(problem.since_scale_out_s, self.cooldown_s):
            desired = max(math.ceil(out[-1] / target_rps - 1e-9), current)
            return desired, (
                f"scale out to {desired} {offer.name}: {self.scale_out_points} points above "
                f"{per_minute}"
            )
        quiet = _rested(problem.since_scale_in_s, self.cooldown_s) and _rested(
            problem.since_scale_out_s, self.cooldown_s
        )
        if below and quiet:
            # The largest point of the alarm's span, so that the step does not undo itself.
            desired = min(max(math.ceil(tail.max() / target_rps - 1e-9), 1), current)
            return desired, (
                f"scale in to {desired} {offer.name}: {self.scale_in_points} points below "
                f"{self.scale_in_share:.0%} of {per_minute}"
            )
        return current, f"keep {current} {offer.name}: no alarm on {per_minute}"


def _rested(since_s: float | None, cooldown_s: float) -> bool:
    return since_s is None or since_s >= cooldown_s - 1e-9


def minute_points(problem: Problem) -> NDArray[np.float64]:
    """Return the observed rates as one-minute means, oldest first; the newest is complete.

    A minute without data stays NaN, and no alarm is raised on it.
    """
    rates = np.asarray(problem.recent_rps, dtype=np.float64)
    per_point = POINT_S / problem.interval_s
    if per_point <= 1.0 + 1e-9:
        # An interval of a minute or more stands for as many equal points.
        return np.repeat(rates, max(round(1.0 / per_point), 1))
    width = max(round(per_point), 1)
    whole = len(rates) // width * width
    points: NDArray[np.float64] = rates[len(rates) - whole :].reshape(-1, width).mean(axis=1)
    return points
