"""How fast a fleet may change: launches and terminations per interval."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from markopt.core import Limits, Problem
from markopt.planning.explanation.measure import Measured
from markopt.planning.explanation.words import count, lasting_count


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
class TerminationsPerInterval:
    """How many instances may be ended at once."""

    def stated(self, problem: Problem) -> str:
        """Return the limit in words."""
        most = problem.limits.max_terminations_per_interval or 0
        return f"at most {count(most, 'termination')} per interval"

    def lifted(self, problem: Problem) -> Problem:
        """Return the problem without it."""
        return replace(problem, limits=replace(problem.limits, max_terminations_per_interval=None))

    def use(self, measured: Measured) -> str:
        """Return the most that a plan ends at once."""
        most = measured.problem.limits.max_terminations_per_interval or 0
        return f"{self._ended(measured):,} of {count(most, 'termination')} per interval"

    def binds(self, measured: Measured) -> bool:
        """Return whether a plan ends as many somewhere."""
        most = measured.problem.limits.max_terminations_per_interval
        return most is not None and self._ended(measured) >= most

    def relaxed(self, measured: Measured) -> tuple[str, Problem]:
        """Return one end more per interval."""
        most = measured.problem.limits.max_terminations_per_interval or 0
        limits: Limits = replace(measured.problem.limits, max_terminations_per_interval=most + 1)
        words = f"one more termination per interval (now {most:,})"
        return words, replace(measured.problem, limits=limits)

    @staticmethod
    def _ended(measured: Measured) -> int:
        problem = measured.problem
        before = np.array([[lasting_count(problem, name)] for name in measured.plan.offers])
        counts = np.hstack([before.reshape(-1, 1), measured.plan.targets[:, : problem.horizon]])
        return int(np.maximum(-np.diff(counts, axis=1), 0).sum(axis=0).max())
