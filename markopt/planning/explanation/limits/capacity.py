"""What there is at most: stock, quotas of vCPUs and pools, functions at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from markopt.core import Offer, Problem
from markopt.planning.explanation.limits.protocol import candidates
from markopt.planning.explanation.measure import Measured
from markopt.planning.explanation.words import count, lasting_count, listed

UNLIMITED = 10**9


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


def _with_offers(problem: Problem, names: tuple[str, ...], *, stock: int | None) -> Problem:
    offers = tuple(
        replace(offer, stock=stock) if offer.name in names else offer for offer in problem.offers
    )
    return replace(problem, offers=offers)
