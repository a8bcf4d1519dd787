"""The record of an interval, made of its decision and of what came of it."""

from __future__ import annotations

import math

from markopt.control.deciding import MadeDecision
from markopt.control.record import IntervalRecord, MonitorDecision
from markopt.control.score import first_step_quantiles_rps, pinball_loss
from markopt.control.situation import IntervalCounts
from markopt.core import ActionReport, InstanceState, Observation


def interval_record(
    begin_s: float,
    until_s: float,
    *,
    decision: MadeDecision,
    counts: IntervalCounts,
    reactions: tuple[MonitorDecision, ...],
    bill_usd: float,
) -> IntervalRecord:
    """Return the record of an interval, from its decision and what it brought."""
    forecast, plan, actions = decision.problem.forecast, decision.plan, decision.actions
    quantiles = first_step_quantiles_rps(forecast)
    realized_rps = counts.rate_rps
    if forecast.statistic == "max" and not math.isnan(realized_rps):
        realized_rps = max(counts.bin_rps)
    elif forecast.statistic == "carried":
        realized_rps = math.nan  # one interval's bins do not tell it
    ready, billed = _counts_after(decision.seen, decision.report)
    seen_warm = decision.seen.warm_functions
    return IntervalRecord(
        start_s=begin_s,
        end_s=until_s,
        arrivals=counts.arrivals,
        spilled=counts.spilled,
        late=counts.late,
        refused=counts.refused,
        forecast_mean_rps=float(forecast.probabilities @ forecast.paths_rps[:, 0]),
        forecast_p05_rps=float(quantiles[0]),
        forecast_p50_rps=float(quantiles[9]),
        forecast_p95_rps=float(quantiles[18]),
        pinball=pinball_loss(quantiles, realized_rps),
        ready=ready,
        billed=billed,
        warm_functions=seen_warm if actions.warm_functions is None else actions.warm_functions,
        bill_usd=bill_usd,
        plan=plan.first_step(),
        actions=actions,
        report=decision.report,
        monitor_launches=sum(len(ids) for r in reactions for ids in r.report.launched.values()),
        earlier=decision.earlier,
        forecast_wall_s=decision.forecast_wall_s,
        plan_wall_s=decision.plan_wall_s,
        observed_rps=decision.observed_rps,
        fleet=decision.problem.fleet,
        window=decision.problem.window,
        scale_in_frozen=decision.frozen,
        monitor_decisions=reactions,
    )


def _counts_after(seen: Observation, report: ActionReport) -> tuple[dict[str, int], dict[str, int]]:
    """Return ready and billed counts by offer once the report's changes are made."""
    ended = set(report.terminated)
    ready: dict[str, int] = {}
    billed: dict[str, int] = {}
    for instance in seen.instances:
        if instance.instance_id in ended:
            continue
        if instance.state is InstanceState.READY:
            ready[instance.offer] = ready.get(instance.offer, 0) + 1
        elif instance.state not in (InstanceState.PENDING, InstanceState.BOOTING):
            continue
        billed[instance.offer] = billed.get(instance.offer, 0) + 1
    for name, ids in report.launched.items():
        if ids:
            billed[name] = billed.get(name, 0) + len(ids)
    return ready, billed
