"""CloudWatch: how many requests came, were late, were refused, went to functions, by period."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, final

import numpy as np

from markopt.cloud.aws.calls import Calls
from markopt.errors import ConfigError

_SHORT_PERIODS_S = (1, 5, 10, 30)
_KINDS = ("arrivals", "late", "refused", "spilled")
_PERIODS_PER_CALL = 1440  # of which one answer holds all series


@final
@dataclass(frozen=True)
class LoadSettings:
    """Where the load is read.

    Args:
        namespace: of the metrics, named as the load balancer's are: ``RequestCount`` by load
            balancer and by target group, ``TargetResponseTime``, ``HTTPCode_ELB_5XX_Count``,
            ``HTTPCode_Target_5XX_Count``, ``HealthyHostCount``.
        period_s: of the metrics: 60 for the load balancer's own; 1, 5, 10, 30 for metrics of high
            resolution that somebody publishes.
        delay_s: how long after a period's end its figures are complete. They are shown that late.
        latency: count what is answered after ``RT_max``, by the statistic ``TC(RT_max:)``.

    Raises:
        ConfigError: a value is out of range.
    """

    namespace: str = "AWS/ApplicationELB"
    period_s: int = 60
    delay_s: float = 60.0
    latency: bool = True

    def __post_init__(self) -> None:
        if self.period_s not in _SHORT_PERIODS_S and (self.period_s < 60 or self.period_s % 60):
            raise ConfigError(
                f"cloud.load.period_s: expected 1, 5, 10, 30 or a multiple of 60, got "
                f"{self.period_s}"
            )
        if not self.delay_s >= 0.0:
            raise ConfigError(f"cloud.load.delay_s: must not be negative, got {self.delay_s}")


@dataclass(frozen=True)
class LoadNames:
    """What CloudWatch calls the load balancer and its groups."""

    load_balancer: str
    instances: str
    functions: str | None


@final
class LoadMetrics:
    """Reads each period once, oldest first.

    No data is not zero load: the load balancer publishes no request count while nobody asks, but
    goes on counting its healthy targets. A period without a request count is zero where another
    count of it came; else it is missing. A run of periods is shown from the last missing one on:
    what lies before a hole could not be told from what lies behind it.

    Args:
        calls: makes the calls.
        names: whose metrics.
        settings: where they are.
        rt_max_s: later answers are late.
        start_s: the first period begins here or later; seconds since the epoch.
    """

    def __init__(
        self,
        calls: Calls,
        names: LoadNames,
        settings: LoadSettings,
        *,
        rt_max_s: float,
        start_s: float,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._queries = _queries(names, settings, rt_max_s)
        self._delay_s = settings.delay_s
        self._next = self._ended_by(start_s)

    def take(self, now_s: float) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
        """Return the counts by period that became known since the last time.

        Raises:
            CallFailed: CloudWatch does not answer; the periods are asked for again next time.
        """
        until = self._ended_by(now_s)
        counts: dict[str, list[int]] = {kind: [] for kind in _KINDS}
        while self._next < until:
            part = min(until, self._next + _PERIODS_PER_CALL)
            for found in self.read(self._next, part):
                if found is None:
                    counts = {kind: [] for kind in _KINDS}
                    continue
                for kind in _KINDS:
                    counts[kind].append(found[kind])
            self._next = part
        return {kind: np.array(values, dtype=np.int64) for kind, values in counts.items()}

    @property
    def bin_s(self) -> float:
        """Width of a period."""
        return float(self._settings.period_s)

    def read(self, first: int, last: int) -> list[dict[str, int] | None]:
        """Return the counts of the periods from number ``first`` to before ``last``; None: no data.

        Periods are counted from the epoch.

        Raises:
            CallFailed: CloudWatch does not answer.
        """
        series = self._read(first, last)
        return [_counts(series, period) for period in range(first, last)]

    def _ended_by(self, now_s: float) -> int:
        """Return the number of the period that is not complete yet, counted from the epoch."""
        return math.floor((now_s - self._delay_s) / self._settings.period_s + 1e-9)

    def _read(self, first: int, last: int) -> dict[str, dict[int, float]]:
        period_s = self._settings.period_s
        pages = self._calls.pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=self._queries,
            StartTime=datetime.fromtimestamp(first * period_s, UTC),
            EndTime=datetime.fromtimestamp(last * period_s, UTC),
            ScanBy="TimestampAscending",
        )
        series: dict[str, dict[int, float]] = {}
        for result in pages:
            points = series.setdefault(result["Id"], {})
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
                points[round(moment.timestamp() / period_s)] = float(value)
        return series


def _counts(series: Mapping[str, Mapping[int, float]], period: int) -> dict[str, int] | None:
    """Return the counts of one period; None: there is no data."""

    def of(name: str) -> float:
        return series.get(name, {}).get(period, 0.0)

    seen = any(period in series.get(name, {}) for name in ("requests", "hosts", "elb_5xx"))
    if not seen:
        return None
    refused = round(of("elb_5xx") + of("target_5xx"))
    return {
        # Requests for which the balancer found no target are not in its request count.
        "arrivals": max(round(of("requests")), refused),
        "late": round(of("late")),
        "refused": refused,
        "spilled": round(of("spilled")),
    }


def _queries(names: LoadNames, settings: LoadSettings, rt_max_s: float) -> list[dict[str, Any]]:
    balancer = {"LoadBalancer": names.load_balancer}

    def query(name: str, metric: str, stat: str, dimensions: dict[str, str]) -> dict[str, Any]:
        return {
            "Id": name,
            "ReturnData": True,
            "MetricStat": {
                "Metric": {
                    "Namespace": settings.namespace,
                    "MetricName": metric,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                },
                "Period": settings.period_s,
                "Stat": stat,
            },
        }

    queries = [
        query("requests", "RequestCount", "Sum", balancer),
        query("elb_5xx", "HTTPCode_ELB_5XX_Count", "Sum", balancer),
        query("target_5xx", "HTTPCode_Target_5XX_Count", "Sum", balancer),
        query("hosts", "HealthyHostCount", "Maximum", {"TargetGroup": names.instances, **balancer}),
    ]
    if settings.latency:
        queries.append(query("late", "TargetResponseTime", f"TC({rt_max_s:g}:)", balancer))
    if names.functions is not None:
        spilled = {"TargetGroup": names.functions, **balancer}
        queries.append(query("spilled", "RequestCount", "Sum", spilled))
    return queries


def no_counts() -> dict[str, Any]:
    """Return the counts of no period at all: no data."""
    return {kind: np.zeros(0, dtype=np.int64) for kind in _KINDS}
