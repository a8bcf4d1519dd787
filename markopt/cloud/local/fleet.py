"""The lives of local instances: launch, boot, service, draining, interruption, and their bill."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, final

from markopt.cloud.local.balancer import Balancer
from markopt.cloud.local.fates import Fate, Fates
from markopt.cloud.local.timing import CloudTime
from markopt.errors import BackendError

PENDING_STATES = ("pending", "booting")
_LIVE = ("pending", "booting", "ready", "draining")
_POLL_S = 0.02


@dataclass(frozen=True)
class LocalOffer:
    """What the host needs of an offer: as in ``core.Offer``, and the bouncer's limit per server."""

    name: str
    purchase: str
    price_usd_per_s: float
    minimum_billed_s: float
    launch_delay_s: float
    interruption_per_h: float
    servers: int
    stock: int | None
    queue_limit: int | None
    server: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetSettings:
    """Seed, dispersion of launch delays, notice, and how long draining may take; None: for ever."""

    seed: int
    launch_cv: float
    spot_notice_s: float
    drain_deadline_s: float | None
    leave_before_s: float
    most_instances: int | None


@dataclass
class LocalInstance:
    """One instance; ``names`` are its servers' in the load balancer, ``key`` its process's."""

    instance_id: str
    offer: LocalOffer
    launched_s: float
    state: str = "booting"
    notice: bool = False
    names: tuple[str, ...] = ()
    key: str = ""
    entering: asyncio.Task[None] | None = None
    life: asyncio.Task[None] | None = None
    ending: asyncio.Task[None] | None = None

    def status(self, now_s: float) -> dict[str, Any]:
        """Return what the cloud tells about it: the expected, not the drawn, launch delay."""
        ready_in_s = 0.0
        if self.state in PENDING_STATES:
            # An overdue launch is expected any second, so it is never shown as ready.
            ready_in_s = max(self.launched_s + self.offer.launch_delay_s - now_s, 1.0)
        return {
            "instance_id": self.instance_id,
            "offer": self.offer.name,
            "state": self.state,
            "age_s": max(now_s - self.launched_s, 0.0),
            "ready_in_s": ready_in_s,
            "notice": self.notice,
        }


@dataclass(frozen=True)
class Started:
    """An instance's process, and the port of each of its servers."""

    key: str
    ports: tuple[int, ...]


class Servers(Protocol):
    """Starts and ends the process of an instance: a stand-in, or a real model server."""

    async def start(self, offer: LocalOffer, instance_id: str) -> Started:
        """Return when the process answers requests."""
        ...

    async def end(self, key: str) -> None:
        """Kill it; returns when it is gone."""
        ...


