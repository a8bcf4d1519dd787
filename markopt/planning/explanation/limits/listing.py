"""Which limits a problem has, of those that can be raised and those that can contradict."""

from __future__ import annotations

from markopt.core import Problem
from markopt.planning.explanation.limits.capacity import (
    FunctionConcurrency,
    PoolQuota,
    Stock,
    VcpuQuota,
)
from markopt.planning.explanation.limits.changes import LaunchesPerInterval, TerminationsPerInterval
from markopt.planning.explanation.limits.protocol import Limit, PricedLimit, candidates
from markopt.planning.explanation.limits.service_level import (
    LaunchDelays,
    MissBudget,
    PastMisses,
    ResponseTime,
)
from markopt.planning.requirement import function_in_time, meets_slo


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
    if problem.limits.max_terminations_per_interval is not None:
        limits.append(TerminationsPerInterval())
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
