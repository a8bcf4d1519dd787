"""The border to HiGHS: one function solves a SparseModel and normalizes what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from markopt.errors import SolverFailed
from markopt.planning.program.model import SparseModel

# Rounds of HiGHS that cost more time than they save on models of this size.
SWITCHED_OFF = (
    "mip_heuristic_run_feasibility_jump",
    "mip_heuristic_run_rins",
    "mip_heuristic_run_rens",
    "mip_heuristic_run_root_reduced_cost",
    "mip_allow_restart",
    "mip_detect_symmetry",
)

DEVEX = 1

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

Status = Literal["optimal", "limit", "infeasible", "unbounded", "failed"]


@dataclass(frozen=True)
class SolverOptions:
    """Limits of one solve. ``max_nodes`` rather than time, so that a decision can be replayed."""

    relative_gap: float = 1e-3
    max_nodes: int = 2000
    time_limit_s: float | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class SolverAnswer:
    """What a solve gave: ``values`` None without a feasible point, ``raw`` the solver's words."""

    status: Status
    raw: str
    objective: float | None
    bound: float | None
    values: NDArray[np.float64] | None


class Session:
    """A model inside HiGHS: relaxed, given rows and solved again from where it was, then whole.

    Objectives, bounds and duals are in the model's units; ``scale`` multiplies the costs inside the
    solver only, to keep them near 1 where its tolerances are meant.

    Raises:
        SolverFailed: HiGHS does not accept the model.
    """

    def __init__(
        self,
        model: SparseModel,
        options: SolverOptions,
        scale: float,
        *,
        awake: Indices | None = None,
        cost: Array | None = None,
    ) -> None:
        """Load the model, all rows or those ``awake``, with its costs or others."""
        import highspy

        self._highspy, self._model, self._scale = highspy, model, scale
        self._options = options
        self._highs = _new_highs(highspy, options)
        # Relaxations are solved again and again from their last basis: devex, without presolve.
        self._highs.setOptionValue("presolve", "off")
        self._highs.setOptionValue("simplex_dual_edge_weight_strategy", DEVEX)
        self._changed = True
        self._cost = model.cost.copy() if cost is None else cost.copy()
        rows = np.arange(len(model.row_lower)) if awake is None else awake
        # Where each of the model's rows is inside the solver; -1: it sleeps.
        self._place = np.full(len(model.row_lower), -1, dtype=np.int64)
        self._place[rows] = np.arange(len(rows))
        starts, columns, values = model.entries(rows)
        part = replace(
            model,
            cost=self._cost,
            row_lower=model.row_lower[rows],
            row_upper=model.row_upper[rows],
            starts=starts,
            columns=columns,
            values=values,
        )
        _pass_model(highspy, self._highs, part, relaxed=True, scale=scale)

    def relaxed(self) -> SolverAnswer:
        """Solve without integrality."""
        answer = self._run(mip=False)
        self._changed = False
        return answer

    @property
    def rows(self) -> int:
        """How many rows are awake, those that were added among them."""
        return int(self._highs.getNumRow())

    def row_duals(self) -> Array:
        """Return the duals of the model's rows at the last solution, 0 for those without one.

        Rows that sleep have none.

        Raises:
            SolverFailed: the program has changed since: these would be another one's duals.
        """
        if self._changed:
            raise SolverFailed("duals: the program has changed since it was solved")
        inside = np.array(self._highs.getSolution().row_dual) / self._scale
        there = (self._place >= 0) & (self._place < len(inside))
        duals = np.zeros(len(self._place))
        duals[there] = inside[self._place[there]]
        return duals

    def wake(self, rows: Indices) -> bool:
        """Add those of the model's rows that still sleep; False: there are none."""
        rows = rows[self._place[rows] < 0]
        if not len(rows):
            return False
        self._place[rows] = self.rows + np.arange(len(rows))
        starts, columns, values = self._model.entries(rows)
        self._add(self._model.row_lower[rows], self._model.row_upper[rows], starts, columns, values)
        return True

    def add_rows(self, lower: Array, starts: Indices, columns: Indices, values: Array) -> None:
        """Add rows ``lower <= A x``; ``starts`` as in a CSR matrix, without the last one."""
        upper = np.full(len(lower), self._highspy.kHighsInf)
        self._add(lower, upper, starts, columns, values)

    def _add(
        self, lower: Array, upper: Array, starts: Indices, columns: Indices, values: Array
    ) -> None:
        self._changed = True
        self._highs.addRows(
            len(lower),
            lower,
            upper,
            len(values),
            starts[: len(lower)].astype(np.int32),
            columns.astype(np.int32),
            values,
        )

    def add_free_rows(self, sums: Sequence[Indices]) -> int:
        """Add rows without bounds, each the sum of some columns; return the first one's number."""
        first, count = self.rows, np.array([len(columns) for columns in sums])
        if len(sums):
            columns, free = np.concatenate(sums), np.full(len(sums), self._highspy.kHighsInf)
            self._add(-free, free, np.cumsum(count) - count, columns, np.ones(len(columns)))
        return first

    def bound_row(self, number: int, lower: float, upper: float) -> None:
        """Bound a row by its number inside the solver."""
        self._highs.changeRowBounds(number, lower, upper)

    def bound_column(self, column: int, lower: float, upper: float) -> None:
        """Bound a column."""
        self._highs.changeColBounds(column, lower, upper)

    def change_costs(self, columns: Indices, usd: Array) -> None:
        """Give columns other costs."""
        self._changed = True
        self._cost[columns] = usd
        self._highs.changeColsCost(len(columns), columns.astype(np.int32), usd * self._scale)

    def fixed(self, columns: Indices, values: Array) -> SolverAnswer:
        """Solve the relaxation with some columns fixed; their bounds are put back afterwards."""
        count, own = len(columns), columns.astype(np.int32)
        self._highs.changeColsBounds(count, own, values, values)
        try:
            return self.relaxed()
        finally:
            lower, upper = self._model.lower[columns], self._model.upper[columns]
            self._highs.changeColsBounds(count, own, lower, upper)

    def start_from(self, values: NDArray[np.float64]) -> None:
        """Give the whole-number solve a solution to start from."""
        solution = self._highspy.HighsSolution()
        solution.col_value = values.tolist()
        self._highs.setSolution(solution)

    def limit_time(self, seconds: float) -> None:
        """Let every solve from now on take at most so long."""
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + max(seconds, 0.0))

    def whole(self, share: float) -> SolverAnswer:
        """Solve with integrality, to this share of the relative gap."""
        whole = np.flatnonzero(self._model.integer).astype(np.int32)
        if not len(whole):
            return self.relaxed()
        kinds = np.full(len(whole), int(self._highspy.HighsVarType.kInteger), dtype=np.uint8)
        self._highs.changeColsIntegrality(len(whole), whole, kinds)
        self._highs.setOptionValue("presolve", "choose")
        self._highs.setOptionValue("mip_rel_gap", share * self._options.relative_gap)
        answer = self._run(mip=True)
        if answer.values is not None and not self._consistent(answer):
            # HiGHS 1.16 may report an optimum and hand back the solution that it started from.
            self._highs.clearSolver()
            answer = self._run(mip=True)
        return answer

    def _consistent(self, answer: SolverAnswer) -> bool:
        """Return whether the values cost what the solver says."""
        if answer.values is None or answer.objective is None:
            return False
        usd = float(self._cost @ answer.values) + self._model.offset
        return abs(usd - answer.objective) <= 1e-6 * max(abs(usd), 1.0 / self._scale)

    def _run(self, *, mip: bool) -> SolverAnswer:
        """Solve; a solver that breaks down is taken for one without an answer."""
        try:
            self._highs.run()
            answer = _answer(self._highspy, self._highs, mip=mip, scale=self._scale)
        except (SolverFailed, RuntimeError, MemoryError, ValueError) as error:
            # What HiGHS throws in C++ arrives as one of the last three.
            raw = " ".join(str(error).split()) or type(error).__name__
            return SolverAnswer("failed", raw, None, None, None)
        values = answer.values
        count = len(self._model.cost)
        if values is None or (len(values) == count and bool(np.isfinite(values).all())):
            return answer
        raw = f"{answer.raw}, without a usable point"
        return SolverAnswer("failed", raw, None, None, None)


