"""The program in cvxpy as a planner."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from markopt.core import Plan, Problem
from markopt.errors import ConfigError, SolverFailed
from markopt.planning.reference.banner import swallow_highs_banner
from markopt.planning.reference.cvxpy_model import (
    CvxpyModel,
    ModelCache,
    is_priced,
    price_unit,
    shape_of,
)
from markopt.planning.reference.cvxpy_rows import (
    add_cone,
    add_limits,
    add_promise,
    add_promise_over_paths,
)
from markopt.planning.reference.cvxpy_terms import add_term
from markopt.planning.reference.solved import Array, Solved, check_solver_settings, textbook_plan
from markopt.planning.statement import Formulation, Statement

CACHE = ModelCache()


@dataclass(frozen=True, kw_only=True)
class CvxpyProgram(Formulation):
    """The program of docs/formulation.md in cvxpy, with a spill per scenario and no cuts.

    ``gaussian_cone`` takes, for ``risk.measure=gaussian``, the pools' covariance into the promise:
    a second-order cone, solved by Clarabel with continuous counts, which are then rounded up (the
    plan's rung is ``rounded``, its bound the relaxation's value). ``mip_rel_gap``, ``max_nodes``
    and ``time_limit_s`` end a solve.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)

    solver: Literal["highs"] = "highs"
    mip_rel_gap: float = 5e-3
    max_nodes: int = 20_000
    time_limit_s: float | None = None
    gaussian_cone: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_solver_settings(self.solver, ("highs",), self.mip_rel_gap)
        if not self.gaussian_cone:
            return
        if self.risk.measure != "gaussian":
            raise ConfigError(
                f"planner.gaussian_cone: needs planner.risk.measure=gaussian, got "
                f"'{self.risk.measure}'"
            )
        if self.risk.violation_share > 0.5:
            raise ConfigError(
                f"planner.gaussian_cone: needs planner.risk.violation_share of at most 0.5, got "
                f"{self.risk.violation_share}"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of least expected cost.

        Raises:
            Infeasible: no offer answers in time, and no function does either.
            ConfigError: a term has no formulation in cvxpy.
        """
        return textbook_plan(self, problem, "cvxpy", self.solve)

    def solve(self, statement: Statement) -> Solved:
        """Solve one statement.

        Raises:
            SolverFailed: the solver ended without a solution.
            ConfigError: a term has no formulation in cvxpy.
        """
        key = (shape_of(statement), self.gaussian_cone)
        compiled: _Compiled = CACHE.get(key, lambda: _Compiled(statement, cone=self.gaussian_cone))
        compiled.model.fill(statement)
        if self.gaussian_cone:
            return compiled.rounded(statement)
        options: dict[str, Any] = {"mip_rel_gap": self.mip_rel_gap, "mip_max_nodes": self.max_nodes}
        if self.time_limit_s is not None:
            options["time_limit"] = self.time_limit_s
        return compiled.whole(statement, options)


class _Compiled:
    """A model with its objective, compiled by cvxpy when it is solved for the first time."""

    def __init__(self, statement: Statement, *, cone: bool) -> None:
        self.model = model = CvxpyModel(statement, relaxed=cone)
        risk = statement.settings.risk
        if cone:
            add_cone(model)
        elif risk.joint and risk.measure == "saa":
            add_promise_over_paths(model)
        elif risk.promises:
            add_promise(model)
        add_limits(model)
        for term in statement.settings.terms.values():
            add_term(term, model)
        cvxpy = model.cvxpy
        objective = cvxpy.Minimize(sum(model.costs))
        self.problem = cvxpy.Problem(objective, model.constraints)
        self._rounded: Any = None
        if cone:
            self.launched = cvxpy.Parameter(model.launch.shape, nonneg=True)
            self.kept = cvxpy.Parameter(model.ready.shape, nonneg=True)
            fixed = [model.launch == self.launched, model.ready == self.kept]
            self._rounded = cvxpy.Problem(objective, [*model.constraints, *fixed])

    def whole(self, statement: Statement, options: dict[str, Any]) -> Solved:
        """Solve in whole numbers.

        Raises:
            SolverFailed: there is no solution, or none within the time limit.
        """
        from highspy import SolutionStatus

        cvxpy = self.model.cvxpy
        options = {"threads": 1, "random_seed": 0, "output_flag": False, **options}
        swallow_highs_banner()
        _run(self.problem, cvxpy.HIGHS, options)
        info = self.problem.solver_stats.extra_stats
        if info.primal_solution_status != SolutionStatus.kSolutionStatusFeasible.value:
            # At its time limit HiGHS hands cvxpy zeros where it has found nothing.
            raise SolverFailed(f"cvxpy with HiGHS: no plan yet, '{self.problem.status}'")
        value = float(self.problem.value)
        bound = None
        if np.isfinite(info.mip_dual_bound):
            bound = value + min(info.mip_dual_bound - info.objective_function_value, 0.0)
        optimal = self.problem.status == cvxpy.OPTIMAL
        return self._solved(statement, value, bound, "optimal" if optimal else "incumbent")

    def rounded(self, statement: Statement) -> Solved:
        """Solve the cone in continuous counts, round them up, and count what that costs."""
        cvxpy, model = self.model.cvxpy, self.model
        _run(self.problem, cvxpy.CLARABEL, {})
        bound = float(self.problem.value)
        within = statement.whole_intervals
        whole = statement.tree.interval < within
        for parameter, count in ((self.launched, model.launch), (self.kept, model.ready)):
            up = np.where(whole, np.ceil(count.value - 1e-6), count.value)
            parameter.value = np.maximum(up, 0.0)
        _run(self._rounded, cvxpy.CLARABEL, {})
        return self._solved(statement, float(self._rounded.value), bound, "rounded")

    def _solved(self, statement: Statement, value: float, bound: float | None, rung: str) -> Solved:
        model = self.model
        unit, committed = price_unit(statement), statement.fleet.committed_usd
        at_hand = 0.0 if is_priced(statement) else float(statement.own.warm_limit)
        warm = np.full(statement.tree.cells, at_hand)
        if model.warm is not None:
            warm = np.asarray(model.warm.value)
        return Solved(
            statement=statement,
            launch=_counts(model.launch.value),
            ready=_counts(model.ready.value),
            billed=_counts(model.billed.value),
            capacity_rps=np.asarray(model.capacity.value),
            warm=warm,
            objective_usd=value * unit + committed,
            bound_usd=None if bound is None else min(bound, value) * unit + committed,
            rung=rung,
            status=str(self.problem.status),
        )


def _counts(values: Array) -> Array:
    """Return counts without what the solver's tolerance adds to whole ones."""
    near = np.rint(values)
    return np.asarray(np.where(np.abs(values - near) < 1e-5, near, values))


def _run(problem: Any, solver: str, options: dict[str, Any]) -> None:
    """Solve.

    Raises:
        SolverFailed: there is no solution.
    """
    import cvxpy

    try:
        with warnings.catch_warnings():
            # An inexact solution is told by its status.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=solver, warm_start=False, **options)
    except cvxpy.error.SolverError as error:
        raise SolverFailed(f"cvxpy with {solver}: {str(error).splitlines()[0]}") from error
    if problem.value is None or not np.isfinite(problem.value):
        raise SolverFailed(f"cvxpy with {solver}: needs a feasible model, got '{problem.status}'")
