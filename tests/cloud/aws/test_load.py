"""The load by period: zeros, holes, late data, and what CloudWatch is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import ANY, Stubber

from markopt.cloud.aws import LoadSettings, RetrySettings
from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.load import LoadMetrics, LoadNames
from markopt.errors import ConfigError
from tests.cloud.aws.test_calls import refusal
from tests.cloud.aws.worlds import REGION

NAMES = LoadNames("app/demo/1", "targetgroup/demo-instances/1", "targetgroup/demo-functions/1")


class CloudWatch:
    """Answers GetMetricData from series by id, as CloudWatch would."""

    def __init__(self, period_s: int, **series: dict[int, float]) -> None:
        self.period_s = period_s
        self.series = series
        self.fails = 0

    def get_metric_data(self, **asked: Any) -> dict[str, Any]:
        if self.fails:
            self.fails -= 1
            raise refusal("AccessDenied")
        first = int(asked["StartTime"].timestamp()) // self.period_s
        last = int(asked["EndTime"].timestamp()) // self.period_s
        results = []
        for query in asked["MetricDataQueries"]:
            points = self.series.get(query["Id"], {})
            periods = [p for p in sorted(points) if first <= p < last]
            results.append(
                {
                    "Id": query["Id"],
                    "Timestamps": [datetime.fromtimestamp(p * self.period_s, UTC) for p in periods],
                    "Values": [points[p] for p in periods],
                }
            )
        return {"MetricDataResults": results}


def metrics(cloudwatch: Any, start_s: float = 600.0, **changes: Any) -> LoadMetrics:
    calls = Calls(lambda _: cloudwatch, RetrySettings(attempts=1), np.random.default_rng(1))
    settings = LoadSettings(**{"delay_s": 0.0, **changes})
    return LoadMetrics(calls, NAMES, settings, rt_max_s=0.5, start_s=start_s)


def arrivals(load: LoadMetrics, now_s: float) -> list[int]:
    return list(load.take(now_s)["arrivals"])


def test_each_period_is_shown_once_when_it_has_ended() -> None:
    load = metrics(CloudWatch(60, requests={10: 5.0, 11: 6.0, 12: 7.0}))
    assert arrivals(load, 659.0) == []
    assert arrivals(load, 660.0) == [5]
    assert arrivals(load, 661.0) == []
    assert arrivals(load, 780.0) == [6, 7]


def test_figures_are_shown_as_late_as_they_are_complete() -> None:
    load = metrics(CloudWatch(60, requests={8: 3.0, 9: 4.0, 10: 5.0}), delay_s=90.0)
    assert arrivals(load, 629.0) == []
    assert arrivals(load, 630.0) == [3]
    assert arrivals(load, 690.0) == [4]


def test_no_data_is_not_zero_load() -> None:
    load = metrics(CloudWatch(60, requests={10: 5.0}))
    assert arrivals(load, 720.0) == []
    assert arrivals(load, 780.0) == []


def test_a_period_without_requests_is_zero_where_the_balancer_counts_its_targets() -> None:
    load = metrics(CloudWatch(60, requests={10: 5.0}, hosts={10: 2.0, 11: 2.0, 12: 0.0}))
    assert arrivals(load, 780.0) == [5, 0, 0]


def test_what_lies_before_a_hole_is_left_out() -> None:
    load = metrics(CloudWatch(60, requests={10: 5.0, 12: 7.0, 13: 8.0}))
    assert arrivals(load, 840.0) == [7, 8]


def test_late_refused_and_spilled_requests_are_counted_by_period() -> None:
    load = metrics(
        CloudWatch(
            60,
            requests={10: 100.0, 11: 50.0},
            late={10: 3.0},
            elb_5xx={10: 1.0, 11: 60.0},
            target_5xx={10: 4.0},
            spilled={10: 20.0},
        )
    )
    counts = load.take(720.0)
    assert list(counts["arrivals"]) == [100, 60]
    assert list(counts["late"]) == [3, 0]
    assert list(counts["refused"]) == [5, 60]
    assert list(counts["spilled"]) == [20, 0]


def test_a_call_that_fails_loses_no_period() -> None:
    cloudwatch = CloudWatch(60, requests={10: 5.0, 11: 6.0})
    load = metrics(cloudwatch)
    cloudwatch.fails = 1
    with pytest.raises(CallFailed):
        load.take(660.0)
    assert arrivals(load, 720.0) == [5, 6]


def test_metrics_of_high_resolution_come_in_short_bins() -> None:
    load = metrics(CloudWatch(5, requests={n: float(n) for n in range(120, 132)}), period_s=5)
    assert load.bin_s == 5.0
    assert arrivals(load, 660.0) == list(range(120, 132))


def test_what_is_asked_fits_the_service_model_of_cloudwatch() -> None:
    """moto knows no statistic TC: the request is held against botocore's own model."""
    client = boto3.client("cloudwatch", region_name=REGION)

    def asked(name: str, metric: str, stat: str, **dimensions: str) -> dict[str, Any]:
        return {
            "Id": name,
            "ReturnData": True,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/ApplicationELB",
                    "MetricName": metric,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                },
                "Period": 60,
                "Stat": stat,
            },
        }

    balancer = {"LoadBalancer": NAMES.load_balancer}
    functions, instances = str(NAMES.functions), NAMES.instances
    with Stubber(client) as stub:
        stub.add_response(
            "get_metric_data",
            {
                "MetricDataResults": [
                    {
                        "Id": "requests",
                        "Timestamps": [datetime.fromtimestamp(600, UTC)],
                        "Values": [9.0],
                    }
                ],
                "NextToken": "more",
            },
            {
                "MetricDataQueries": [
                    asked("requests", "RequestCount", "Sum", **balancer),
                    asked("elb_5xx", "HTTPCode_ELB_5XX_Count", "Sum", **balancer),
                    asked("target_5xx", "HTTPCode_Target_5XX_Count", "Sum", **balancer),
                    asked(
                        "hosts", "HealthyHostCount", "Maximum", TargetGroup=instances, **balancer
                    ),
                    asked("late", "TargetResponseTime", "TC(0.5:)", **balancer),
                    asked("spilled", "RequestCount", "Sum", TargetGroup=functions, **balancer),
                ],
                "StartTime": datetime.fromtimestamp(600, UTC),
                "EndTime": datetime.fromtimestamp(660, UTC),
                "ScanBy": "TimestampAscending",
            },
        )
        stub.add_response(
            "get_metric_data",
            {
                "MetricDataResults": [
                    {
                        "Id": "late",
                        "Timestamps": [datetime.fromtimestamp(600, UTC)],
                        "Values": [2.0],
                    }
                ]
            },
            {
                "MetricDataQueries": ANY,
                "StartTime": ANY,
                "EndTime": ANY,
                "ScanBy": ANY,
                "NextToken": "more",
            },
        )
        counts = metrics(client).take(660.0)
        stub.assert_no_pending_responses()
    assert (list(counts["arrivals"]), list(counts["late"])) == ([9], [2])


@pytest.mark.parametrize("period_s", [0, 7, 45, 90])
def test_a_period_that_cloudwatch_does_not_have_is_refused(period_s: int) -> None:
    with pytest.raises(ConfigError, match=r"cloud\.load\.period_s"):
        LoadSettings(period_s=period_s)
