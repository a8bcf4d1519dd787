"""What happens between two plans: looks, the monitor's reactions, the functions' share."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, final

from markopt.control.deciding import MadeDecision
from markopt.control.memory import RecentActions
from markopt.control.monitor import SloMonitor
from markopt.control.record import MonitorDecision, violation_text
from markopt.control.situation import Situation
from markopt.control.weights import FunctionShare
from markopt.core import Actions, Observation

if TYPE_CHECKING:  # its package loads what the loop itself does not need
    from markopt.cloud.protocol import Backend

REWEIGHTED = "ready instances or their load changed"
"""Why the functions' share is set anew."""


@final
class BetweenPlans:
    """Lets an interval pass, looking every ``period_s`` where there is anything to react with.

    A look whose time an earlier one has already passed (a live cloud, after a slow call or a
    restart) is left out.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        period_s: float,
        situation: Situation,
        memory: RecentActions,
        monitor: SloMonitor | None,
        share: FunctionShare | None,
        prefix: str,
    ) -> None:
        self._backend = backend
        self._period_s = period_s
        self._situation = situation
        self._memory = memory
        self._monitor = monitor
        self._share = share
        self._prefix = prefix

    def pass_time(
        self, begin_s: float, until_s: float, decision: MadeDecision
    ) -> tuple[tuple[MonitorDecision, ...], Observation]:
        """Advance to ``until_s``, the monitor looking in between; return the last observation."""
        period_s = self._period_s
        reactions: list[MonitorDecision] = []
        launched = sum(decision.actions.launch.values())
        spends = decision.plan.spends_misses
        seen = decision.seen
        steps = 1
        if self._monitor is not None or self._share is not None:
            steps = max(math.ceil((until_s - begin_s) / period_s - 1e-9), 1)
        for step in range(1, steps):
            now_s = begin_s + step * period_s
            if seen.time_s > now_s - 1e-6:
                continue
            seen = self._look(now_s)
            self._reweight(seen)
            if self._monitor is None:
                continue
            reaction = self._monitor.react(
                seen,
                decision_id=f"{self._prefix}monitor-{now_s:.3f}",
                launched=launched,
                window=self._situation.window(now_s) if spends else None,
            )
            if reaction is not None:
                share = self._monitor.violation_share
                reaction = replace(reaction, reason=violation_text(share))
                report = self._backend.apply(reaction)
                self._memory.applied(now_s, report)
                self._situation.changed(now_s, report)
                launched += sum(reaction.launch.values())
                reactions.append(MonitorDecision(now_s, share, reaction, report))
        if seen.time_s <= until_s - 1e-6:
            seen = self._look(until_s)
            if self._monitor is not None:
                # The plan that follows at once sees the same counts, and acts for both.
                self._monitor.watch(seen)
        return tuple(reactions), seen

    def _reweight(self, observation: Observation) -> None:
        """Set the functions' share anew where instances have come or gone."""
        if self._share is None:
            return
        share = self._share.change(observation)
        if share is not None:
            name = f"{self._prefix}weights-{observation.time_s:.3f}"
            actions = Actions(name, function_share=share, reason=REWEIGHTED)
            self._share.applied(actions, self._backend.apply(actions))

    def _look(self, now_s: float) -> Observation:
        self._backend.advance(now_s)
        observation = self._memory.complete(self._backend.observe())
        self._situation.count(observation)
        return observation
