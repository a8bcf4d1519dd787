"""What the peers share: a group of like instances, and the plan that scales it to a count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.requirement import launch_delay_intervals, warm_count
from markopt.planning.single_offer import equivalent_count, scaled_offer
from markopt.planning.transition import counts_plan, make_before_break

Array = NDArray[np.float64]

UTILIZATION_GRID = (0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25)
HEADROOM_GRID = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)


@dataclass(frozen=True)
class ScalingGroup:
    """Like instances that an autoscaler counts: ``offer``, what is billed, what serves.

    ``current`` are those that are billed and not under notice, at least one; where none of the
    offer runs, the fleet that it takes over, in instances of the offer. ``serving`` is all that is
    ready, in instances of the offer.
    """

    offer: Offer
    current: int
    serving: float

    @classmethod
    def of(cls, problem: Problem, instance_type: str | None) -> ScalingGroup:
        """Return the group of the offer of that type; None: as ``scaled_offer``.

        Raises:
            ConfigError: there is no such on-demand or container offer.
            Infeasible: no such offer meets the SLO.
        """
        offer = scaled_offer(problem, instance_type)
        own = problem.fleet.of(offer.name)
        current = own.billed - own.noticed
        if current <= 0:
            current = max(math.ceil(equivalent_count(problem, offer) - 1e-9), 1)
        serving = max(equivalent_count(problem, offer, ready_only=True), 1e-9)
        return cls(offer, current, serving)

    def plan(
        self, problem: Problem, planner: str, count: int, rates_rps: Array, *, reason: str
    ) -> Plan:
        """Return the plan of so many instances, reached without a gap; see ``fleet_plan``."""
        return fleet_plan(problem, planner, {self.offer.name: count}, rates_rps, reason=reason)


def fleet_plan(
    problem: Problem, planner: str, wanted: Mapping[str, int], rates_rps: Array, *, reason: str
) -> Plan:
    """Return the plan of these counts, what runs else kept until they are ready.

    Functions are kept warm for what ``rates_rps``, shape (horizon,), exceed the ready throughput.
    """
    counts = make_before_break(problem, wanted)
    warm = warm_for_overflow(problem, rates_rps)
    return counts_plan(problem, planner, counts, warm, reason=reason)


def warm_for_overflow(problem: Problem, rates_rps: Array) -> NDArray[np.int64]:
    """Return the environments to keep warm for what the ready instances cannot serve."""
    ready_rps = sum(
        o.saturation_rps * (problem.fleet.of(o.name).ready - problem.fleet.of(o.name).noticed)
        for o in problem.offers
    )
    return warm_count(problem, np.maximum(rates_rps - ready_rps, 0.0), rates_rps)


def instances_for(rate_rps: float, per_instance_rps: float) -> int:
    """Return how many instances a rate needs at so much for each, rounded up."""
    return max(math.ceil(rate_rps / per_instance_rps - 1e-9), 0)


def known_rates_rps(problem: Problem) -> Array:
    """Return the observed rates, oldest first, without the intervals that have none.

    The forecast's first mean where nothing has been observed.
    """
    rates = np.asarray(problem.recent_rps, dtype=np.float64)
    known: Array = rates[np.isfinite(rates)]
    return known if known.size else problem.forecast.mean_rps()[:1]


def last_rates_rps(problem: Problem) -> Array:
    """Return the last observed rate for every interval of the horizon."""
    return np.full(problem.horizon, known_rates_rps(problem)[-1])


def peak_until_ready_rps(problem: Problem, offer: Offer) -> float:
    """Return the largest mean forecast rate until a launch of the next decision is ready."""
    ahead = launch_delay_intervals(offer, problem.interval_s) + 2
    return float(problem.forecast.mean_rps()[:ahead].max())


def intervals_in(duration_s: float, problem: Problem) -> int:
    """Return how many intervals make up a duration, rounded up, at least one."""
    return max(math.ceil(duration_s / problem.interval_s - 1e-9), 1)


def check_share(key: str, value: float) -> None:
    """Refuse a setting that is not a share.

    Raises:
        ConfigError: it does not lie in (0, 1].
    """
    if not 0.0 < value <= 1.0:
        raise ConfigError(f"planner.{key}: must lie in (0, 1], got {value}")


def check_positive(**values: float) -> None:
    """Refuse settings that are not positive.

    Raises:
        ConfigError: one is not, or is not finite.
    """
    for key, value in values.items():
        if not (math.isfinite(value) and value > 0.0):
            raise ConfigError(f"planner.{key}: must be positive, got {value}")


def check_not_negative(**values: float) -> None:
    """Refuse settings that are negative.

    Raises:
        ConfigError: one is, or is not finite.
    """
    for key, value in values.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise ConfigError(f"planner.{key}: must not be negative, got {value}")
