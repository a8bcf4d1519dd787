"""MArk's greedy heuristic as its released code runs it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from markopt.core import Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.greedy import Greedy, greedy_plan


@dataclass(frozen=True, kw_only=True)
class GreedyReleased:
    """Algorithm 1 on the running peak instead of a forecast; FACTS section 1, "released code".

    The rate of every step is the largest 5 s bin of the last interval times ``headroom`` (the
    released code comments its LSTM out), looked ahead over ``window`` steps, with
    ``launch_overhead_s`` of price per launch. The fleet shrinks only below the largest throughput
    of the last ``scale_in_plans`` plans.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.6, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0)

    headroom: float = 1.2
    window: int = 6
    launch_overhead_s: float = 180.0
    scale_in_plans: int = 6

    def __post_init__(self) -> None:
        if not self.headroom > 0.0:
            raise ConfigError(f"planner.headroom: must be positive, got {self.headroom}")
        if self.window < 1 or self.scale_in_plans < 1:
            raise ConfigError(
                "planner.window and planner.scale_in_plans: must be at least 1, got "
                f"{self.window} and {self.scale_in_plans}"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the released code's plan.

        Raises:
            Infeasible: no candidate meets the SLO, or limits leave too few.
        """
        predicted_rps = np.full(problem.horizon, self.headroom * _running_peak_rps(problem))
        greedy = Greedy(window=self.window, launch_overhead_s=self.launch_overhead_s)
        wanted = greedy.schedule(problem, predicted_rps)
        held = greedy_plan(problem, "greedy_released", self._hold(problem, wanted), predicted_rps)
        # Only the first interval holds on: the next plans must see what this one wanted itself.
        targets = np.repeat(
            np.array([[wanted.get(offer.name, 0)] for offer in problem.offers]),
            problem.horizon,
            axis=1,
        )
        targets[:, 0] = held.targets[:, 0]
        return replace(held, targets=targets)

    def _hold(self, problem: Problem, wanted: dict[str, int]) -> dict[str, int]:
        """Keep instances that the plan would end, while the last plans wanted their throughput."""
        recent_rps = problem.recent_final_targets_rps[-self.scale_in_plans :]
        missing_rps = max(recent_rps, default=0.0) - sum(
            problem.offer(name).saturation_rps * count for name, count in wanted.items()
        )
        counts = dict(wanted)
        candidates = [offer for offer in problem.offers if offer.name in counts]
        for offer in sorted(
            candidates, key=lambda o: (o.price_usd_per_s / o.saturation_rps, o.name)
        ):
            fleet = problem.fleet.of(offer.name)
            surplus = fleet.billed - fleet.noticed - counts[offer.name]
            if surplus > 0 and missing_rps > 1e-9:
                kept = min(surplus, int(np.ceil(missing_rps / offer.saturation_rps - 1e-9)))
                counts[offer.name] += kept
                missing_rps -= kept * offer.saturation_rps
        return counts


def _running_peak_rps(problem: Problem) -> float:
    """Return the largest bin of the last interval, or the nearest there is to it.

    A bin without data (NaN) says nothing about the load.
    """
    bins_rps = [rate for rate in problem.recent_bin_rps if math.isfinite(rate)]
    rates_rps = [rate for rate in problem.recent_rps if math.isfinite(rate)]
    if bins_rps:
        return max(bins_rps)
    if rates_rps:
        return rates_rps[-1]
    return float(problem.forecast.mean_rps()[0])
