"""The limits of a problem, each of which can be stated, relaxed by one useful unit, or lifted."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from markopt.core import Limits, Offer, Problem, PurchaseOption, Slo
from markopt.planning.explanation.measure import LATE_TOLERANCE, Measured
from markopt.planning.explanation.words import count, lasting_count, listed, percent
from markopt.planning.requirement import function_in_time, meets_slo

UNLIMITED = 10**9
NEARLY_SHARE = 0.8


class Limit(Protocol):
    """One limit that a user, a contract or an account sets."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words, with its value."""
        ...

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without the limit."""
        ...


class PricedLimit(Limit, Protocol):
    """A limit that can be bought off, unit by unit."""

    def use(self, measured: Measured) -> str:
        """Return how much of it a plan uses at most, in words."""
        ...

    def binds(self, measured: Measured) -> bool:
        """Return whether less than a unit of it is left by a plan."""
        ...

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return a useful unit more in words, and the problem with it."""
        ...


@dataclass(frozen=True)
class Stock:
    """How many instances of some offers can be had."""

    offers: tuple[str, ...]

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        if len(self.offers) == 1:
            return f"stock of {problem.offer(self.offers[0]).stock:,} {self.offers[0]}"
        return f"stock of {len(self.offers):,} offers ({listed(self.offers, 3)})"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        return _with_offers(problem, self.offers, stock=None)

    def use(self, measured: Measured) -> str:
        """Return the most that a plan bills at once, in words."""
        return f"{self.billed(measured):,} of {self._limit(measured):,} {self.offers[0]} in stock"

    def binds(self, measured: Measured) -> bool:
        """Return whether all are billed at some time."""
        return self.billed(measured) >= self._limit(measured)

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return one instance more."""
        more = self._limit(measured) + 1
        problem = _with_offers(measured.problem, self.offers, stock=more)
        return f"one more {self.offers[0]} of stock (now {more - 1:,})", problem

    def _limit(self, measured: Measured) -> int:
        stock = measured.problem.offer(self.offers[0]).stock or 0
        return max(stock, lasting_count(measured.problem, self.offers[0]))

    def billed(self, measured: Measured) -> int:
        """Return the most that a plan bills at once."""
        row = measured.plan.offers.index(self.offers[0])
        return int(measured.plan.targets[row, : measured.problem.horizon].max())


@dataclass(frozen=True)
class VcpuQuota:
    """How many vCPUs the account may run at once."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        return f"vCPU quota of {problem.limits.max_vcpus:,.6g}"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        return replace(problem, limits=replace(problem.limits, max_vcpus=None))

    def use(self, measured: Measured) -> str:
        """Return the most that a plan runs at once."""
        return f"{self._used(measured):,.6g} of {self._limit(measured):,.6g} vCPUs"

    def binds(self, measured: Measured) -> bool:
        """Return whether another instance of the smallest offer does not fit."""
        smallest = min((o.vcpus for o in candidates(measured.problem)), default=0.0)
        return self._used(measured) + smallest > self._limit(measured) + 1e-9

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return room for one more of the offer that uses most of it."""
        offer = self._main_offer(measured)
        limits = replace(measured.problem.limits, max_vcpus=self._limit(measured) + offer.vcpus)
        words = (
            f"{count(offer.vcpus, 'more vCPU')} of quota (now {self._limit(measured):,.6g}; room "
            f"for one {offer.name})"
        )
        return words, replace(measured.problem, limits=limits)

    def _limit(self, measured: Measured) -> float:
        running = sum(
            o.vcpus * lasting_count(measured.problem, o.name) for o in measured.problem.offers
        )
        return max(measured.problem.limits.max_vcpus or 0.0, running)

    def _used(self, measured: Measured) -> float:
        vcpus = np.array([offer.vcpus for offer in measured.problem.offers])
        targets = measured.plan.targets[:, : measured.problem.horizon]
        return float((vcpus @ targets).max()) if len(vcpus) else 0.0

    @staticmethod
    def _main_offer(measured: Measured) -> Offer:
        targets = measured.plan.targets.max(axis=1).tolist()
        used = dict(zip(measured.plan.offers, targets, strict=True))
        return max(
            candidates(measured.problem),
            key=lambda o: (o.vcpus * used[o.name], o.saturation_rps / o.vcpus, o.name),
        )


@dataclass(frozen=True)
class PoolQuota:
    """How many instances of all offers of a pool may be billed at once."""

    pool: str

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        return f"quota of {problem.limits.max_instances_by_pool[self.pool]:,} for pool {self.pool}"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        quotas = problem.limits.max_instances_by_pool
        return self._with(problem, {p: n for p, n in quotas.items() if p != self.pool})

    def use(self, measured: Measured) -> str:
        """Return the most that a plan bills at once in the pool, in words."""
        return f"{self._billed(measured):,} of {self._limit(measured):,} in pool {self.pool}"

    def binds(self, measured: Measured) -> bool:
        """Return whether all are billed at some time."""
        return self._billed(measured) >= self._limit(measured)

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return one instance more."""
        more = self._limit(measured) + 1
        quotas = {**measured.problem.limits.max_instances_by_pool, self.pool: more}
        words = f"one more instance of quota for pool {self.pool} (now {more - 1:,})"
        return words, self._with(measured.problem, quotas)

    @staticmethod
    def _with(problem: Problem, quotas: dict[str, int]) -> Problem:
        return replace(problem, limits=replace(problem.limits, max_instances_by_pool=quotas))

    def _names(self, problem: Problem) -> list[str]:
        return [offer.name for offer in problem.offers if offer.pool == self.pool]

    def _limit(self, measured: Measured) -> int:
        problem = measured.problem
        running = sum(lasting_count(problem, name) for name in self._names(problem))
        return max(problem.limits.max_instances_by_pool[self.pool], running)

    def _billed(self, measured: Measured) -> int:
        rows = [measured.plan.offers.index(n) for n in self._names(measured.problem)]
        targets = measured.plan.targets[rows, : measured.problem.horizon]
        return int(targets.sum(axis=0).max()) if rows else 0