def solve_model(
    model: SparseModel, options: SolverOptions, *, relaxed: bool = False, scale: float = 1.0
) -> SolverAnswer:
    """Solve with HiGHS on one thread; ``relaxed`` drops the integrality.

    ``scale`` multiplies the costs inside the solver only, to keep them near 1 where its
    tolerances are meant.

    Raises:
        SolverFailed: HiGHS does not accept the model.
    """
    import highspy

    highs = _new_highs(highspy, options)
    _pass_model(highspy, highs, model, relaxed=relaxed, scale=scale)
    highs.run()
    return _answer(highspy, highs, mip=bool(model.integer.any()) and not relaxed, scale=scale)


def write_model(model: SparseModel, path: Path) -> None:
    """Write the model, with names, as ``.lp`` or ``.mps`` by the path's ending."""
    import highspy

    highs = _new_highs(highspy, SolverOptions())
    _pass_model(highspy, highs, model, relaxed=False, scale=1.0)
    for number, name in enumerate(model.column_names()):
        highs.passColName(number, _plain(name))
    for number, name in enumerate(model.row_names()):
        highs.passRowName(number, _plain(name))
    unfinished = path.with_name(f"unfinished-{path.name}")
    highs.writeModel(str(unfinished))
    unfinished.replace(path)


