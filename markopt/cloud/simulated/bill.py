"""What instances cost: per second or per hour begun, at constant prices or at the market's."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Protocol, final

from markopt.cloud.simulated.instance import Instance
from markopt.core import InstanceState, Offer

HOUR_S = 3600.0


class Tariff(Protocol):
    """The running bill of one offer's instances, told of every begin and end, asked at any time.

    Times never fall from call to call.
    """

    def start(self, instance_id: str, from_s: float) -> None:
        """Begin to bill an instance."""
        ...

    def end(self, instance_id: str, end_s: float, *, interrupted: bool) -> None:
        """Stop billing an instance; ``interrupted``: the cloud took it."""
        ...

    def billed_s(self, now_s: float) -> float:
        """Return the instance-seconds that have been billed so far."""
        ...

    def cost_usd(self, now_s: float) -> float:
        """Return what they cost."""
        ...


@final
class PerSecond:
    """Each second costs the price of that second; an instance that ran at all, ``minimum_s``.

    Any query costs as much as one of ``integral``, however many instances run.

    Args:
        price_usd_per_s: the price where it is constant.
        minimum_s: shortest billed life.
        integral: the price's integral in USD from a fixed time on; None: the price is constant.
    """

    def __init__(
        self,
        price_usd_per_s: float,
        minimum_s: float,
        integral: Callable[[float], float] | None = None,
    ) -> None:
        self._price_usd_per_s = price_usd_per_s
        self._minimum_s = minimum_s
        self._integral = integral
        self._from_s: dict[str, float] = {}
        self._sum_from_s = 0.0
        self._sum_from_usd = 0.0
        self._ended_s = 0.0
        self._ended_usd = 0.0

    def start(self, instance_id: str, from_s: float) -> None:
        """Begin to bill an instance."""
        self._from_s[instance_id] = from_s
        self._sum_from_s += from_s
        if self._integral is not None:
            self._sum_from_usd += self._integral(from_s)

    def end(self, instance_id: str, end_s: float, *, interrupted: bool) -> None:
        """Stop billing an instance. One ended as billing began costs nothing."""
        from_s = self._from_s.pop(instance_id)
        self._sum_from_s -= from_s
        billed_s = max(end_s - from_s, self._minimum_s) if end_s > from_s else 0.0
        self._ended_s += billed_s
        if self._integral is not None:
            until_from_usd = self._integral(from_s)
            self._sum_from_usd -= until_from_usd
            self._ended_usd += self._integral(from_s + billed_s) - until_from_usd

    def billed_s(self, now_s: float) -> float:
        """Return the instance-seconds that have been billed so far."""
        return self._ended_s + len(self._from_s) * now_s - self._sum_from_s

    def cost_usd(self, now_s: float) -> float:
        """Return what they cost."""
        if self._integral is None:
            return self.billed_s(now_s) * self._price_usd_per_s
        running_usd = len(self._from_s) * self._integral(now_s) - self._sum_from_usd
        return self._ended_usd + running_usd


@final
class PerHour:
    """Each hour that an instance begins costs the price at its begin (EC2 until October 2017).

    Its hours count from where its billing began. The last hour of an interrupted instance, unless
    whole, is credited back when it is taken. Every instance-hour is looked at once.

    Args:
        price_usd_per_s: the price at a time.
    """

    def __init__(self, price_usd_per_s: Callable[[float], float]) -> None:
        self._price_usd_per_s = price_usd_per_s
        self._next: list[tuple[float, str, int]] = []
        self._from_s: dict[str, float] = {}
        self._last: dict[str, tuple[float, float]] = {}
        self._hours = 0
        self._usd = 0.0

    def start(self, instance_id: str, from_s: float) -> None:
        """Begin to bill an instance: its first hour begins."""
        self._from_s[instance_id] = from_s
        heapq.heappush(self._next, (from_s, instance_id, 0))

    def end(self, instance_id: str, end_s: float, *, interrupted: bool) -> None:
        """Stop billing an instance. One ended as billing began costs nothing."""
        self._begin_hours(end_s)
        del self._from_s[instance_id]
        began_s, usd = self._last.pop(instance_id)
        if began_s >= end_s or (interrupted and end_s < began_s + HOUR_S):
            self._hours -= 1
            self._usd -= usd

    def billed_s(self, now_s: float) -> float:
        """Return the instance-seconds that have been billed so far: whole hours."""
        self._begin_hours(now_s)
        return self._hours * HOUR_S

    def cost_usd(self, now_s: float) -> float:
        """Return what they cost."""
        self._begin_hours(now_s)
        return self._usd

    def _begin_hours(self, now_s: float) -> None:
        """Charge the hours that have begun by now."""
        while self._next and self._next[0][0] <= now_s:
            began_s, instance_id, number = heapq.heappop(self._next)
            from_s = self._from_s.get(instance_id)
            if from_s is None:
                continue
            usd = self._price_usd_per_s(began_s) * HOUR_S
            self._hours += 1
            self._usd += usd
            self._last[instance_id] = (began_s, usd)
            heapq.heappush(self._next, (from_s + (number + 1) * HOUR_S, instance_id, number + 1))


@final
class InstanceBill:
    """What instances cost so far, by offer, each at a tariff of its own."""

    def __init__(self, offers: Iterable[Offer], tariff: Callable[[Offer], Tariff]) -> None:
        on_sale = tuple(offers)
        self._tariff = {offer.name: tariff(offer) for offer in on_sale}
        self._purchase = {offer.name: offer.purchase.value for offer in on_sale}
        self._used: dict[str, Tariff] = {}

    def start(self, instance: Instance) -> None:
        """Begin to bill an instance, at its ``billed_from_s``."""
        instance.billed = True
        name = instance.offer.name
        tariff = self._used[name] = self._tariff[name]
        tariff.start(instance.instance_id, instance.billed_from_s)

    def end(self, instance: Instance, end_s: float) -> None:
        """Stop billing an instance. One ended before billing began costs nothing."""
        if instance.billed:
            interrupted = instance.state is InstanceState.INTERRUPTED
            tariff = self._tariff[instance.offer.name]
            tariff.end(instance.instance_id, end_s, interrupted=interrupted)

    def billed_s(self, now_s: float) -> dict[str, float]:
        """Return billed instance-seconds per offer."""
        return {name: tariff.billed_s(now_s) for name, tariff in self._tariff.items()}

    def cost_usd(self, now_s: float) -> dict[str, float]:
        """Return cost per purchase option."""
        cost = dict.fromkeys(self._purchase.values(), 0.0)
        for name, tariff in self._used.items():  # asked every few seconds: few are in use
            cost[self._purchase[name]] += tariff.cost_usd(now_s)
        return cost