@dataclass(frozen=True)
class LaunchesPerInterval:
    """How many instances may be launched at once."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        most = problem.limits.max_launches_per_interval or 0
        return f"at most {count(most, 'launch', 'launches')} per interval"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        return replace(problem, limits=replace(problem.limits, max_launches_per_interval=None))

    def use(self, measured: Measured) -> str:
        """Return the most that a plan launches at once."""
        most = measured.problem.limits.max_launches_per_interval or 0
        return f"{self._launched(measured):,} of {count(most, 'launch', 'launches')} per interval"

    def binds(self, measured: Measured) -> bool:
        """Return whether a plan launches as many somewhere."""
        most = measured.problem.limits.max_launches_per_interval
        return most is not None and self._launched(measured) >= most

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return one launch more per interval."""
        most = measured.problem.limits.max_launches_per_interval or 0
        limits: Limits = replace(measured.problem.limits, max_launches_per_interval=most + 1)
        words = f"one more launch per interval (now {most:,})"
        return words, replace(measured.problem, limits=limits)

    @staticmethod
    def _launched(measured: Measured) -> int:
        problem = measured.problem
        before = np.array([[lasting_count(problem, name)] for name in measured.plan.offers])
        counts = np.hstack([before.reshape(-1, 1), measured.plan.targets[:, : problem.horizon]])
        return int(np.maximum(np.diff(counts, axis=1), 0).sum(axis=0).max())


@dataclass(frozen=True)
class FunctionConcurrency:
    """How many function environments may run at once."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        limit = 0 if problem.function is None else problem.function.concurrency_limit
        return f"function concurrency of {limit:,}"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        return self._with(problem, UNLIMITED)

    def use(self, measured: Measured) -> str:
        """Return the most that a plan keeps warm."""
        return f"{self._warm(measured):,} of {self._limit(measured):,} function environments"

    def binds(self, measured: Measured) -> bool:
        """Return whether all are kept warm at some time."""
        return self._warm(measured) >= self._limit(measured)

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return a tenth more of them."""
        limit = self._limit(measured)
        more = max(round(0.1 * limit), 1)
        words = f"{count(more, 'more function environment')} at once (now {limit:,})"
        return words, self._with(measured.problem, limit + more)

    @staticmethod
    def _with(problem: Problem, limit: int) -> Problem:
        if problem.function is None:
            return problem
        return replace(problem, function=replace(problem.function, concurrency_limit=limit))

    @staticmethod
    def _limit(measured: Measured) -> int:
        function = measured.problem.function
        return 0 if function is None else function.concurrency_limit

    @staticmethod
    def _warm(measured: Measured) -> int:
        return int(measured.plan.warm_functions[: measured.problem.horizon].max())


