"""The baseline that serves every request on functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Plan, Problem
from markopt.errors import Infeasible
from markopt.planning.requirement import function_in_time, warm_count
from markopt.planning.transition import counts_plan


@dataclass(frozen=True, kw_only=True)
class LambdaOnly:
    """No instances; functions kept warm for the ``quantile`` of the forecast."""

    KNOB: ClassVar[str | None] = None
    KNOB_GRID: ClassVar[tuple[float, ...]] = ()

    quantile: float = 0.95

    def plan(self, problem: Problem) -> Plan:
        """Return a plan without instances.

        Raises:
            Infeasible: there is no function, or it answers too late.
        """
        slo, function = problem.service.slo, problem.function
        if not function_in_time(function, slo):
            received = (
                "none" if function is None else f"'{function.name}' {function.service_time_s} s"
            )
            raise Infeasible(
                f"Service '{problem.service.name}': needs a function that answers within "
                f"rt_max_s={slo.rt_max_s}, got {received}"
            )
        rate_rps = problem.forecast.quantile_rps(self.quantile)
        warm = warm_count(problem, rate_rps, rate_rps)
        reason = f"all requests go to functions: up to {rate_rps[0]:.0f} rps in the next interval"
        return counts_plan(problem, "lambda_only", {}, warm, reason=reason)
