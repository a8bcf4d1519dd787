"""Between decisions: into service, out of service, drained, ended, warned, and given up."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

from markopt.cloud.aws.balancer import Balancer
from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.instances import InstanceCalls
from markopt.cloud.aws.notices import NoticeQueue, marked_requests
from markopt.cloud.aws.tags import (
    AT_RISK,
    ENDED_BY,
    LAUNCHED,
    LEAVING,
    NOTICE,
    TaggedInstance,
)

SPOT_NOTICE_S = 120.0
"""From the notice of an interruption to the interruption (AWS)."""

_log = logging.getLogger(__name__)


@final
class Tending:
    """Moves every instance on to where its tags say that it should be.

    Level-triggered: what fails is done at the next look, by whoever is there then.

    Args:
        calls: makes the calls of spot requests.
        instances: EC2.
        balancer: who is in service.
        queue: of notices; None: there is none.
        by_launch_time: EC2's launch times are on the deployment's clock; else a tag tells.
        drain_deadline_s: an instance is ended so long after it left service at the latest.
        boot_deadline_s: one that is unhealthy for so long is ended.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        instances: InstanceCalls,
        balancer: Balancer,
        queue: NoticeQueue | None,
        by_launch_time: bool,
        drain_deadline_s: float,
        boot_deadline_s: float,
    ) -> None:
        self._calls = calls
        self._instances = instances
        self._balancer = balancer
        self._queue = queue
        self._by_launch_time = by_launch_time
        self._drain_deadline_s = drain_deadline_s
        self._boot_deadline_s = boot_deadline_s
        self._first_seen_s: dict[str, float] = {}
        self._unhealthy_since_s: dict[str, float] = {}
        self.interrupted: set[str] = set()

    def launched(self, instance_ids: Sequence[str], now_s: float) -> None:
        """Note when instances were launched; in a tag where EC2's clock is another one."""
        self._first_seen_s |= dict.fromkeys(instance_ids, now_s)
        if instance_ids and not self._by_launch_time:
            try:
                self._instances.tag(instance_ids, {LAUNCHED: f"{now_s:.3f}"})
            except CallFailed as error:
                _log.warning("launch times are tagged at the next look: %s", error)

    def first_seen(self, instance_id: str, now_s: float) -> float:
        """Return when an instance was first seen, which stands for its launch."""
        return self._first_seen_s.setdefault(instance_id, now_s)

    def leave(self, instance_ids: Sequence[str], now_s: float, ended_by: str) -> None:
        """Tag instances as on their way out: from then on nothing keeps them.

        Raises:
            CallFailed: EC2 refuses or does not answer.
        """
        if instance_ids:
            self._instances.tag(instance_ids, {LEAVING: f"{now_s:.3f}", ENDED_BY: ended_by})

    def tend(
        self, seen: Mapping[str, TaggedInstance], health: Mapping[str, str], now_s: float
    ) -> dict[str, TaggedInstance]:
        """Do what is due; return the instances with what their tags say now."""
        instances = dict(seen)
        for step in (self._tag_launches, self._take_notices, self._give_up, self._leave_in_time):
            try:
                instances = step(instances, health, now_s)
            except CallFailed as error:
                _log.warning("left for the next look: %s", error)
        ours = [one for one in instances.values() if one.state == "running"]
        try:
            self._balancer.register(
                [
                    one.instance_id
                    for one in ours
                    if one.leaving_s is None and health.get(one.instance_id, "unused") == "unused"
                ]
            )
        except CallFailed as error:
            _log.warning("left for the next look: %s", error)
        self.drain(instances, health, now_s)
        return instances

    def drain(
        self, instances: Mapping[str, TaggedInstance], health: Mapping[str, str], now_s: float
    ) -> None:
        """Take what is leaving out of service, and end what has answered all or is too late."""
        leaving = [one for one in instances.values() if one.alive and one.leaving_s is not None]
        serving = [
            one.instance_id
            for one in leaving
            if health.get(one.instance_id, "unused") not in ("unused", "draining")
        ]
        over = [
            one.instance_id
            for one in leaving
            if health.get(one.instance_id, "unused") == "unused"
            or now_s - (one.leaving_s or 0.0) >= self._drain_deadline_s
        ]
        try:
            self._balancer.deregister(serving)
            self._instances.terminate(over)
        except CallFailed as error:
            _log.warning("left for the next look: %s", error)

    # --- steps ---

    def _tag_launches(
        self, instances: dict[str, TaggedInstance], _: Mapping[str, str], now_s: float
    ) -> dict[str, TaggedInstance]:
        """Give those a launch time that lack one: launched right before a crash, or by hand."""
        lacking = [i for i, one in instances.items() if one.alive and one.launched_s is None]
        for instance_id in lacking:
            launched_s = self.first_seen(instance_id, now_s)
            self._instances.tag([instance_id], {LAUNCHED: f"{launched_s:.3f}"})
            instances[instance_id] = replace(instances[instance_id], launched_s=launched_s)
        return instances

    def _take_notices(
        self, instances: dict[str, TaggedInstance], _: Mapping[str, str], now_s: float
    ) -> dict[str, TaggedInstance]:
        """Tag those that will be taken, and those that AWS advises to replace."""
        receipts: list[str] = []
        told: set[str] = set()
        at_risk: set[str] = set()
        if self._queue is not None:
            notices, receipts = self._queue.receive()
            told = {notice.instance_id for notice in notices if notice.certain}
            at_risk = {notice.instance_id for notice in notices if not notice.certain}
        requests = {
            one.spot_request_id: one.instance_id
            for one in instances.values()
            if one.alive and one.spot_request_id and one.notice_s is None
        }
        if requests:
            marked = marked_requests(self._calls, sorted(requests))
            told |= {requests[request] for request in marked}
        alive = {name for name, one in instances.items() if one.alive}
        new = sorted(name for name in told & alive if instances[name].notice_s is None)
        if new:
            self._instances.tag(new, {NOTICE: f"{now_s:.3f}"})
            self.interrupted |= set(new)
            instances |= {name: replace(instances[name], notice_s=now_s) for name in new}
        new = sorted(name for name in at_risk & alive if not instances[name].noticed)
        if new:
            self._instances.tag(new, {AT_RISK: f"{now_s:.3f}"})
            instances |= {name: replace(instances[name], at_risk_s=now_s) for name in new}
        if self._queue is not None:
            self._queue.done(receipts)
        return instances

    def _give_up(
        self, instances: dict[str, TaggedInstance], health: Mapping[str, str], now_s: float
    ) -> dict[str, TaggedInstance]:
        """Let go of those that stay unhealthy, or that EC2 itself finds impaired.

        One that was healthy and is no more gets as long to recover as one that boots.
        """
        self._unhealthy_since_s = {
            name: self._unhealthy_since_s.get(name, now_s)
            for name, one in instances.items()
            if one.state == "running" and one.leaving_s is None and health.get(name) != "healthy"
        }
        for_s = {name: now_s - since_s for name, since_s in self._unhealthy_since_s.items()}
        overdue = {name for name, span_s in for_s.items() if span_s > self._boot_deadline_s}
        late = [name for name, span_s in for_s.items() if span_s > 0.5 * self._boot_deadline_s]
        hopeless = sorted(overdue | self._instances.impaired(late))
        return self._let_go(instances, hopeless, now_s, "unhealthy")

    def _leave_in_time(
        self, instances: dict[str, TaggedInstance], _: Mapping[str, str], now_s: float
    ) -> dict[str, TaggedInstance]:
        """Take noticed ones out of service early enough to answer all that they have."""
        last_s = max(SPOT_NOTICE_S - self._drain_deadline_s, 0.5 * SPOT_NOTICE_S)
        due = sorted(
            name
            for name, one in instances.items()
            if one.alive
            and one.leaving_s is None
            and one.notice_s is not None
            and now_s - one.notice_s >= last_s
        )
        return self._let_go(instances, due, now_s, "interruption")

    def _let_go(
        self, instances: dict[str, TaggedInstance], names: Sequence[str], now_s: float, why: str
    ) -> dict[str, TaggedInstance]:
        if names:
            _log.warning("%s: %s", why, ", ".join(names))
            self.leave(names, now_s, why)
            for name in names:
                instances[name] = replace(instances[name], leaving_s=now_s, ended_by=why)
        return instances