def _plain(name: str) -> str:
    return name.replace("[", "_").replace("]", "").replace(",", "_")


def _new_highs(highspy: Any, options: SolverOptions) -> Any:
    # The base class: the derived one's callbacks announce themselves on standard output.
    highs = highspy.Highs.__bases__[0]()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("random_seed", options.seed)
    highs.setOptionValue("mip_rel_gap", options.relative_gap)
    highs.setOptionValue("mip_max_nodes", options.max_nodes)
    for name in SWITCHED_OFF:
        highs.setOptionValue(name, False)
    if options.time_limit_s is not None:
        highs.setOptionValue("time_limit", options.time_limit_s)
    return highs


def _pass_model(
    highspy: Any, highs: Any, model: SparseModel, *, relaxed: bool, scale: float
) -> None:
    """Load a model, from its arrays as they are: HiGHS's own structures are filled by elements.

    Raises:
        SolverFailed: HiGHS does not accept it.
    """
    kinds = highspy.HighsVarType
    whole, free = int(kinds.kInteger), int(kinds.kContinuous)
    accepted = highs.passModel(
        len(model.cost),
        len(model.row_lower),
        len(model.values),
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        model.offset * scale,
        model.cost * scale,
        model.lower,
        model.upper,
        model.row_lower,
        model.row_upper,
        model.starts[:-1].astype(np.int32),
        model.columns.astype(np.int32),
        model.values,
        np.where(model.integer & (not relaxed), whole, free).astype(np.int32),
    )
    if accepted == highspy.HighsStatus.kError:
        raise SolverFailed(
            f"HiGHS: needs a well-formed model, refused one of {len(model.cost)} columns and "
            f"{len(model.row_lower)} rows"
        )


def _answer(highspy: Any, highs: Any, *, mip: bool, scale: float) -> SolverAnswer:
    raw_status = highs.getModelStatus()
    status = _status(highspy, raw_status)
    info = highs.getInfo()
    usable = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    values = np.array(highs.getSolution().col_value) if usable else None
    objective = info.objective_function_value / scale if usable else None
    bound: float | None = None
    if mip:
        if np.isfinite(info.mip_dual_bound):
            bound = info.mip_dual_bound / scale
    elif status == "optimal":
        bound = objective
    raw = highs.modelStatusToString(raw_status)
    return SolverAnswer(status, raw, objective, bound, values)


def _status(highspy: Any, raw: Any) -> Status:
    kinds = highspy.HighsModelStatus
    limits = (
        kinds.kTimeLimit,
        kinds.kIterationLimit,
        kinds.kSolutionLimit,
        kinds.kObjectiveBound,
        kinds.kObjectiveTarget,
        kinds.kInterrupt,
    )
    if raw == kinds.kOptimal:
        return "optimal"
    if raw in limits:
        return "limit"
    if raw in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return "infeasible"
    if raw == kinds.kUnbounded:
        return "unbounded"
    return "failed"
