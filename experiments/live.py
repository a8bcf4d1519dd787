"""What does a policy do with real processes? Ten minutes of load on the local back end.

The deployment of ``conf/experiment/live.yaml``: HAProxy, stand-ins, functions with cold starts,
real requests. Writes ``results/live``: the folder of an episode (``markopt report``), with the
clients' view of every ten seconds in ``windows.csv`` and of the whole in ``requests.csv``, from
which ``paper_figs/live.py`` draws the figure. It runs by the wall's clock, while nothing else does.

    python experiments/live.py [KEY=VALUE ...]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from study_tables import main

from markopt.cloud.local.host import REQUESTS
from markopt.cloud.local.requests import RequestLog, read_requests
from markopt.cloud.local.settings import LocalCloud
from markopt.control.record import IntervalRecord
from markopt.core import Ledger
from markopt.deployment import Listeners, Parts, deploy, parts_of
from markopt.errors import ConfigError
from markopt.evaluation.folder import csv_text, replace_text, require_free, whole_folder
from markopt.evaluation.outcome import EpisodeResult, summarize
from markopt.evaluation.progress import late_bar
from markopt.evaluation.report import write_report
from markopt.evaluation.results import write_episode
from markopt.evaluation.tabulation import means, row
from markopt.evaluation.terminal import comparison_table

Row = dict[str, Any]


def run(overrides: Sequence[str]) -> Path:
    """Run the deployment; ``overrides`` change its configuration.

    Raises:
        ConfigError: the cloud is not the local one, or results are there already.
    """
    given = ["experiment=live", *overrides]
    target = output_folder(given)
    require_free(target)
    with whole_folder(target) as folder:
        parts = parts_of([f"deploy.journal={folder.path / 'live.journal'}", *given])
        if not isinstance(parts.cloud, LocalCloud):
            raise ConfigError(
                f"cloud: experiments/live.py needs cloud=local, got {type(parts.cloud).__name__}"
            )
        load_average = os.getloadavg()[0]
        records, ledger = act(parts)
        log = read_requests(parts.cloud.folder_of(parts.deploy.name) / REQUESTS)
        result = episode_of(parts, records, ledger, log)
        write_episode(result, folder.path)
        rows = [summary_row(parts, result, log, load_average)]
        replace_text(folder.path / "requests.csv", csv_text(rows))
        replace_text(folder.path / "windows.csv", csv_text(window_rows(parts, records, log)))
        write_report(folder.path)
    show(result, rows[0])
    return target


def output_folder(overrides: Sequence[str]) -> Path:
    """Return where results go: ``output``, else ``results/live``."""
    from markopt.composition import compose

    output = compose(overrides).config.output
    return Path("results/live") if output is None else Path(str(output))


def act(parts: Parts) -> tuple[list[IntervalRecord], Ledger]:
    """Run the deployment to its end; return its intervals and bill.

    Raises:
        ConfigError: it ended without ending its fleet.
    """
    records: list[IntervalRecord] = []
    intervals = (parts.workload.end_s - parts.workload.start_s) / parts.controller.interval_s
    with late_bar("Live", round(intervals)) as bar:

        def on_interval(record: IntervalRecord) -> None:
            records.append(record)
            bar.step()

        outcome = deploy(parts, Listeners(on_interval=on_interval))
    if outcome.ledger is None:
        raise ConfigError("deploy.terminate_at_end: experiments/live.py needs it, got false")
    return records, outcome.ledger


def episode_of(
    parts: Parts, records: Sequence[IntervalRecord], ledger: Ledger, log: RequestLog
) -> EpisodeResult:
    """Return the run as an episode whose requests are those that the clients saw."""
    rt_max_s = parts.service.slo.rt_max_s
    return EpisodeResult(
        policy=type(parts.planner).__name__,
        trace=parts.workload.name,
        seed=parts.seed,
        service=parts.service.name,
        slo=parts.service.slo,
        interval_s=parts.controller.interval_s,
        start_s=parts.workload.start_s,
        end_s=parts.workload.end_s,
        statistics=log.statistics(
            start_s=parts.workload.start_s, bin_s=parts.cloud.bin_s, rt_max_s=rt_max_s
        ),
        ledger=ledger,
        intervals=tuple(records),
        config=dict(parts.config),
    )


def summary_row(parts: Parts, result: EpisodeResult, log: RequestLog, load_average: float) -> Row:
    """Return the whole run in one row; ``load_average`` is the machine's before it."""
    answered_ms = 1000.0 * log.response_s[log.answered]
    late_ms = 1000.0 * log.lateness_s
    return {
        "rt_max_ms": 1000.0 * parts.service.slo.rt_max_s,
        "requests": len(log),
        "observed_arrivals": sum(record.arrivals for record in result.intervals),
        "attainment": log.attainment(parts.service.slo.rt_max_s),
        "p50_ms": np.quantile(answered_ms, 0.5),
        "p98_ms": np.quantile(answered_ms, 0.98),
        "mean_ms": answered_ms.mean(),
        "function_share": log.by("functions").mean(),
        "refused": int(log.refused.sum()),
        "lost": int((~log.answered & ~log.refused).sum()),
        "launches": result.ledger.launches,
        "interruptions": result.ledger.interruptions,
        "cost_usd": result.ledger.total_usd,
        "lateness_p50_ms": np.quantile(late_ms, 0.5),
        "lateness_p99_ms": np.quantile(late_ms, 0.99),
        "lateness_max_ms": late_ms.max(),
        "load_average": load_average,
    }


