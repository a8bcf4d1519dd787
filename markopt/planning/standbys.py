"""Burstable standbys as a fixed rule around any planner."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from markopt.core import Offer, Plan, Problem, PurchaseOption
from markopt.errors import ConfigError
from markopt.planning.protocol import Planner


@dataclass(frozen=True)
class WithStandbys:
    """Start standby instances when spot instances are noticed or lost, stop them when replaced.

    MArk keeps stopped t2 instances that bridge the time until a replacement is ready. ``planner``
    does not see them; ``offer`` names the burstable offer, of which at most ``count`` are started.
    Lacking is what the planner's plan wants now and no instance without a notice serves yet. As
    much of it is bridged as has been noticed or lost, or as the standbys that run already serve: so
    growth alone starts none, and those that bridge stop when the replacement, of whatever offer, is
    ready or no longer wanted. A standby counts with what its CPU credits let it serve on average
    over the longest launch of another offer. A spot instance counts as lost when less is billed
    than the last plan wanted.

    The rule has no knob: the equal-SLO tuning turns that of ``planner``.

    Raises:
        ConfigError: count is negative.
    """

    KNOB: ClassVar[str | None] = None
    KNOB_GRID: ClassVar[tuple[float, ...]] = ()

    planner: Planner
    offer: str
    count: int = 10

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"planner.count: must not be negative, got {self.count}")

    def plan(self, problem: Problem) -> Plan:
        """Return the planner's plan with the standbys' row set by the rule.

        Raises:
            ConfigError: the standby offer is not in the problem or not burstable.
            Infeasible: as the planner.
        """
        standby = self._standby(problem)
        others = tuple(offer for offer in problem.offers if offer.name != self.offer)
        plan = self.planner.plan(replace(problem, offers=others))
        started = self._started(problem, standby, plan)
        row = [offer.name for offer in problem.offers].index(self.offer)
        targets = np.insert(plan.targets, row, started, axis=0)
        change = started - problem.fleet.of(self.offer).billed
        note = ""
        if change:
            note = f"; {'start' if change > 0 else 'stop'} {abs(change)} standbys of {self.offer}"
        return replace(
            plan,
            planner=f"{plan.planner}_with_standbys",
            offers=tuple(offer.name for offer in problem.offers),
            targets=targets,
            reason=plan.reason + note,
        )

    def _standby(self, problem: Problem) -> Offer:
        burstable = [o.name for o in problem.offers if o.purchase is PurchaseOption.BURSTABLE]
        for offer in problem.offers:
            if offer.name != self.offer:
                continue
            if offer.purchase is not PurchaseOption.BURSTABLE:
                raise ConfigError(
                    f"planner.offer: standbys must be burstable, got '{self.offer}' "
                    f"({offer.purchase.value})"
                )
            return offer
        raise ConfigError(
            f"planner.offer: '{self.offer}' is not on offer, burstable offers: "
            f"{burstable or 'none'}; catalog.purchase must hold 'burstable', and the service needs "
            "a profile of the type"
        )

    def _started(self, problem: Problem, standby: Offer, plan: Plan) -> int:
        wanted = plan.target_now()
        bridge_s = max((o.launch_delay_s for o in problem.offers if o is not standby), default=0.0)
        standby_rps = standby.sustained_rps(standby.launch_delay_s + bridge_s)
        lacking_rps = noticed_rps = billed_rps = 0.0
        for offer in problem.offers:
            fleet = problem.fleet.of(offer.name)
            billed_rps += offer.saturation_rps * fleet.billed
            if offer.name != standby.name:
                serving = fleet.ready - fleet.noticed
                lacking_rps += offer.saturation_rps * (wanted[offer.name] - serving)
                noticed_rps += offer.saturation_rps * fleet.noticed
        last_rps = problem.recent_targets_rps[-1] if problem.recent_targets_rps else 0.0
        lost_rps = max(last_rps - billed_rps, 0.0) if _has_spot(problem) else 0.0
        running_rps = standby_rps * problem.fleet.of(standby.name).billed
        bridged_rps = min(max(noticed_rps + lost_rps, running_rps), max(lacking_rps, 0.0))
        return min(math.ceil(bridged_rps / standby_rps - 1e-9), self.count)


def _has_spot(problem: Problem) -> bool:
    return any(offer.purchase is PurchaseOption.SPOT for offer in problem.offers)
