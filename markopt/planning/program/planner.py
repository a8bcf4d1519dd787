"""The program as a planner: build, climb the ladder, adapt required throughput to the mix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError, Infeasible, SolverFailed
from markopt.planning.lambda_only import LambdaOnly
from markopt.planning.program.builder import BuilderOptions, BuiltProgram, build_program
from markopt.planning.program.data import SpillUnits, demand_data, fleet_data
from markopt.planning.program.foresight import Spread, first_intervals, lead_time_problem
from markopt.planning.program.ladder import Solution, billed_counts, climb
from markopt.planning.program.presolve import undominated_offers
from markopt.planning.program.reason import describe
from markopt.planning.program.recourse import recourse
from markopt.planning.program.solver import SolverOptions
from markopt.planning.requirement import (
    REMIX_ROUNDS,
    candidate_offers,
    fleet_mix,
    function_in_time,
    mix_of,
    remixed,
    required_rps,
    warm_count,
)
from markopt.planning.safety import safe_plan


@dataclass(frozen=True, kw_only=True)
class Program:
    """Least expected cost over the horizon under the SLO's budget of misses, solved by HiGHS.

    DESIGN section 5; docs/formulation.md gives every symbol. ``headroom`` multiplies the demand
    paths. ``window`` intervals are looked ahead, at least the largest launch delay + 1 (None: the
    whole forecast). ``integer_intervals`` of them are whole numbers (None: all), continuous after:
    a continuous tail believes that it may keep a fraction of a large instance, and so never lets
    the whole one go (docs/decisions/002). ``spill_weight`` multiplies the bill of a spilled
    request: a spill also brings cold starts, and those the SLO monitor's extra instances
    (docs/decisions/006). ``cut_count`` bounds the cuts per interval. ``spill_units``: a shortage
    spills ``requests`` in proportion to demand, or ``throughput`` (each counts Q(D)/D times).
    ``spread``: beyond the launch delay cover only what will be unknown when capacity for then is
    decided (``lead_time``), or the whole spread of the paths with one fleet plan (``open_loop``).
    ``terminal_value_share`` of an instance's boot bill is credited for what is ready at the end.
    ``mip_rel_gap``, ``max_nodes`` and ``time_limit_s`` end a solve; with a time limit a plan
    can no longer be replayed bit for bit.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)

    headroom: float = 1.0
    window: int | None = 6
    integer_intervals: int | None = None
    cut_count: int = 20
    spill_weight: float = 3.0
    spill_units: SpillUnits = "requests"
    spread: Spread = "open_loop"
    terminal_value_share: float = 0.0
    mip_rel_gap: float = 5e-3
    max_nodes: int = 2000
    time_limit_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.headroom > 0.0:
            raise ConfigError(f"planner.headroom: must be positive, got {self.headroom}")
        if not self.spill_weight > 0.0:
            raise ConfigError(f"planner.spill_weight: must be positive, got {self.spill_weight}")
        if self.cut_count < 2:
            raise ConfigError(f"planner.cut_count: must be at least 2, got {self.cut_count}")
        if not 0.0 <= self.mip_rel_gap < 1.0:
            raise ConfigError(f"planner.mip_rel_gap: must lie in [0, 1), got {self.mip_rel_gap}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"planner.window: must be at least 1, got {self.window}")
        if self.integer_intervals is not None and self.integer_intervals < 1:
            raise ConfigError(
                f"planner.integer_intervals: must be at least 1, got {self.integer_intervals}"
            )
        if self.spill_units not in ("requests", "throughput"):
            raise ConfigError(
                f"planner.spill_units: must be 'requests' or 'throughput', got '{self.spill_units}'"
            )
        if self.spread not in ("lead_time", "open_loop"):
            raise ConfigError(
                f"planner.spread: must be 'lead_time' or 'open_loop', got '{self.spread}'"
            )
        if not 0.0 <= self.terminal_value_share <= 1.0:
            raise ConfigError(
                f"planner.terminal_value_share: must lie in [0, 1], got {self.terminal_value_share}"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of least expected cost, or what the ladder's lower rungs give.

        Raises:
            Infeasible: no offer answers in time, and no function does either.
        """
        return safe_plan(problem, "program", self._plan, headroom=self.headroom)

    def _plan(self, problem: Problem) -> Plan:
        try:
            candidates = candidate_offers(problem)
        except Infeasible:
            if function_in_time(problem.function, problem.service.slo):
                return LambdaOnly().plan(problem)
            raise
        stated = self.stated_problem(problem)
        built, solution = self._solve(stated, undominated_offers(stated, candidates))
        return _as_plan(problem, stated, built, solution)

    def stated_problem(self, problem: Problem) -> Problem:
        """Return the problem whose cost is minimized: its forecast has ``window`` and ``spread``.

        Raises:
            Infeasible: no offer answers in time.
        """
        candidates = candidate_offers(problem)
        if self.window is not None:
            problem = first_intervals(problem, candidates, self.window)
        if self.spread == "open_loop":
            return problem
        return lead_time_problem(problem, candidates)

    def build(self, problem: Problem, mix: Mapping[str, float] | None = None) -> BuiltProgram:
        """Return the model of a decision, for a look at it or to write it to a file.

        Raises:
            Infeasible: no offer answers in time.
        """
        stated = self.stated_problem(problem)
        offers = undominated_offers(stated, candidate_offers(stated))
        held = fleet_mix(stated, offers) if mix is None else mix
        return self._build(stated, offers, held)

    def _build(
        self, problem: Problem, offers: tuple[Offer, ...], mix: Mapping[str, float]
    ) -> BuiltProgram:
        options = BuilderOptions(self.integer_intervals, self.cut_count, self.terminal_value_share)
        demand = demand_data(problem, mix, self.headroom, self.spill_units)
        own = recourse(problem)
        own = replace(own, spill_usd=own.spill_usd * self.spill_weight)
        return build_program(problem, fleet_data(problem, offers), demand, own, options)

    def _solve(self, problem: Problem, offers: tuple[Offer, ...]) -> tuple[BuiltProgram, Solution]:
        """Solve, read the plan's mix, and solve again while required throughput moves.

        Raises:
            SolverFailed: the first round gave no plan.
        """
        options = SolverOptions(self.mip_rel_gap, self.max_nodes, self.time_limit_s, self.seed)
        mix = fleet_mix(problem, offers)
        mean_rps = problem.forecast.mean_rps() * self.headroom
        built = self._build(problem, offers, mix)
        solution = climb(built, problem.limits, options)
        for _ in range(REMIX_ROUNDS - 1):
            held = solution.values[built.ready].sum(axis=1)
            planned = mix_of(offers, np.where(held > 1e-6, held, 0.0)) if held.any() else mix
            if not remixed(
                required_rps(problem, mean_rps, mix), required_rps(problem, mean_rps, planned)
            ):
                break
            mix = planned
            again = self._build(problem, offers, mix)
            try:
                solution = climb(again, problem.limits, options)
            except SolverFailed:
                break  # the plan of the round before stands
            built = again
        return built, solution


def _as_plan(problem: Problem, stated: Problem, built: BuiltProgram, solution: Solution) -> Plan:
    """Return the solution as a plan; beyond the window the last counts are held."""
    billed = np.ceil(billed_counts(built, solution.values) - 1e-6).astype(np.int64)
    beyond = problem.horizon - stated.horizon
    names = [offer.name for offer in problem.offers]
    targets = np.zeros((len(names), problem.horizon), dtype=np.int64)
    rows = [names.index(offer.name) for offer in built.fleet.offers]
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
    )


def _warm(problem: Problem, built: BuiltProgram, values: NDArray[np.float64]) -> NDArray[np.int64]:
    if built.own.warm_limit == 0:
        return np.zeros(problem.horizon, dtype=np.int64)
    if built.own.warm_usd > 0.0:
        wanted = np.ceil(built.warm_environments(values) - 1e-6)
        return np.asarray(np.clip(wanted, 0, built.own.warm_limit), dtype=np.int64)
    largest = built.demand.spill_rps(built.capacity_rps(values)).max(axis=0)
    return warm_count(problem, largest, built.demand.expected_rps)