@dataclass(frozen=True)
class MissBudget:
    """The SLO's share of requests that must be in time."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        slo = problem.service.slo
        return f"SLO of {percent(slo.sl_min)} within {slo.rt_max_s:g} s"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem with practically everything allowed to be late."""
        return with_slo(problem, replace(problem.service.slo, sl_min=1e-6))

    def use(self, measured: Measured) -> str:
        """Return what the plan is expected to miss of what the current window allows."""
        allowed = max(measured.allowed[0], 0.0)
        return f"{measured.misses[0]:,.0f} of {allowed:,.0f} requests that may yet miss the SLO"

    def binds(self, measured: Measured) -> bool:
        """Return whether the current window's budget is nearly used up, and not exceeded.

        Whole instances leave some of a budget over; of an exceeded one more is worth just as much.
        """
        misses, allowed = measured.misses[0], measured.allowed[0]
        return measured.keeps_slo and misses > max(LATE_TOLERANCE, NEARLY_SHARE * allowed)

    def exceeded(self, measured: Measured) -> bool:
        """Return whether more is expected to be missed than the current window allows."""
        return measured.misses[0] > max(measured.allowed[0], 0.0) + LATE_TOLERANCE

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return about a tenth more misses in the current window, a round number."""
        more = _round_number(max(0.1 * max(measured.misses[0], measured.allowed[0]), 1.0))
        window = measured.problem.window
        changed = replace(window, violations=window.violations - more)
        words = f"{count(more, 'more late request')} allowed in this SLO window"
        return words, replace(measured.problem, window=changed)


@dataclass(frozen=True)
class PastMisses:
    """What the SLO's current window has missed already."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        window = problem.window
        return (
            f"{window.violations:,} of {window.requests:,} requests already missed in this window"
        )

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem as if none had been."""
        return replace(problem, window=replace(problem.window, violations=0))


@dataclass(frozen=True)
class LaunchDelays:
    """The time from a launch until the instance serves."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        delays = [offer.launch_delay_s for offer in candidates(problem)]
        span = f"{min(delays):.4g}"
        if max(delays) > min(delays):
            span += f" to {max(delays):.4g}"
        return f"launches take {span} s"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem with instances that serve at once."""
        offers = tuple(replace(offer, launch_delay_s=0.0) for offer in problem.offers)
        return replace(problem, offers=offers)


@dataclass(frozen=True)
class ResponseTime:
    """The time in which an answer is due."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words, with what comes closest to it."""
        slo = problem.service.slo
        named = [(o.service_times_s[0], o.name) for o in problem.offers]
        if problem.function is not None:
            named.append((problem.function.service_time_s, problem.function.name))
        fastest = min(named, default=None)
        note = "" if fastest is None else f" (fastest: {fastest[1]}, {fastest[0]:.4g} s)"
        return f"rt_max_s of {slo.rt_max_s:g} s{note}"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem in which any time is in time."""
        return with_slo(problem, replace(problem.service.slo, rt_max_s=float(UNLIMITED)))


def candidates(problem: Problem) -> list[Offer]:
    """Return the offers that may carry load; all where none does."""
    slo = problem.service.slo
    usable = [
        offer
        for offer in problem.offers
        if offer.purchase is not PurchaseOption.BURSTABLE and meets_slo(offer, slo)
    ]
    return usable or list(problem.offers)


def priced_limits(problem: Problem) -> list[PricedLimit]:
    """Return the limits that are set in this problem and could be raised."""
    limits: list[PricedLimit] = [
        Stock((offer.name,)) for offer in candidates(problem) if offer.stock is not None
    ]
    if candidates(problem) and problem.limits.max_vcpus is not None:
        limits.append(VcpuQuota())
    limits += [PoolQuota(pool) for pool in problem.limits.max_instances_by_pool]
    if problem.limits.max_launches_per_interval is not None:
        limits.append(LaunchesPerInterval())
    if function_in_time(problem.function, problem.service.slo):
        limits.append(FunctionConcurrency())
    return [*limits, MissBudget()]


def conflicting_limits(problem: Problem) -> list[Limit]:
    """Return what can make a problem infeasible, what explains least first.

    A deletion filter tries them in this order and drops what it can, so that those at the end,
    which users set themselves, are named where there is a choice.
    """
    slo, limits = problem.service.slo, list[Limit]()
    in_time = any(meets_slo(offer, slo) for offer in candidates(problem))
    if not in_time and not function_in_time(problem.function, slo):
        return [ResponseTime()]
    if any(offer.launch_delay_s > 0.0 for offer in problem.offers):
        limits.append(LaunchDelays())
    if problem.window.violations > 0:
        limits.append(PastMisses())
    if function_in_time(problem.function, slo):
        limits.append(FunctionConcurrency())
    if problem.limits.max_launches_per_interval is not None:
        limits.append(LaunchesPerInterval())
    scarce = tuple(o.name for o in candidates(problem) if o.stock is not None)
    if scarce:
        limits.append(Stock(scarce))
    limits += [PoolQuota(pool) for pool in problem.limits.max_instances_by_pool]
    if problem.limits.max_vcpus is not None:
        limits.append(VcpuQuota())
    return [*limits, MissBudget()]


def with_slo(problem: Problem, slo: Slo) -> Problem:
    """Return the problem under another SLO; required throughput stays as calibrated."""
    return replace(problem, service=replace(problem.service, slo=slo))


def _with_offers(problem: Problem, names: tuple[str, ...], *, stock: int | None) -> Problem:
    offers = tuple(
        replace(offer, stock=stock) if offer.name in names else offer for offer in problem.offers
    )
    return replace(problem, offers=offers)


def _round_number(value: float) -> int:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return int(next(n * power for n in (5, 2, 1) if n * power <= value * (1.0 + 1e-9)))
