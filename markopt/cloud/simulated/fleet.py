"""The lives of instances: launch, boot, service, draining, interruption, and their bill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, final

import numpy as np

from markopt.cloud.simulated.bill import InstanceBill
from markopt.cloud.simulated.boot import Launch, LaunchDraws
from markopt.cloud.simulated.clock import Clock
from markopt.cloud.simulated.instance import Instance
from markopt.cloud.simulated.life import InstanceLife, Lives
from markopt.cloud.simulated.markets import Market
from markopt.cloud.simulated.settings import SimulationSettings
from markopt.cloud.simulated.shortage import Shortages
from markopt.core import InstanceState, InstanceStatus, Offer, PurchaseOption
from markopt.engine import RequestEngine

_LIVE = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY, InstanceState.DRAINING)


class LaunchOutcome(NamedTuple):
    """What became of launches: ids, why others were refused, and if for want of capacity."""

    ids: list[str]
    refused: list[str]
    insufficient: bool


@final
class Fleet:
    """The instances of a simulated cloud; puts their servers into the engine while they are ready.

    Args:
        settings: rules and random processes.
        offers: what can be launched; the engine's server kinds, in the same order.
        engine: serves the requests.
        market: interrupts spot instances, and refuses them.
        shortages: refuse instances that are not spot.
        launches: draw launch delays, and which launches fail.
        clock: the time, on which the fleet schedules what is to become of its instances.
        longest_answer_s: how long before an interruption an instance leaves the balancer.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        *,
        offers: Sequence[Offer],
        engine: RequestEngine,
        market: Market,
        shortages: Shortages,
        launches: LaunchDraws,
        clock: Clock,
        longest_answer_s: float,
    ) -> None:
        self._settings = settings
        self._kind = {offer.name: row for row, offer in enumerate(offers)}
        self._engine = engine
        self._market = market
        self._shortages = shortages
        self._draws = launches
        self._clock = clock
        self._longest_answer_s = longest_answer_s
        self.bill = InstanceBill(offers, market.tariff)
        self.lives = Lives()
        self._instances: dict[str, Instance] = {}
        self._left: dict[str, list[tuple[int, int]]] = {}
        self._ids = count(1)
        self.launches = 0
        self.interruptions = 0
        for pool in market.pools:
            self._schedule_shock(pool, clock.now_s)

    def statuses(self) -> tuple[InstanceStatus, ...]:
        """Return what the cloud tells about each live instance."""
        return tuple(one.status(self._clock.now_s) for one in self._instances.values())

    def status(self, instance_id: str) -> InstanceStatus | None:
        """Return what the cloud tells about one instance; None: it is not alive."""
        instance = self._instances.get(instance_id)
        return None if instance is None else instance.status(self._clock.now_s)

    # --- launch ---

    def launch(self, offer: Offer, number: int) -> LaunchOutcome:
        """Launch instances; returns the ids of those launched, and why others were refused."""
        launched: list[str] = []
        refused: list[str] = []
        live = sum(instance.offer.name == offer.name for instance in self._instances.values())
        staying = sum(not instance.notice for instance in self._spot_instances(offer.pool))
        insufficient = False
        for _ in range(number):
            if offer.stock is not None and live + len(launched) >= offer.stock:
                refused.append(f"launch {offer.name}: stock of {offer.stock} is used up")
            elif not self._market.available(offer, self._clock.now_s, staying + len(launched)):
                reason = self._market.refusal(offer, self._clock.now_s)
                refused.append(f"launch {offer.name}: {reason}")
                insufficient = True
            elif not self._shortages.gives(offer, self._clock.now_s):
                refused.append(f"launch {offer.name}: insufficient capacity in pool {offer.pool}")
                insufficient = True
            else:
                launched.append(self._start(offer, self._draws.next(offer)).instance_id)
                self.launches += 1
        return LaunchOutcome(launched, refused, insufficient)

    def add_ready(self, offer: Offer) -> None:
        """Add an instance that is ready at once, as if it had been launched long ago."""
        self._become_ready(self._start(offer, Launch(0.0, fails=False)))

    def _start(self, offer: Offer, launch: Launch) -> Instance:
        now_s = self._clock.now_s
        pending_s = min(self._settings.launch.pending_s, launch.delay_s)
        instance = Instance(
            instance_id=f"i-{next(self._ids):06d}",
            offer=offer,
            launched_s=now_s,
            billed_from_s=now_s + pending_s,
            ready_s=math.inf if launch.fails else now_s + launch.delay_s,
            state=InstanceState.PENDING if pending_s > 0.0 else InstanceState.BOOTING,
        )
        self._instances[instance.instance_id] = instance
        self.lives.begin(InstanceLife(instance.instance_id, offer.name, now_s, instance.state))
        if pending_s > 0.0:
            self._clock.schedule(now_s + pending_s, lambda: self._boot(instance))
        else:
            self._boot(instance)
        if launch.fails:
            # Found out at a health check, whoever launched it.
            found_s = now_s + launch.delay_s
            terminated = InstanceState.TERMINATED
            self._clock.schedule(found_s, lambda: self._end(instance, terminated))
        else:
            self._clock.schedule(instance.ready_s, lambda: self._become_ready(instance))
        interrupted_s = self._market.own_interruption_s(offer, now_s)
        self._clock.schedule(interrupted_s, lambda: self._give_notice(instance))
        return instance

    def _boot(self, instance: Instance) -> None:
        """Begin to boot, and to bill."""
        if instance.state in (InstanceState.PENDING, InstanceState.BOOTING):
            instance.state = InstanceState.BOOTING
            self.bill.start(instance)
            self.lives.note(
                instance.instance_id,
                running_s=instance.billed_from_s,
                state=InstanceState.BOOTING,
            )

    def _become_ready(self, instance: Instance) -> None:
        if instance.state not in (InstanceState.PENDING, InstanceState.BOOTING):
            return
        instance.state = InstanceState.READY
        kind = self._kind[instance.offer.name]
        for _ in range(instance.offer.servers):
            server = self._engine.add_server(kind, self._clock.now_s)
            self._engine.take_server_at(server, instance.taken_s)
            instance.servers.append(server)
        self.lives.note(instance.instance_id, ready_s=self._clock.now_s, state=InstanceState.READY)

    # --- end ---

    def terminate(self, instance_id: str) -> str | None:
        """Drain an instance, then end it; returns why not, None where it is done.

        What it has not answered at the drain deadline is lost.
        """
        instance = self._instances.get(instance_id)
        if instance is None:
            return f"terminate {instance_id}: no such instance"
        if instance.state is InstanceState.READY:
            limit_s = self._settings.drain_deadline_s
            deadline_s = math.inf if limit_s is None else self._clock.now_s + limit_s
            for server in instance.servers:
                self._engine.take_server_at(server, deadline_s)
            ends_s = min(max(self._drain(instance), self._clock.now_s), deadline_s)
            self._clock.schedule(ends_s, lambda: self._end(instance, InstanceState.TERMINATED))
        elif instance.state is not InstanceState.DRAINING:
            self._end(instance, InstanceState.TERMINATED)
        return None

    def end_all(self) -> None:
        """End every instance now."""
        for instance in list(self._instances.values()):
            self._end(instance, InstanceState.TERMINATED)

    def _drain(self, instance: Instance) -> float:
        """Take an instance out of service; return when its last request is answered."""
        ends_s = -math.inf
        left: list[tuple[int, int]] = []
        for server in instance.servers:
            left.append((server, self._engine.life(server)))
            ends_s = max(ends_s, self._engine.remove_server(server))
        if left:
            self._left[instance.instance_id] = left
            self.lives.note(instance.instance_id, left_s=self._clock.now_s)
        instance.servers.clear()
        instance.state = InstanceState.DRAINING
        self.lives.note(instance.instance_id, state=InstanceState.DRAINING)
        return ends_s

    def _end(self, instance: Instance, state: InstanceState) -> None:
        if instance.state not in _LIVE:
            return
        self._drain(instance)
        instance.state = state
        self.bill.end(instance, self._clock.now_s)
        self.lives.note(instance.instance_id, ended_s=self._clock.now_s, state=state)
        self._left.pop(instance.instance_id, None)
        del self._instances[instance.instance_id]

    # --- spot ---

    def _schedule_shock(self, pool: str, after_s: float) -> None:
        shock_s = self._market.next_shock_s(pool, after_s)
        self._clock.schedule(shock_s, lambda: self._shock(pool))

    def _spot_instances(self, pool: str) -> list[Instance]:
        return [
            instance
            for instance in self._instances.values()
            if instance.offer.pool == pool and instance.offer.purchase is PurchaseOption.SPOT
        ]

    def _shock(self, pool: str) -> None:
        exposed = self._spot_instances(pool)
        noticed = np.array([instance.notice for instance in exposed], dtype=np.bool_)
        taken = self._market.strike(pool, noticed, self._clock.now_s)
        for instance, hit in zip(exposed, taken, strict=True):
            if hit:
                self._give_notice(instance)
        self._schedule_shock(pool, self._clock.now_s)

    def _give_notice(self, instance: Instance) -> None:
        """Announce an interruption: the instance serves on, drains in time, and is taken."""
        if instance.notice or instance.state not in _LIVE:
            return
        instance.notice = True
        self.interruptions += 1
        now_s = self._clock.now_s
        instance.taken_s = now_s + self._settings.spot_notice_s
        for server in instance.servers:
            self._engine.take_server_at(server, instance.taken_s)
        for server, life in self._left.get(instance.instance_id, []):
            self._engine.take_removed_server_at(server, life, instance.taken_s)
        leaves_s = max(instance.taken_s - self._longest_answer_s, now_s)
        self._clock.schedule(leaves_s, lambda: self._leave(instance))
        interrupted = InstanceState.INTERRUPTED
        self._clock.schedule(instance.taken_s, lambda: self._end(instance, interrupted))

    def _leave(self, instance: Instance) -> None:
        """Take a noticed instance out of service early enough to answer all that it holds.

        One that still boots does not enter service any more.
        """
        if instance.state in _LIVE:
            self._drain(instance)
