"""Small episodes made from formulas, for tests that need a result but no simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from markopt.control.record import IntervalRecord
from markopt.core import ActionReport, Actions, Ledger, Plan, RequestStatistics, Slo
from markopt.evaluation.outcome import EpisodeResult

OFFERS = ("c5.large/on_demand", "c5.large/spot")


def record(
    at: int, arrivals: int, missed: int, bill_usd: float, *, wall_s: float = 0.004
) -> IntervalRecord:
    rate = arrivals / 60.0
    count = 1 + int(rate / 25.0)
    plan = Plan(
        planner="program",
        time_s=60.0 * at,
        offers=OFFERS,
        targets=[[1, 1], [count, count]],
        warm_functions=[at % 3, 0],
        rung="optimal" if at % 7 else "incumbent",
        reason=f"launch 1 c5.large/spot: 95 % of paths exceed {rate:.0f} rps <in 2 min>",
        objective_usd=0.01 * count,
        bound_usd=0.00995 * count,
    )
    launch = {"c5.large/spot": 1} if at % 5 == 0 else {}
    return IntervalRecord(
        start_s=60.0 * at,
        end_s=60.0 * (at + 1),
        arrivals=arrivals,
        spilled=missed,
        late=missed // 2,
        refused=missed - missed // 2,
        forecast_mean_rps=rate * 1.02,
        forecast_p05_rps=rate * 0.8,
        forecast_p50_rps=rate,
        forecast_p95_rps=rate * 1.25,
        pinball=0.1 * rate,
        ready={"c5.large/on_demand": 1, "c5.large/spot": max(count - 1, 0)},
        billed={"c5.large/on_demand": 1, "c5.large/spot": count},
        warm_functions=at % 3,
        bill_usd=bill_usd,
        plan=plan,
        actions=Actions(f"d{at}", launch=launch),
        report=ActionReport(f"d{at}"),
        plan_wall_s=wall_s * (1 + at % 4),
        forecast_wall_s=0.001,
    )


def episode(
    *,
    policy: str = "program",
    seed: int = 0,
    intervals: int = 180,
    missed_share: float = 0.01,
    usd_per_interval: float = 0.01,
    bound_usd: float | None = None,
) -> EpisodeResult:
    """An episode of a daily wave with noise; ``missed_share`` of the requests miss."""
    rng = np.random.default_rng(seed)
    hours = np.arange(intervals) / 60.0
    rates = 60.0 + 30.0 * np.sin(hours / 2.0) + rng.normal(0.0, 3.0, intervals)
    arrivals = np.rint(60.0 * np.maximum(rates, 1.0)).astype(np.int64)
    missed = np.floor(missed_share * arrivals).astype(np.int64)
    late = missed // 2
    bins = np.zeros((4, intervals, 12), dtype=np.int64)
    for row, counts in enumerate((arrivals, late, missed - late, missed)):
        bins[row, :, 0] = counts
    edges = np.geomspace(0.01, 2.0, 531)
    center = np.sqrt(edges[:-1] * edges[1:])
    total = int((arrivals - (missed - late)).sum())
    shape = np.exp(-0.5 * (np.log(center / 0.06) / 0.4) ** 2)
    counts = np.floor((total - int(late.sum())) * shape / shape.sum()).astype(np.int64)
    functions = np.zeros_like(counts)
    functions[400] = total - int(counts.sum())
    cost = usd_per_interval * intervals
    costs = usd_per_interval * (1.0 + 0.3 * np.sin(hours))
    bills = np.cumsum(costs)
    return EpisodeResult(
        policy=policy,
        trace="sample",
        seed=seed,
        service="inception_bn",
        slo=Slo(0.2, 0.98),
        interval_s=60.0,
        start_s=0.0,
        end_s=60.0 * intervals,
        statistics=RequestStatistics(
            start_s=0.0,
            bin_s=5.0,
            arrivals=bins[0].ravel(),
            late=bins[1].ravel(),
            refused=bins[2].ravel(),
            spilled=bins[3].ravel(),
            latency_edges_s=edges,
            latency_counts={"instances": counts, "lambda": functions},
            latency_sum_s=float(counts @ center),
            latency_max_s=0.9,
        ),
        ledger=Ledger(
            {"on_demand": 0.5 * cost, "spot": 0.4 * cost, "lambda": 0.1 * cost},
            {OFFERS[0]: 60.0 * intervals},
            launches=12,
            interruptions=1,
        ),
        intervals=tuple(
            record(at, int(arrivals[at]), int(missed[at]), float(bills[at]))
            for at in range(intervals)
        ),
        clairvoyant_bound_usd=0.6 * cost if bound_usd is None else bound_usd,
        wall_s={"episode": 1.0},
        config={"seed": seed, "planner": {"_target_": "markopt.planning.Program"}},
    )


def dearer(result: EpisodeResult, factor: float) -> EpisodeResult:
    """The same episode at a multiple of its cost."""
    ledger = result.ledger
    costs = {kind: factor * usd for kind, usd in ledger.cost_usd.items()}
    intervals = tuple(replace(r, bill_usd=factor * r.bill_usd) for r in result.intervals)
    return replace(result, ledger=replace(ledger, cost_usd=costs), intervals=intervals)
