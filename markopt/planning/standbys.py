"""Burstable standbys as a fixed rule around any planner."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from markopt.core import Plan, Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning.protocol import Planner


@dataclass(frozen=True)
class WithStandbys:
    """Start standby instances when spot instances are noticed or lost, stop them when replaced.

    MArk keeps stopped t2 instances that bridge the time until a replacement is ready. ``planner``
    does not see them; ``offer`` names the burstable offer, of which at most ``count`` are started,
    as many as replace the throughput that is lacking. A spot instance counts as lost when less is
    billed than the last plan wanted; standbys that run stay while spot instances are launching.

    Raises:
        ConfigError: count is negative.
    """

    planner: Planner
    offer: str
    count: int = 10

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"planner.count: must not be negative, got {self.count}")

    @property
    def KNOB(self) -> str | None:  # noqa: N802 - the name is the planners' contract
        """None: tune the wrapped planner, not the rule."""
        return None

    @property
    def KNOB_GRID(self) -> tuple[float, ...]:  # noqa: N802 - the name is the planners' contract
        """Empty, as there is no knob."""
        return ()

    def plan(self, problem: Problem) -> Plan:
        """Return the planner's plan with the standbys' row set by the rule.

        Raises:
            ConfigError: the standby offer is not in the problem or not burstable.
            Infeasible: as the planner.
        """
        standby = problem.offer(self.offer)
        if standby.purchase is not PurchaseOption.BURSTABLE:
            raise ConfigError(
                f"planner.offer: standbys must be burstable, got '{self.offer}' "
                f"({standby.purchase.value})"
            )
        others = tuple(offer for offer in problem.offers if offer.name != self.offer)
        plan = self.planner.plan(replace(problem, offers=others))
        started = self._started(problem)
        row = [offer.name for offer in problem.offers].index(self.offer)
        targets = np.insert(plan.targets, row, started, axis=0)
        change = started - problem.fleet.of(self.offer).billed
        note = ""
        if change:
            note = f"; {'start' if change > 0 else 'stop'} {abs(change)} standbys of {self.offer}"
        return replace(
            plan,
            offers=tuple(offer.name for offer in problem.offers),
            targets=targets,
            reason=plan.reason + note,
        )

    def _started(self, problem: Problem) -> int:
        standby = problem.offer(self.offer)
        running = problem.fleet.of(self.offer).billed
        noticed_rps = billed_rps = 0.0
        launching = False
        for offer in problem.offers:
            fleet = problem.fleet.of(offer.name)
            billed_rps += offer.saturation_rps * fleet.billed
            if offer.purchase is PurchaseOption.SPOT:
                noticed_rps += offer.saturation_rps * fleet.noticed
                launching = launching or bool(fleet.pending_ready_in_s)
        wanted_rps = problem.recent_targets_rps[-1] if problem.recent_targets_rps else 0.0
        lost_rps = max(wanted_rps - billed_rps, 0.0) if _has_spot(problem) else 0.0
        lacking = math.ceil((noticed_rps + lost_rps) / standby.saturation_rps - 1e-9)
        bridging = running if launching else 0
        return min(max(lacking, bridging), self.count)


def _has_spot(problem: Problem) -> bool:
    return any(offer.purchase is PurchaseOption.SPOT for offer in problem.offers)