def window_rows(
    parts: Parts, records: Sequence[IntervalRecord], log: RequestLog, width_s: float = 10.0
) -> list[Row]:
    """Return what the clients saw in windows of ``width_s``, and what the loop had then."""
    start_s, rt_max_s = parts.workload.start_s, parts.service.slo.rt_max_s
    windows = np.floor((log.arrival_s - start_s) / width_s).astype(np.int64)
    functions, answered = log.by("functions"), log.answered
    in_time = answered & (np.nan_to_num(log.response_s, nan=np.inf) <= rt_max_s)
    rows: list[Row] = []
    for window in range(round((parts.workload.end_s - start_s) / width_s)):
        inside = windows == window
        at_s = start_s + window * width_s
        took_ms = 1000.0 * log.response_s[inside & answered]
        current = [record for record in records if record.start_s <= at_s + width_s / 2.0]
        record = current[-1] if current else None
        rows.append(
            {
                "time_s": window * width_s,
                "rate_rps": inside.sum() / width_s,
                "attainment": in_time[inside].mean() if inside.any() else None,
                "p50_ms": np.quantile(took_ms, 0.5) if len(took_ms) else None,
                "p98_ms": np.quantile(took_ms, 0.98) if len(took_ms) else None,
                "function_rps": functions[inside].sum() / width_s,
                "forecast_rps": record and record.forecast_mean_rps,
                "ready": record and sum(record.ready.values()),
                "billed": record and sum(record.billed.values()),
            }
        )
    return rows


def show(result: EpisodeResult, whole: Row) -> None:
    """Print the run as ``markopt run`` prints one, and what belongs to a live one."""
    from rich.console import Console

    plan_s = [record.plan_wall_s for record in result.intervals]
    mean_s = {result.policy: sum(plan_s) / max(len(plan_s), 1)}
    table = comparison_table(means([row(summarize(result))], mean_s), "Live, as clients saw it")
    Console(width=120).print(table)
    print(
        f"{whole['requests']} requests (the load balancer counted {whole['observed_arrivals']}), "
        f"{100.0 * whole['attainment']:.2f} % in time, p50 {whole['p50_ms']:.1f} ms, p98 "
        f"{whole['p98_ms']:.1f} ms; {100.0 * whole['function_share']:.2f} % on functions, "
        f"{whole['refused']} refused, {whole['lost']} lost.\n"
        f"The generator was late by {whole['lateness_p50_ms']:.2f} ms (median), "
        f"{whole['lateness_p99_ms']:.2f} ms (p99), {whole['lateness_max_ms']:.1f} ms at most; load "
        f"average before: {whole['load_average']:.1f} on {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
