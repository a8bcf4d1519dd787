"""What the journal tells, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass, field

from markopt.control.guards.cut import Cut
from markopt.core import ActionReport, Actions, Observation, Plan, Problem, RateSeries


@dataclass(frozen=True, eq=False)
class ObservationEntry:
    """What the cloud showed."""

    entry: int
    time_s: float
    observation: Observation


@dataclass(frozen=True, eq=False)
class RateEntry:
    """What the forecaster was told of an interval."""

    entry: int
    time_s: float
    observed: RateSeries


@dataclass(frozen=True, eq=False)
class PlanEntry:
    """A problem, and the planner's answer: a plan, or an error (its class and its text).

    ``at_deadline``: a time limit ended the solve, so that nobody can make the same plan again.
    """

    entry: int
    time_s: float
    epoch: int
    problem: Problem
    plan: Plan | None
    error: str | None
    wall_s: float
    at_deadline: bool


@dataclass(frozen=True, eq=False)
class ActionEntry:
    """Actions: what the loop wanted, what the guard rails left of it, what became of that.

    ``report`` is None where the effects are unknown: the process died between intent and report.
    """

    entry: int
    time_s: float
    unix_s: float
    plan: int | None
    kind: str
    decision_id: str
    mode: str
    wanted: Actions
    allowed: Actions
    cuts: tuple[Cut, ...]
    report: ActionReport | None


@dataclass(frozen=True, eq=False)
class IntervalEntry:
    """One control interval, once it is over; ``time_s`` is its start.

    ``forecast_rps`` maps ``mean``, ``p05``, ``p50`` and ``p95`` to the forecast of its rate.
    """

    entry: int
    time_s: float
    end_s: float
    arrivals: int
    spilled: int
    late: int
    refused: int
    bill_usd: float
    forecast_rps: dict[str, float] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    billed: dict[str, int] = field(default_factory=dict)
    warm_functions: int = 0
    monitor_launches: int = 0
    scale_in_frozen: bool = False


Entry = ObservationEntry | RateEntry | PlanEntry | ActionEntry | IntervalEntry


@dataclass(frozen=True)
class Epoch:
    """A fit of the forecaster, and all that was decided with it: where it began, from what."""

    epoch: int
    begin_s: float
    opened_unix_s: float
    version: str
    config: str


@dataclass(frozen=True)
class Session:
    """A process that drove the deployment; ``ending`` None: it runs, or was killed."""

    session: int
    epoch: int
    process: int
    mode: str
    began_unix_s: float
    ended_unix_s: float | None
    ending: str | None
