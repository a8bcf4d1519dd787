"""The program in PuLP as a planner."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from markopt.core import Plan, Problem
from markopt.errors import SolverFailed
from markopt.planning.reference.banner import swallow_highs_banner
from markopt.planning.reference.pulp_model import PulpModel
from markopt.planning.reference.pulp_rows import (
    add_limits,
    add_promise,
    add_promise_over_paths,
    add_term,
)
from markopt.planning.reference.solved import Array, Solved, check_solver_settings, textbook_plan
from markopt.planning.statement import Formulation, Statement

# What CBC prints where it stops at a gap or a limit.
LOWER_BOUND = re.compile(r"^Lower bound:\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PulpProgram(Formulation):
    """The program of docs/formulation.md in PuLP, row by row, solved by CBC or HiGHS.

    ``mip_rel_gap``, ``max_nodes`` and ``time_limit_s`` end a solve.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)

    solver: Literal["cbc", "highs"] = "cbc"
    mip_rel_gap: float = 5e-3
    max_nodes: int = 20_000
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_solver_settings(self.solver, ("cbc", "highs"), self.mip_rel_gap)

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of least expected cost.

        Raises:
            Infeasible: no offer answers in time, and no function does either.
            ConfigError: a term has no formulation in PuLP.
        """
        return textbook_plan(self, problem, "pulp", self.solve)

    def solve(self, statement: Statement) -> Solved:
        """Solve one statement.

        Raises:
            SolverFailed: the solver is not there, or ended without a solution.
            ConfigError: a term has no formulation in PuLP.
        """
        model = _complete(statement)
        with tempfile.TemporaryDirectory(prefix="markopt-pulp-") as folder:
            bound, status = self._run(model, Path(folder))
        pulp = model.pulp
        if model.problem.sol_status not in (
            pulp.LpSolutionOptimal,
            pulp.LpSolutionIntegerFeasible,
        ):
            raise SolverFailed(f"PuLP with {self.solver}: needs a feasible model, got '{status}'")
        value = float(pulp.value(model.problem.objective))
        optimal = model.problem.sol_status == pulp.LpSolutionOptimal
        return _solved(model, value, bound, "optimal" if optimal else "incumbent", status)

    def _run(self, model: PulpModel, folder: Path) -> tuple[float | None, str]:
        """Solve, and return the proven bound and the solver's words.

        Raises:
            SolverFailed: the solver is not there or does not run.
        """
        pulp = model.pulp
        solver = _cbc(self, pulp, folder) if self.solver == "cbc" else _highs(self, pulp)
        if not solver.available():
            raise SolverFailed(
                f"PuLP: needs the solver '{self.solver}', got only "
                f"{', '.join(pulp.listSolvers(onlyAvailable=True)) or 'none'}"
            )
        try:
            model.problem.solve(solver)
        except pulp.PulpSolverError as error:
            text = str(error).splitlines()[0]
            raise SolverFailed(f"PuLP with {self.solver}: the solver failed: {text}") from error
        if self.solver == "cbc":
            return _cbc_bound(model, folder / "cbc.log")
        highs = model.problem.solverModel
        info, raw = highs.getInfo(), highs.modelStatusToString(highs.getModelStatus())
        usable = info.primal_solution_status == 2  # feasible
        if not usable:
            model.problem.sol_status = pulp.LpSolutionNoSolutionFound
        bound = float(info.mip_dual_bound)
        return (bound if np.isfinite(bound) else None), raw


def _complete(statement: Statement) -> PulpModel:
    """Return the whole model."""
    model = PulpModel(statement)
    risk = statement.settings.risk
    if risk.joint and risk.measure == "saa":
        add_promise_over_paths(model)
    elif risk.promises:
        add_promise(model)
    add_limits(model)
    for term in statement.settings.terms.values():
        add_term(term, model)
    model.problem.setObjective(model.total(model.costs))
    return model


def _cbc(planner: PulpProgram, pulp: Any, folder: Path) -> Any:
    """Return CBC, that bundled with PuLP where there is one; it writes into ``folder``."""
    bundled = getattr(getattr(pulp, "PULP_CBC_CMD", None), "pulp_cbc_path", None)
    solver = pulp.COIN_CMD(
        path=bundled,
        msg=False,
        threads=1,
        gapRel=planner.mip_rel_gap,
        timeLimit=planner.time_limit_s,
        maxNodes=planner.max_nodes,
        logPath=str(folder / "cbc.log"),
    )
    solver.tmpDir = str(folder)
    return solver


def _highs(planner: PulpProgram, pulp: Any) -> Any:
    swallow_highs_banner()
    return pulp.HiGHS(
        msg=False,
        threads=1,
        gapRel=planner.mip_rel_gap,
        timeLimit=planner.time_limit_s,
        mip_max_nodes=planner.max_nodes,
        random_seed=0,
    )


def _cbc_bound(model: PulpModel, log: Path) -> tuple[float | None, str]:
    """Return what CBC proved: it prints a bound where it stops early, else it is optimal."""
    pulp, text = model.pulp, log.read_text(encoding="utf-8", errors="replace")
    words = re.search(r"^Result - (.*)$", text, re.MULTILINE)
    status = words.group(1).strip() if words else pulp.LpStatus[model.problem.status]
    printed = LOWER_BOUND.findall(text)
    if printed:
        return float(printed[-1]), status
    if model.problem.sol_status == pulp.LpSolutionOptimal:
        return float(pulp.value(model.problem.objective)), status
    return None, status


def _solved(model: PulpModel, value: float, bound: float | None, rung: str, status: str) -> Solved:
    statement = model.statement
    unit, committed = float(model.unit_usd), statement.fleet.committed_usd
    own, cells = statement.own, len(model.cells)
    at_hand = float(own.warm_limit) if own.warm_usd == 0.0 else 0.0
    warm = [at_hand if model.warm is None else _value(model.warm[c,]) for c in range(cells)]
    return Solved(
        statement=statement,
        launch=_array(model.launch, len(model.offers), cells),
        ready=_array(model.ready, len(model.offers), cells),
        billed=_array(model.billed, len(model.offers), cells),
        capacity_rps=_array(model.capacity, len(model.states), cells),
        warm=np.array(warm),
        objective_usd=value * unit + committed,
        bound_usd=None if bound is None else min(bound, value) * unit + committed,
        rung=rung,
        status=status,
    )


def _value(variable: Any) -> float:
    """Return a variable's value, zero where no row and no cost needs it."""
    value = variable.value()
    return 0.0 if value is None else float(value)


def _array(variables: dict[Any, Any], *shape: int) -> Array:
    values = np.array([_value(variable) for variable in variables.values()]).reshape(shape)
    near = np.rint(values)
    return np.asarray(np.where(np.abs(values - near) < 1e-5, near, values))