@final
class LocalFleet:
    """The instances of one host.

    Args:
        settings: randomness and rules.
        offers: what can be launched, by name.
        servers: starts their processes.
        balancer: sends them requests.
        time: the cloud's time.
    """

    def __init__(
        self,
        settings: FleetSettings,
        *,
        offers: Mapping[str, LocalOffer],
        servers: Servers,
        balancer: Balancer,
        time: CloudTime,
    ) -> None:
        self._settings = settings
        self.offers = offers
        self._servers = servers
        self._balancer = balancer
        self._time = time
        self._ids = count(1)
        self._fates = Fates(settings.seed, settings.launch_cv)
        self._by_id: dict[str, LocalInstance] = {}
        self._ended_s: dict[str, float] = {}
        self._past_billed_s: dict[str, float] = {}
        self._clearing: set[asyncio.Task[None]] = set()
        self.launches = 0
        self.interruptions = 0

    @property
    def instances(self) -> tuple[LocalInstance, ...]:
        """Instances that are paid for."""
        return tuple(self._by_id.values())

    # --- launch ---

    def launch(self, name: str, number: int) -> tuple[list[str], list[str], bool]:
        """Launch instances; returns ids, why others were refused, and if for want of capacity."""
        offer = self.offers[name]
        launched: list[str] = []
        refused: list[str] = []
        insufficient = False
        for _ in range(number):
            live = sum(one.offer.name == name for one in self._by_id.values())
            most = self._settings.most_instances
            if offer.stock is not None and live >= offer.stock:
                refused.append(f"launch {name}: stock of {offer.stock} is used up")
            elif most is not None and len(self._by_id) >= most:
                refused.append(f"launch {name}: this machine's {most} cores are in use")
                insufficient = True
            else:
                fate = self._fate(offer)
                instance = self._begin(offer)
                instance.life = asyncio.create_task(self._live(instance, fate))
                launched.append(instance.instance_id)
                self.launches += 1
        return launched, refused, insufficient

    async def add_ready(self, name: str, number: int) -> None:
        """Add instances that are ready at once, as if they had been launched long ago."""
        offer = self.offers[name]
        for _ in range(number):
            fate = self._fate(offer)
            instance = self._begin(offer)
            await self._enter(instance)
            instance.life = asyncio.create_task(self._serve(instance, fate))

    def _fate(self, offer: LocalOffer) -> Fate:
        return self._fates.next(offer.name, offer.launch_delay_s, offer.interruption_per_h)

    def _begin(self, offer: LocalOffer) -> LocalInstance:
        instance = LocalInstance(f"i-{next(self._ids):06d}", offer, self._time.now_s())
        self._by_id[instance.instance_id] = instance
        return instance

    # --- life ---

    async def _live(self, instance: LocalInstance, fate: Fate) -> None:
        await self._time.sleep_until(instance.launched_s + fate.delay_s)
        try:
            await self._enter(instance)
        except BackendError as error:
            print(f"{instance.instance_id}: {error}", file=sys.stderr)  # noqa: T201 - the host's log
            await self._end(instance, "terminated")
            return
        await self._serve(instance, fate)

    async def _enter(self, instance: LocalInstance) -> None:
        """Start the process and send it requests; whoever ends the instance waits for that."""
        instance.entering = asyncio.create_task(self._start(instance))
        await asyncio.shield(instance.entering)

    async def _start(self, instance: LocalInstance) -> None:
        started = await self._servers.start(instance.offer, instance.instance_id)
        instance.key = started.key
        for at, port in enumerate(started.ports):
            name = f"{instance.instance_id}-{at}"
            await self._balancer.add(name, port, instance.offer.queue_limit)
            instance.names = (*instance.names, name)
        if instance.state == "booting":
            instance.state = "ready"

    async def _serve(self, instance: LocalInstance, fate: Fate) -> None:
        """Wait for the interruption, if one comes: notice, draining in time, end."""
        if not math.isfinite(fate.noticed_s):
            return
        await self._time.sleep_until(instance.launched_s + fate.noticed_s)
        await self.interrupt(instance.instance_id)

    async def interrupt(self, instance_id: str) -> None:
        """Announce an interruption and act it out: whatever is unanswered at its end is lost."""
        instance = self._by_id.get(instance_id)
        if instance is None or instance.notice:
            return
        instance.notice = True
        self.interruptions += 1
        taken_s = self._time.now_s() + self._settings.spot_notice_s
        await self._time.sleep_until(taken_s - self._settings.leave_before_s)
        if instance.names and instance.state == "ready":
            instance.state = "draining"
            await self._balancer.drain(instance.names)
        await self._time.sleep_until(taken_s)
        await self._end(instance, "interrupted")

    def terminate(self, instance_id: str) -> str | None:
        """Drain an instance and end it; returns why not, None where it is being done."""
        instance = self._by_id.get(instance_id)
        if instance is None:
            # To end again what has ended is no error.
            known = instance_id in self._ended_s
            return None if known else f"terminate {instance_id}: no such instance"
        if instance.ending is None:
            if instance.life is not None and not instance.notice:
                instance.life.cancel()
            instance.state = "draining"
            instance.ending = asyncio.create_task(self._drain_and_end(instance))
        return None

    async def _drain_and_end(self, instance: LocalInstance) -> None:
        await self._entered(instance)
        if instance.names:
            await self._balancer.drain(instance.names)
            limit_s = self._settings.drain_deadline_s
            until_s = math.inf if limit_s is None else self._time.now_s() + limit_s
            while self._time.now_s() < until_s and not self._is_gone(instance):
                if not await self._balancer.unanswered(instance.names):
                    break
                await asyncio.sleep(_POLL_S)
        await self._end(instance, "terminated")

    def _is_gone(self, instance: LocalInstance) -> bool:
        return instance.instance_id not in self._by_id

    async def _entered(self, instance: LocalInstance) -> None:
        if instance.entering is not None:
            await asyncio.wait({instance.entering})

    async def _end(self, instance: LocalInstance, state: str) -> None:
        await self._entered(instance)
        if self._is_gone(instance):
            return
        instance.state = state
        self._ended_s[instance.instance_id] = self._time.now_s()
        del self._by_id[instance.instance_id]
        self._bill_ended(instance)
        if instance.names:
            await self._balancer.stop(instance.names)
        if instance.key:
            await self._servers.end(instance.key)
        clearing = asyncio.create_task(self._clear(instance.names))
        self._clearing.add(clearing)
        clearing.add_done_callback(self._clearing.discard)

    async def _clear(self, names: Sequence[str]) -> None:
        """Have the load balancer forget servers, which it does once their connections are gone."""
        for name in names:
            for _ in range(50):
                if await self._balancer.delete(name):
                    break
                await asyncio.sleep(0.1)

    def vanished(self, key: str) -> None:
        """Take note that a process has ended by itself: its instance is lost."""
        for instance in self.instances:
            if instance.key == key and instance.ending is None:
                if instance.life is not None:
                    instance.life.cancel()
                instance.ending = asyncio.create_task(self._end(instance, "interrupted"))

    async def end_all(self) -> None:
        """End every instance now."""
        for instance in self.instances:
            if instance.life is not None:
                instance.life.cancel()
            if instance.ending is not None:
                instance.ending.cancel()
        for instance in self.instances:
            with contextlib.suppress(BackendError):
                await self._end(instance, "terminated")

    # --- bill ---

    def _bill_ended(self, instance: LocalInstance) -> None:
        name = instance.offer.name
        life_s = self._ended_s[instance.instance_id] - instance.launched_s
        self._past_billed_s[name] = self._past_billed_s.get(name, 0.0) + max(
            life_s, instance.offer.minimum_billed_s
        )

    def billed_s(self, now_s: float) -> dict[str, float]:
        """Return the instance-seconds billed so far, by offer."""
        billed_s = dict.fromkeys(self.offers, 0.0) | self._past_billed_s
        for instance in self.instances:
            billed_s[instance.offer.name] += max(now_s - instance.launched_s, 0.0)
        return billed_s

    def cost_usd(self, now_s: float) -> dict[str, float]:
        """Return the cost so far, by purchase option."""
        cost = {offer.purchase: 0.0 for offer in self.offers.values()}
        for name, seconds in self.billed_s(now_s).items():
            offer = self.offers[name]
            cost[offer.purchase] += seconds * offer.price_usd_per_s
        return cost
