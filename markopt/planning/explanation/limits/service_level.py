"""What the service level asks: its budget of misses, what is spent of it, delays and deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from markopt.core import Problem, Slo
from markopt.planning.explanation.limits.protocol import candidates
from markopt.planning.explanation.measure import LATE_TOLERANCE, Measured
from markopt.planning.explanation.words import count, percent

UNLIMITED_S = 1e9
NEARLY_SHARE = 0.8


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
        return with_slo(problem, replace(problem.service.slo, rt_max_s=UNLIMITED_S))


def with_slo(problem: Problem, slo: Slo) -> Problem:
    """Return the problem under another SLO; required throughput stays as calibrated."""
    return replace(problem, service=replace(problem.service, slo=slo))


def _round_number(value: float) -> int:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return int(next(n * power for n in (5, 2, 1) if n * power <= value * (1.0 + 1e-9)))
