"""The loop's own actions, remembered until what is observed shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from markopt.core import (
    ActionReport,
    InstanceState,
    InstanceStatus,
    Observation,
    Offer,
)

_ON_THE_WAY_OUT = (
    InstanceState.DRAINING,
    InstanceState.TERMINATED,
    InstanceState.INTERRUPTED,
)


@final
class RecentActions:
    """Completes observations of a cloud that is eventually consistent.

    Right after a launch a cloud may not list the new instance yet, and may still list one as
    running that was told to end. Who believes that launches twice, and ends twice. So an instance
    that was launched counts as booting until it is first listed, and one that was told to end as
    draining, for ``remember_s`` at most: by then what is listed is believed.
    """

    def __init__(self, offers: Sequence[Offer], *, remember_s: float) -> None:
        self._launch_delay_s = {offer.name: offer.launch_delay_s for offer in offers}
        self._remember_s = remember_s
        self._launched: dict[str, tuple[str, float]] = {}
        self._ended_s: dict[str, float] = {}

    def applied(self, time_s: float, report: ActionReport) -> None:
        """Remember what became of actions at ``time_s``."""
        for offer, ids in report.launched.items():
            self._launched |= dict.fromkeys(ids, (offer, time_s))
        self._ended_s |= dict.fromkeys(report.terminated, time_s)

    def complete(self, observation: Observation) -> Observation:
        """Return the observation with the loop's own actions in it."""
        if not self._launched and not self._ended_s:
            return observation
        now_s, listed = observation.time_s, {i.instance_id for i in observation.instances}
        after_s = now_s - self._remember_s
        self._launched = {
            name: entry
            for name, entry in self._launched.items()
            if name not in listed and entry[1] > after_s
        }
        self._ended_s = {i: time_s for i, time_s in self._ended_s.items() if time_s > after_s}
        instances = [self._believed(instance) for instance in observation.instances]
        instances += [
            self._believed(self._booting(name, offer, now_s - time_s))
            for name, (offer, time_s) in self._launched.items()
        ]
        if instances == list(observation.instances):
            return observation
        return replace(observation, instances=tuple(instances))

    def _believed(self, instance: InstanceStatus) -> InstanceStatus:
        if instance.instance_id not in self._ended_s or instance.state in _ON_THE_WAY_OUT:
            return instance
        return replace(instance, state=InstanceState.DRAINING, ready_in_s=0.0)

    def _booting(self, name: str, offer: str, age_s: float) -> InstanceStatus:
        rest_s = max(self._launch_delay_s.get(offer, 0.0) - age_s, 1.0)
        return InstanceStatus(name, offer, InstanceState.BOOTING, age_s, rest_s)
