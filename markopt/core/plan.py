"""A planner's answer: intent over the horizon, with its proof and its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import ConfigDict

from markopt.core.arrays import Integers, frozen_integers
from markopt.core.warm_start import WarmStart
from markopt.errors import PlanningError

PLAN_SCHEMA = "markopt.plan/1"


@dataclass(frozen=True, eq=False)
class Plan:
    """Billed instance counts per offer and interval, and what is known of their quality.

    ``targets`` has shape (offers, horizon), rows in the order of ``offers``; only column 0 is
    carried out. ``warm_functions`` has shape (horizon,). ``objective_usd`` is the expected cost
    over the horizon, ``bound_usd`` a proven lower bound on it, both None for rules that optimise
    nothing. ``rung`` names the step of the solve ladder that gave the plan (``optimal``,
    ``incumbent``, ``rounded``, ``greedy``, ``hold``, ``rule``) and ``reason`` says why, in words.
    ``warm_start`` is where a search for the next decision may begin, None without a search.
    ``spends_misses``: the plan counts on the misses that the SLO's window still allows, so that
    misses within it are no emergency (see ``SloMonitor``).

    Raises:
        PlanningError: shapes do not fit or a count is negative.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    planner: str
    time_s: float
    offers: tuple[str, ...]
    targets: Integers
    warm_functions: Integers
    rung: str
    reason: str
    objective_usd: float | None = None
    bound_usd: float | None = None
    solver_status: str | None = None
    spends_misses: bool = False
    warm_start: WarmStart | None = None
    schema: str = PLAN_SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", frozen_integers(self.targets))
        object.__setattr__(self, "warm_functions", frozen_integers(self.warm_functions))
        if self.targets.ndim != 2 or self.targets.shape[0] != len(self.offers):
            raise PlanningError(
                f"Plan of '{self.planner}': targets must have shape ({len(self.offers)}, horizon), "
                f"got {self.targets.shape}"
            )
        if self.warm_functions.shape != (self.targets.shape[1],):
            raise PlanningError(
                f"Plan of '{self.planner}': needs one warm count per interval, got "
                f"{self.warm_functions.shape} for a horizon of {self.targets.shape[1]}"
            )
        if (self.targets < 0).any() or (self.warm_functions < 0).any():
            raise PlanningError(f"Plan of '{self.planner}': counts must not be negative")

    @property
    def gap(self) -> float | None:
        """Relative gap (objective - bound) / objective, None where no bound is known."""
        if self.objective_usd is None or self.bound_usd is None:
            return None
        return max(self.objective_usd - self.bound_usd, 0.0) / max(abs(self.objective_usd), 1e-9)

    def target_now(self) -> dict[str, int]:
        """Return the billed count per offer that is wanted now."""
        return {name: int(self.targets[row, 0]) for row, name in enumerate(self.offers)}

    def first_step(self) -> Plan:
        """Return the plan with the one interval that is carried out."""
        return replace(
            self,
            targets=self.targets[:, :1],
            warm_functions=self.warm_functions[:1],
            warm_start=None,
        )
