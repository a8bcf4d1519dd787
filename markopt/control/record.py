"""What the loop leaves behind: one record per control interval."""

from __future__ import annotations

from dataclasses import dataclass, field

from markopt.core import ActionReport, Actions, Plan


@dataclass(frozen=True, eq=False)
class IntervalRecord:
    """One control interval: what was forecast and decided at its start, what came of it by its end.

    ``arrivals``, ``spilled``, ``late`` and ``refused`` are the observed counts of the interval.
    ``forecast_*_rps`` is the forecast of this very interval, made at its start. ``ready`` and
    ``billed`` map offers to instance counts right after the actions were applied; ``bill_usd`` is
    the cumulative bill at the end. Wall-clock readings go to ``timing.json`` only.
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
    forecast_wall_s: float = field(default=0.0, compare=False)
    plan_wall_s: float = field(default=0.0, compare=False)
