"""What one episode left behind, and the summary that every episode writes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from markopt.control.record import IntervalRecord
from markopt.core import Ledger, RequestStatistics, Slo
from markopt.evaluation.regret import DecisionRegret, mean_regret

if TYPE_CHECKING:
    from markopt.evaluation.attribution import Attribution

SUMMARY_SCHEMA = "markopt.summary/1"
COST_KINDS = ("on_demand", "spot", "burstable", "lambda", "warm")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p98": 0.98, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, eq=False)
class EpisodeResult:
    """One policy run over one trace.

    ``intervals`` are the control loop's records; ``statistics`` and ``ledger`` are the simulated
    cloud's own books. ``clairvoyant_bound_usd`` is the least cost that perfect foresight could
    reach (None where it was not computed). ``wall_s`` holds clock readings by phase, in seconds.
    ``provenance`` names the hashes of what the result follows from. ``regrets`` judge single
    decisions, ``attribution`` splits the cost above the bound (None where that was not asked for).
    """

    policy: str
    trace: str
    seed: int
    service: str
    slo: Slo
    interval_s: float
    start_s: float
    end_s: float
    statistics: RequestStatistics
    ledger: Ledger
    intervals: tuple[IntervalRecord, ...]
    clairvoyant_bound_usd: float | None = None
    wall_s: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    regrets: tuple[DecisionRegret, ...] | None = None
    attribution: Attribution | None = None

    @property
    def meets_slo(self) -> bool:
        """True where the attainment is at least SL_min."""
        return self.statistics.attainment >= self.slo.sl_min


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is missing or not finite (JSON has no NaN)."""
    return None if value is None or not math.isfinite(value) else float(value)


def _requests(statistics: RequestStatistics) -> dict[str, int]:
    by_path = {path: int(counts.sum()) for path, counts in statistics.latency_counts.items()}
    functions = sum(count for path, count in by_path.items() if path.startswith("lambda"))
    return {
        "total": statistics.requests,
        "instances": sum(by_path.values()) - functions,
        "lambda": functions,
        "refused": int(statistics.refused.sum()),
        "throttled": statistics.throttled,
        "lost": statistics.lost,
    }


def _forecast(intervals: tuple[IntervalRecord, ...], interval_s: float) -> dict[str, float | None]:
    if not intervals:
        return {"pinball": None, "coverage_90": None, "mean_error_rps": None}
    rate = np.array([r.arrivals for r in intervals], dtype=np.float64) / interval_s
    low = np.array([r.forecast_p05_rps for r in intervals])
    high = np.array([r.forecast_p95_rps for r in intervals])
    mean = np.array([r.forecast_mean_rps for r in intervals])
    losses = np.array([r.pinball for r in intervals])
    scored = losses[np.isfinite(losses)]
    return {
        "pinball": float(scored.mean()) if len(scored) else None,
        "coverage_90": finite(float(np.mean((low <= rate) & (rate <= high)))),
        "mean_error_rps": finite(float(np.mean(mean - rate))),
    }


def _planner(intervals: tuple[IntervalRecord, ...]) -> dict[str, Any]:
    gaps = [gap for record in intervals if (gap := record.plan.gap) is not None]
    rungs: dict[str, int] = {}
    for record in intervals:
        rungs[record.plan.rung] = rungs.get(record.plan.rung, 0) + 1
    return {
        "decisions": len(intervals),
        "gap_max": max(gaps, default=None),
        "gap_mean": finite(float(np.mean(gaps))) if gaps else None,
        "rungs": dict(sorted(rungs.items())),
    }


def _losses(attribution: Attribution) -> dict[str, float]:
    return {loss.part: loss.usd for loss in attribution.losses}


def summarize(result: EpisodeResult) -> dict[str, Any]:
    """Return the episode's summary: same config, same content.

    ``cost_over_bound`` is None where the policy misses SL_min: the clairvoyant bound only bounds
    policies that meet it.
    """
    statistics, ledger, slo = result.statistics, result.ledger, result.slo
    windows = statistics.attainment_by_window(slo.window_s)
    worst = float(np.nanmin(windows)) if np.isfinite(windows).any() else None
    total, bound = ledger.total_usd, finite(result.clairvoyant_bound_usd)
    comparable = bound is not None and bound > 0.0 and result.meets_slo
    requests = _requests(statistics)
    known = {kind: float(ledger.cost_usd.get(kind, 0.0)) for kind in COST_KINDS}
    others = {k: float(v) for k, v in sorted(ledger.cost_usd.items()) if k not in COST_KINDS}
    answered = sum(int(counts.sum()) for counts in statistics.latency_counts.values())
    return {
        "schema": SUMMARY_SCHEMA,
        "policy": result.policy,
        "service": result.service,
        "trace": result.trace,
        "seed": result.seed,
        "span_s": {"start": result.start_s, "end": result.end_s, "interval": result.interval_s},
        "requests": requests,
        "lambda_share": requests["lambda"] / requests["total"] if requests["total"] else 0.0,
        "slo": {
            "rt_max_s": slo.rt_max_s,
            "sl_min": slo.sl_min,
            "window_s": slo.window_s,
            "attainment": statistics.attainment,
            "worst_window_attainment": finite(worst),
            "met": result.meets_slo,
        },
        "latency_s": {
            **{name: finite(statistics.latency_quantile_s(q)) for name, q in QUANTILES.items()},
            "mean": statistics.latency_sum_s / answered if answered else None,
            "max": finite(statistics.latency_max_s) if answered else None,
        },
        "cost_usd": {"total": total, **known, **others},
        "launches": ledger.launches,
        "interruptions": ledger.interruptions,
        "monitor_launches": sum(record.monitor_launches for record in result.intervals),
        "planner": _planner(result.intervals),
        "forecast": _forecast(result.intervals, result.interval_s),
        "clairvoyant_bound_usd": bound,
        "cost_over_bound": total / bound if comparable and bound else None,
        **({} if result.regrets is None else {"regret": mean_regret(result.regrets)}),
        **({} if result.attribution is None else {"loss_usd": _losses(result.attribution)}),
    }


def summarize_timing(result: EpisodeResult) -> dict[str, Any]:
    """Return the clock readings, which differ from run to run and stay out of the summary."""
    plan_s = [record.plan_wall_s for record in result.intervals]
    forecast_s = [record.forecast_wall_s for record in result.intervals]
    return {
        "schema": "markopt.timing/1",
        "wall_s": {name: round(value, 6) for name, value in result.wall_s.items()},
        "plan_s": _spread(plan_s),
        "forecast_s": _spread(forecast_s),
        "plan_wall_s": [round(value, 6) for value in plan_s],
        "forecast_wall_s": [round(value, 6) for value in forecast_s],
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"mean": None, "p50": None, "p98": None, "max": None}
    return {
        "mean": float(np.mean(values)),
        "p50": float(np.quantile(values, 0.5)),
        "p98": float(np.quantile(values, 0.98)),
        "max": float(np.max(values)),
    }
