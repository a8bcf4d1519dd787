"""The planner protocol: one problem in, one plan out."""

from __future__ import annotations

from typing import Protocol

from markopt.core import Plan, Problem


class Planner(Protocol):
    """Decides how many instances of which offer to run. Pure: same problem, same plan.

    Constructor arguments are settings, stored unchanged.
    """

    def plan(self, problem: Problem) -> Plan:
        """Return a plan.

        Raises:
            Infeasible: no offer can serve the load under the SLO within the limits.
        """
        ...
