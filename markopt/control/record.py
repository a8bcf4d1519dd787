"""What the loop leaves behind: one record per control interval."""

from __future__ import annotations

from dataclasses import dataclass, field

from markopt.core import ActionReport, Actions, FleetState, Plan, SloWindow


@dataclass(frozen=True)
class MonitorDecision:
    """One launch by the SLO monitor, and the average share of violations that made it act."""

    time_s: float
    violation_share: float
    actions: Actions
    report: ActionReport


def violation_text(share: float) -> str:
    """Return in words why the monitor acts at this average share of violations."""
    return f"{share:.4%} of requests missed the SLO, on average"


@dataclass(frozen=True, eq=False)
class RefusedPlan:
    """A plan some of whose launches lacked capacity, so that another was made at once."""

    plan: Plan
    actions: Actions
    report: ActionReport


@dataclass(frozen=True, eq=False)
class IntervalRecord:
    """One control interval: what was forecast and decided at its start, what came of it by its end.

    ``arrivals``, ``spilled``, ``late`` and ``refused`` are the observed counts of the interval.
    ``forecast_*_rps`` is the forecast of this very interval, made at its start; ``pinball`` its
    mean pinball loss in requests/s (NaN where nothing was observed). ``ready`` and
    ``billed`` map offers to instance counts right after the actions were applied; ``bill_usd`` is
    the cumulative bill at the end. Of the ``plan`` only the first step is kept. ``observed_rps``
    (the rate of the interval before, NaN without data), ``fleet`` and ``window`` are what was known
    when the plan was made; ``scale_in_frozen`` tells that missing data forbade terminations.
    ``earlier`` are plans of the same time whose launches lacked capacity; ``plan``, ``actions`` and
    ``report`` are the last one's. Wall-clock readings go to ``timing.json`` only.
    """

    start_s: float
    end_s: float
    arrivals: int
    spilled: int
    late: int
    refused: int
    forecast_mean_rps: float
    forecast_p05_rps: float
    forecast_p50_rps: float
    forecast_p95_rps: float
    pinball: float
    ready: dict[str, int]
    billed: dict[str, int]
    warm_functions: int
    bill_usd: float
    plan: Plan
    actions: Actions
    report: ActionReport
    monitor_launches: int = 0
    earlier: tuple[RefusedPlan, ...] = ()
    forecast_wall_s: float = field(default=0.0, compare=False)
    plan_wall_s: float = field(default=0.0, compare=False)
    observed_rps: float = float("nan")
    fleet: FleetState = field(default_factory=FleetState)
    window: SloWindow = field(default_factory=SloWindow)
    scale_in_frozen: bool = False
    monitor_decisions: tuple[MonitorDecision, ...] = ()
