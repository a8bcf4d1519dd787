"""A planner that would rather have no plan than one that is expected to miss the SLO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.errors import Infeasible
from markopt.planning.explanation.conflict import find_conflict
from markopt.planning.explanation.measure import Resolver, measure
from markopt.planning.explanation.words import count, percent
from markopt.planning.protocol import Planner


@dataclass(frozen=True, kw_only=True)
class WithHardSlo:
    """Plans as ``planner``, but keeps the SLO's budget of misses or says why it cannot be kept.

    A planner whose limits cannot carry the load lets requests miss beyond the budget: a plan always
    arrives. Here such a plan, after a second look with a small gap, is refused, and the refusal
    names the limits that contradict each other. For studies and for checks of quotas before they
    are needed; a live loop should rather serve what it can. The expected misses over the forecast's
    paths are judged, by ``evaluate_plan``.
    """

    KNOB: ClassVar[str | None] = None
    KNOB_GRID: ClassVar[tuple[float, ...]] = ()

    planner: Planner

    def plan(self, problem: Problem) -> Plan:
        """Return the planner's plan.

        Raises:
            Infeasible: as the planner, or more requests would miss than the SLO allows; the text
                names an irreducible set of limits.
        """
        plan = self.planner.plan(problem)
        if measure(self.planner, problem, plan).keeps_slo:
            return plan
        resolver = Resolver(self.planner)
        measured = resolver.solve(problem)
        if measured.keeps_slo:
            return measured.plan
        conflict = find_conflict(resolver, problem)
        cause = "" if conflict is None else f"; conflicting limits: {conflict}"
        slo = problem.service.slo
        minutes = measured.problem.horizon * problem.interval_s / 60.0
        raise Infeasible(
            f"Service '{problem.service.name}': needs {percent(slo.sl_min)} of requests within "
            f"{slo.rt_max_s:g} s, got at best {count(measured.late, 'request')} late beyond that "
            f"in the next {minutes:.3g} min{cause}"
        )
