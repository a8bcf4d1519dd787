"""One decision as the mathematics has it: the data that every formulation starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Problem
from markopt.errors import ConfigError, SolverFailed
from markopt.planning.requirement import (
    REMIX_ROUNDS,
    candidate_offers,
    fleet_mix,
    launch_delay_intervals,
    mix_of,
    remixed,
    required_rps,
)
from markopt.planning.statement.demand import DemandData, SpillUnits, demand_data
from markopt.planning.statement.fleet import FleetData, fleet_data
from markopt.planning.statement.foresight import Spread, first_intervals, lead_time_problem
from markopt.planning.statement.promise import promised_levels
from markopt.planning.statement.reach import capacity_in_reach
from markopt.planning.statement.risk import Risk
from markopt.planning.statement.spill import MissBudget, Spill, miss_budget, weighted_spill
from markopt.planning.statement.states import Interruptions, PoolStates, pool_states
from markopt.planning.statement.tree import Recourse, ScenarioTree, scenario_tree

Array = NDArray[np.float64]
Answer = TypeVar("Answer")

# A launch costs this share more than it does, so that of two equal plans the calmer one wins.
CALM_SHARE = 1e-6
# USD per violation beyond the budget, in prices of the dearest instance from launch to one
# interval of service: enough that money never buys a violation while an instance could prevent it.
PENALTY_INSTANCES = 20.0


@dataclass(frozen=True, eq=False)
class Statement:
    """A decision's data: offers, fleet, scenario tree, pool states, demand and what is promised.

    ``problem`` has the window's forecast. Columns of a formulation lie over (offer, cell), where a
    cell is a node of ``tree`` at an interval. ``levels_rps`` (states, cells) is the throughput
    that the risk measure asks for, -inf where it asks for nothing, and at most ``reach_rps``, what
    instances and warm functions could serve at all: what no decision can prevent is no shortage, at
    its price it would drown what can be decided in the solver's gap. ``penalty_usd`` is what one
    violation beyond what is allowed costs. ``spared_paths`` is how many paths a sample-average
    promise over the whole window may break, None without one.
    """

    problem: Problem
    offers: tuple[Offer, ...]
    fleet: FleetData
    tree: ScenarioTree
    states: PoolStates
    demand: DemandData
    own: Spill
    settings: Formulation
    levels_rps: Array
    reach_rps: Array
    budget: MissBudget
    penalty_usd: float
    spared_paths: int | None = None

    @cached_property
    def available(self) -> Array:
        """The available shares, (states, offers, cells)."""
        shares = self.states.available
        return shares[:, :, self.tree.interval if shares.shape[2] > 1 else self._no_time]

    @cached_property
    def expected_available(self) -> Array:
        """The expected shares, (offers, cells)."""
        shares = self.states.expected
        return shares[:, self.tree.interval if shares.shape[1] > 1 else self._no_time]

    @property
    def _no_time(self) -> NDArray[np.int64]:
        return np.zeros(self.tree.cells, dtype=np.int64)

    def of(self, offers: NDArray[np.int64]) -> Statement:
        """Return the same decision with some of the offers only, by their numbers.

        Pool states that differ in none of them become one.
        """
        states, group = self.states.of(offers)
        levels = np.full((len(states.probability), self.tree.cells), -np.inf)
        reach = np.zeros(levels.shape)
        np.maximum.at(levels, group, self.levels_rps)
        np.maximum.at(reach, group, self.reach_rps)
        return replace(
            self,
            offers=tuple(self.offers[k] for k in offers.tolist()),
            fleet=self.fleet.of(offers),
            states=states,
            levels_rps=levels,
            reach_rps=reach,
        )

    @property
    def whole_intervals(self) -> int:
        """Intervals in whole instances: as set, or those before the paths are told apart."""
        wanted = self.settings.integer_intervals
        return self.tree.shared if wanted is None else wanted

    def asked_by_path(self, state: int) -> Array:
        """Return what every path asks for in a state, (scenarios, horizon), as far as in reach."""
        cells = self.tree.cell_of[self.tree.leaf_of]
        asked: Array = np.minimum(self.by_scenario[0], self.reach_rps[state, cells])
        return asked

    @cached_property
    def by_scenario(self) -> tuple[Array, Array]:
        """Required throughput and slope by scenario and interval, (scenarios, horizon)."""
        paths = np.asarray(self.problem.forecast.paths_rps) * self.settings.headroom
        q, slope = np.zeros((2, *paths.shape))
        for cell in range(self.tree.cells):
            inside, t = self.tree.members(cell), int(self.tree.interval[cell])
            ordered = inside[np.argsort(-paths[inside, t], kind="stable")]
            q[ordered, t] = self.demand.q[: len(inside), cell]
            slope[ordered, t] = self.demand.slope[: len(inside), cell]
        return q, slope

    @property
    def paid_spill_usd(self) -> float:
        """Return what a spilled request is billed, USD: without weight and price of missing."""
        return (self.own.spill_usd - self.own.miss_usd) / self.settings.spill_weight


@dataclass(frozen=True, kw_only=True)
class Formulation:
    """What of the program is switched on; the same for every way to solve it.

    DESIGN section 5; docs/formulation.md gives every symbol. ``headroom`` multiplies the demand
    paths. ``window`` intervals are looked ahead, at least the largest launch delay + 1 (None: the
    whole forecast). ``integer_intervals`` of them are whole numbers, continuous after (None: as
    long as nothing branches): a continuous tail believes that it may keep a fraction of a large
    instance, and so never lets the whole one go (docs/decisions/002). ``spill_weight`` multiplies
    the bill of a spilled request: a spill also brings cold starts, and those the SLO monitor's
    extra instances (docs/decisions/006). ``miss_weight`` prices a miss where no function is in
    time, in bills of a request on the cheapest instance; None: misses are free within the window's
    budget, and beyond it as dear as can be (docs/decisions/010). ``spill_units``: a shortage spills
    ``requests`` in
    proportion to demand, or ``throughput`` (each counts Q(D)/D times).
    ``recourse``: later decisions depend on nothing that is seen (``open_loop``), on everything
    from the next interval on (``wait_and_see``), or on what is seen once a launch of now is ready
    (``delayed``); paths are told apart in ``scenario_groups`` (of groups, at the second and later
    branchings; empty: every path by itself).
    ``spread``: beyond the launch delay cover only what will be unknown when capacity for then is
    decided (``lead_time``), or the whole spread of the paths (``open_loop``).
    ``interruptions``: every spot offer serves its ``expected`` share, or pools fail in ``joint``
    states, of which ``shared_shock_share`` strikes all at once.
    ``terminal_value_share`` of an instance's boot bill is credited for what is ready at the end.
    ``risk`` is the promise per interval. ``terms`` are further constraints and costs, by name.

    Raises:
        ConfigError: an argument is out of range.
    """

    headroom: float = 1.0
    window: int | None = 6
    integer_intervals: int | None = None
    spill_weight: float = 1.0
    miss_weight: float | None = 10.0
    spill_units: SpillUnits = "requests"
    spread: Spread = "lead_time"
    recourse: Recourse = "open_loop"
    scenario_groups: Sequence[int] = (6,)
    interruptions: Interruptions = "expected"
    shared_shock_share: float = 0.1
    terminal_value_share: float = 0.0
    risk: Risk = field(default_factory=Risk)
    terms: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scenario_groups", tuple(self.scenario_groups))
        for key in ("headroom", "spill_weight"):
            if not getattr(self, key) > 0.0:
                raise ConfigError(f"planner.{key}: must be positive, got {getattr(self, key)}")
        if self.miss_weight is not None and not self.miss_weight > 0.0:
            raise ConfigError(f"planner.miss_weight: must be positive, got {self.miss_weight}")
        for key in ("window", "integer_intervals"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"planner.{key}: must be at least 1, got {value}")
        for key, known in (
            ("spill_units", ("requests", "throughput")),
            ("spread", ("lead_time", "open_loop")),
            ("recourse", ("open_loop", "wait_and_see", "delayed")),
            ("interruptions", ("expected", "joint")),
        ):
            if getattr(self, key) not in known:
                listed = " or ".join(f"'{name}'" for name in known)
                raise ConfigError(f"planner.{key}: must be {listed}, got '{getattr(self, key)}'")
        for key in ("terminal_value_share", "shared_shock_share"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ConfigError(f"planner.{key}: must lie in [0, 1], got {getattr(self, key)}")
        if any(wanted < 1 for wanted in self.scenario_groups):
            raise ConfigError(
                f"planner.scenario_groups: must be at least 1 each, got {self.scenario_groups}"
            )

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

    def state(
        self, stated: Problem, offers: Sequence[Offer], mix: Mapping[str, float]
    ) -> Statement:
        """Return the data of a decision over ``offers`` for a fleet of this mix.

        ``stated`` is what ``stated_problem`` returned.
        """
        tree = self._tree(stated, offers)
        states = pool_states(stated, offers, self.interruptions, self.shared_shock_share)
        demand = demand_data(stated, tree, mix, self.headroom, self.spill_units)
        levels_rps, spared_paths = promised_levels(self.risk, tree, states, demand)
        fleet = fleet_data(stated, offers)
        own = weighted_spill(stated, self.spill_weight, self.miss_weight)
        reach = capacity_in_reach(fleet, states, stated.horizon)[:, tree.interval]
        least = np.zeros(tree.cells)
        if own.spill_misses > 0.0:
            spill = np.array([demand.expected_spill_rps(capacity) for capacity in reach])
            least = (states.probability @ spill) * own.spill_misses
        budget = miss_budget(
            stated,
            tree.by_interval(demand.expected_rps),
            own,
            tree.by_interval(least * stated.interval_s),
        )
        reach = reach + own.warm_limit * own.warm_rps
        return Statement(
            problem=stated,
            offers=tuple(offers),
            fleet=fleet,
            tree=tree,
            states=states,
            demand=demand,
            own=own,
            settings=self,
            levels_rps=np.minimum(levels_rps, reach),
            reach_rps=reach,
            budget=budget,
            penalty_usd=violation_usd(stated),
            spared_paths=spared_paths,
        )

    def _tree(self, stated: Problem, offers: Sequence[Offer]) -> ScenarioTree:
        shared = {"open_loop": stated.horizon, "wait_and_see": 1, "delayed": 0}[self.recourse]
        if self.recourse == "delayed":
            shared = 1 + min(launch_delay_intervals(o, stated.interval_s) for o in offers)
        forecast = stated.forecast
        return scenario_tree(
            np.asarray(forecast.paths_rps),
            np.asarray(forecast.probabilities),
            shared,
            self.scenario_groups,
        )


def violation_usd(problem: Problem) -> float:
    """Return the price of one violation beyond what is allowed, USD.

    The dearest of all offers that may carry load counts, also one that is left out of a statement
    because another replaces it: the price must not depend on who solves.
    """
    interval_s = problem.interval_s
    usd = [
        (launch_delay_intervals(offer, interval_s) + 1) * offer.price_usd_per_s * interval_s
        for offer in candidate_offers(problem)
    ]
    return PENALTY_INSTANCES * max(usd)


def settle_mix(
    formulation: Formulation,
    stated: Problem,
    offers: Sequence[Offer],
    solve: Callable[[Statement], tuple[Answer, Array]],
) -> Answer:
    """Solve, read the plan's mix, and solve again while required throughput moves.

    ``solve`` returns its answer and the ready instances of every offer, (offers,), summed over the
    window. Where a later round fails, the answer of the one before stands.

    Raises:
        SolverFailed: the first round failed.
    """
    mix: Mapping[str, float] = fleet_mix(stated, offers)
    mean_rps = stated.forecast.mean_rps() * formulation.headroom
    answer, held = solve(formulation.state(stated, offers, mix))
    for _ in range(REMIX_ROUNDS - 1):
        planned = mix_of(offers, np.where(held > 1e-6, held, 0.0)) if held.any() else mix
        before, after = (required_rps(stated, mean_rps, each) for each in (mix, planned))
        if not remixed(before, after):
            break
        mix = planned
        try:
            answer, held = solve(formulation.state(stated, offers, mix))
        except SolverFailed:
            break
    return answer
