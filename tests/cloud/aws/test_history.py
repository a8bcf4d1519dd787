"""The past load becomes a trace that the loop can learn from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from markopt.cloud.aws.history import main, write_history
from markopt.errors import ConfigError, DataError
from markopt.workload import TraceWorkload
from tests.cloud.aws.worlds import client, open_backend, settings

NOW_S = 1_764_000_000.0 // 60.0 * 60.0


def publish(url: str, name: str, counts: dict[int, float]) -> None:
    """Publish requests by minutes before now, as the load balancer would."""
    elb = client(url, "elbv2")
    arn = elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"]
    balancer = arn.split(":loadbalancer/")[1]
    for ago, requests in counts.items():
        client(url, "cloudwatch").put_metric_data(
            Namespace="AWS/ApplicationELB",
            MetricData=[
                {
                    "MetricName": "RequestCount",
                    "Dimensions": [{"Name": "LoadBalancer", "Value": balancer}],
                    "Timestamp": datetime.fromtimestamp(NOW_S - 60.0 * ago, UTC),
                    "Value": requests,
                }
            ],
        )


def test_a_trace_of_the_past_can_be_loaded(moto_url: str, name: str, tmp_path: Path) -> None:
    open_backend(moto_url, name)
    publish(moto_url, name, {minutes: 60.0 * minutes for minutes in (9, 8, 7, 5, 4, 3, 2)})
    path = tmp_path / "load.csv"
    cloud = settings(moto_url, load=settings(moto_url).load.__class__(latency=False))
    assert write_history(cloud, name, path, days=0.01, now_s=NOW_S) == 7
    lines = path.read_text().splitlines()
    assert lines[:2] == ["second,requests", f"{int(NOW_S) - 540},540"]
    trace = TraceWorkload(
        path=str(path), gaps="interpolate", history_gaps="filled", evaluate_s=120.0
    ).build()
    assert trace.history.rate_rps.tolist() == pytest.approx([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_nothing(moto_url: str, name: str, tmp_path: Path) -> None:
    open_backend(moto_url, name)
    cloud, path = settings(moto_url), tmp_path / "load.csv"
    with pytest.raises(ConfigError, match="15 days"):
        write_history(cloud, name, path, days=20.0, now_s=NOW_S)
    quiet = settings(moto_url, load=cloud.load.__class__(latency=False))
    with pytest.raises(DataError, match="no load"):
        write_history(quiet, name, path, days=0.001, now_s=10.0**7)
    publish(moto_url, name, {2: 5.0})
    with pytest.raises(DataError, match="must be writable"):
        write_history(quiet, name, tmp_path / "none" / "x.csv", days=0.01, now_s=NOW_S)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["demo", "many", "x.csv"], ["demo", "20", "x.csv"]])
def test_a_wrong_command_line_ends_with_one_line(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert len(str(ended.value).splitlines()) == 1
