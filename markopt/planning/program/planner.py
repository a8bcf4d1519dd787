"""The program as a planner: build, climb the ladder, adapt required throughput to the mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem, WarmStart
from markopt.errors import ConfigError, Infeasible
from markopt.planning.lambda_only import LambdaOnly
from markopt.planning.program.builder import BuiltProgram, build_program
from markopt.planning.program.ladder import Solution, billed_counts
from markopt.planning.program.presolve import undominated_offers
from markopt.planning.program.reason import describe
from markopt.planning.program.search import search
from markopt.planning.program.solver import SolverOptions
from markopt.planning.program.warm import read, saved
from markopt.planning.requirement import (
    candidate_offers,
    fleet_mix,
    function_in_time,
    warm_count,
)
from markopt.planning.safety import safe_plan
from markopt.planning.statement import Formulation, Statement, settle_mix


@dataclass(frozen=True, kw_only=True)
class Program(Formulation):
    """Least expected cost over the horizon under the SLO's budget of misses, solved by HiGHS.

    What is minimized under which constraints: ``Formulation`` and docs/formulation.md.
    ``cut_count`` cuts per interval are there to begin with; more come where a solution needs them.
    ``mip_rel_gap``, ``max_nodes`` and ``time_limit_s`` end a solve; with a time limit a plan can no
    longer be replayed bit for bit.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)

    cut_count: int = 6
    mip_rel_gap: float = 5e-3
    max_nodes: int = 2000
    time_limit_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cut_count < 2:
            raise ConfigError(f"planner.cut_count: must be at least 2, got {self.cut_count}")
        if not 0.0 <= self.mip_rel_gap < 1.0:
            raise ConfigError(f"planner.mip_rel_gap: must lie in [0, 1), got {self.mip_rel_gap}")

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of least expected cost, or what the ladder's lower rungs give.

        Raises:
            Infeasible: no offer answers in time, and no function does either.
        """
        return safe_plan(problem, "program", self._plan, headroom=self.headroom)

    def _plan(self, problem: Problem) -> Plan:
        try:
            stated = self.stated_problem(problem)
        except Infeasible:
            if function_in_time(problem.function, problem.service.slo):
                return LambdaOnly().plan(problem)
            raise
        built, solution, start = self._solve(stated)
        return replace(_as_plan(problem, stated, built, solution), warm_start=start)

    def build(self, problem: Problem, mix: Mapping[str, float] | None = None) -> BuiltProgram:
        """Return the model of a decision, for a look at it or to write it to a file.

        Raises:
            Infeasible: no offer answers in time.
        """
        stated = self.stated_problem(problem)
        offers = candidate_offers(stated)
        held = fleet_mix(stated, offers) if mix is None else mix
        statement = self.state(stated, offers, held).of(self._kept(stated, offers))
        return build_program(statement, self.cut_count)

    def _kept(self, stated: Problem, offers: Sequence[Offer]) -> NDArray[np.int64]:
        """Return the numbers of the offers that no other one replaces.

        What is stated - pool states, promises, prices - is so of all offers, and does not change
        with those that are left out. A term may make two of one kind worth having.
        """
        if not all(getattr(term, "DOMINANCE_HOLDS", False) for term in self.terms.values()):
            return np.arange(len(offers))
        joint = self.interruptions == "joint"
        kept = undominated_offers(stated, offers, pools_matter=joint)
        names = {offer.name for offer in kept}
        return np.array([k for k, offer in enumerate(offers) if offer.name in names])

    def _solve(self, stated: Problem) -> tuple[BuiltProgram, Solution, WarmStart | None]:
        """Solve, and solve again while the plan's mix moves required throughput.

        Every round begins near the one before, the first near the problem's warm start. The third
        part of the answer is where the next decision may begin.

        Raises:
            SolverFailed: the first round gave no plan.
        """
        options = SolverOptions(self.mip_rel_gap, self.max_nodes, self.time_limit_s, self.seed)
        offers = candidate_offers(stated)
        kept = self._kept(stated, offers)
        numbers = {offer.name: number for number, offer in enumerate(offers)}
        start = stated.warm_start

        def solve(
            statement: Statement,
        ) -> tuple[tuple[BuiltProgram, Solution], NDArray[np.float64]]:
            nonlocal start
            part = statement.of(kept)
            found = search(
                part,
                options,
                price_offers=not self.terms,
                cut_count=self.cut_count,
                hint=read(start, part),
            )
            built, solution = found
            if solution.hint is not None:
                start = saved(part, solution.hint)
            held = np.zeros(len(statement.offers))
            rows = [numbers[offer.name] for offer in built.statement.offers]
            held[rows] = solution.values[built.ready] @ statement.tree.probability
            return found, held

        built, solution = settle_mix(self, stated, offers, solve)
        return built, solution, start if start is not stated.warm_start else None


def _as_plan(problem: Problem, stated: Problem, built: BuiltProgram, solution: Solution) -> Plan:
    """Return the solution as a plan; beyond the window the last counts are held."""
    billed = billed_counts(built, solution.values)[:, built.middle]
    billed = np.ceil(billed - 1e-6).astype(np.int64)
    beyond = problem.horizon - stated.horizon
    names = [offer.name for offer in problem.offers]
    targets = np.zeros((len(names), problem.horizon), dtype=np.int64)
    rows = [names.index(offer.name) for offer in built.statement.offers]
    targets[rows] = np.pad(billed, ((0, 0), (0, beyond)), mode="edge")
    return Plan(
        planner="program",
        time_s=problem.time_s,
        offers=tuple(names),
        targets=targets,
        warm_functions=np.pad(_warm(stated, built, solution.values), (0, beyond), mode="edge"),
        rung=solution.rung,
        reason=describe(stated, built, solution.values),
        objective_usd=solution.objective_usd,
        bound_usd=solution.bound_usd,
        solver_status=solution.solver_status,
        spends_misses=not function_in_time(problem.function, problem.service.slo),
    )


def _warm(problem: Problem, built: BuiltProgram, values: NDArray[np.float64]) -> NDArray[np.int64]:
    own, demand, cells = built.statement.own, built.statement.demand, built.middle
    if own.warm_limit == 0:
        return np.zeros(problem.horizon, dtype=np.int64)
    if own.warm_usd > 0.0:
        wanted = np.ceil(built.warm_environments(values)[cells] - 1e-6)
        return np.asarray(np.clip(wanted, 0, own.warm_limit), dtype=np.int64)
    # They cost nothing: enough of them for every scenario in the pools' worst state.
    least_rps = built.capacity_rps(values).min(axis=0)
    largest = demand.spill_rps(least_rps).max(axis=0)[cells]
    share = built.statement.tree.probability[cells]
    return warm_count(problem, largest, demand.expected_rps[cells] / share)
