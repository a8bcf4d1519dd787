"""A rehearsal on a stand-in of AWS: makes what a deployment needs there, and plays its load."""

from __future__ import annotations

import contextlib
import io
import json
import math
import urllib.request
import zipfile
from datetime import UTC, datetime
from typing import final

import numpy as np

from markopt.cloud.aws.balancer import Balancer
from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.load import LoadNames
from markopt.resources import shipped_folder
from markopt.workload.protocol import Workload

_HANDLER = """import time


def handler(event, context):
    if event.get("markopt") == "warm-up":
        time.sleep(float(event["hold_s"]))
    return {"statusCode": 200, "body": ""}
"""


def make_stack(calls: Calls, name: str, *, endpoint_url: str, function: str | None) -> None:
    """Make the shipped stack, and an empty function with its alias, where they are missing.

    Raises:
        CallFailed: the stand-in refuses.
    """
    try:
        calls("elbv2", "describe_load_balancers", Names=[name])
        return
    except CallFailed as error:
        if error.code != "LoadBalancerNotFound":
            raise
    _run_functions_without_docker(endpoint_url)
    alias_arn = "" if function is None else _make_function(calls, function)
    vpcs = calls("ec2", "describe_vpcs")["Vpcs"]
    vpc = next((vpc for vpc in vpcs if vpc.get("IsDefault")), vpcs[0])["VpcId"]
    subnets = calls("ec2", "describe_subnets", Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "Subnets"
    ]
    parameters = {
        "Name": name,
        "VpcId": vpc,
        "Subnets": ",".join(sorted(subnet["SubnetId"] for subnet in subnets)),
        "ImageId": "ami-00000000",
        "FunctionAliasArn": alias_arn,
    }
    template = (shipped_folder("data") / "aws" / "stack.yaml").read_text(encoding="utf-8")
    calls(
        "cloudformation",
        "create_stack",
        StackName=name,
        TemplateBody=template,
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )


def _make_function(calls: Calls, name: str) -> str:
    """Return the ARN of the alias ``live`` of a function that does nothing."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", _HANDLER)
    role = calls(
        "iam",
        "create_role",
        RoleName=f"{name}-function",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )["Role"]["Arn"]
    calls(
        "lambda",
        "create_function",
        FunctionName=name,
        Runtime="python3.12",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    alias = calls("lambda", "create_alias", FunctionName=name, Name="live", FunctionVersion="1")
    return str(alias["AliasArn"])


def _run_functions_without_docker(endpoint_url: str) -> None:
    """Tell moto's server to answer calls of functions by itself; another stand-in does not mind."""
    request = urllib.request.Request(
        f"{endpoint_url.rstrip('/')}/moto-api/config",
        data=json.dumps({"lambda": {"use_docker": False}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5.0):
        pass


@final
class Rehearsal:
    """Plays a workload: publishes as metrics of the load balancer what would have been asked of it.

    Functions get the listener's share of it. Nothing is late and nothing refused: nobody answers.
    What is in CloudWatch already, from before a restart, is not published again.

    Args:
        calls: makes the calls.
        balancer: its listener knows the functions' share.
        names: what CloudWatch calls the load balancer.
        namespace: of the metrics.
        period_s: their period; arrivals are drawn in blocks of this length.
        workload: what is asked.
        rng: draws the arrivals.
    """

    def __init__(
        self,
        calls: Calls,
        balancer: Balancer,
        names: LoadNames,
        *,
        namespace: str,
        period_s: int,
        workload: Workload,
        rng: np.random.Generator,
    ) -> None:
        self._calls = calls
        self._balancer = balancer
        self._names = names
        self._namespace = namespace
        self._period_s = period_s
        self._arrivals = workload.new_arrivals()
        self._end_s = workload.end_s
        self._rng = rng
        self._next = math.ceil(workload.start_s / period_s - 1e-9)
        self._published_until: int | None = None
        self._unpublished: dict[int, int] = {}

    def publish(self, now_s: float) -> None:
        """Publish the periods that have ended by ``now_s``.

        Raises:
            CallFailed: the stand-in refuses.
        """
        until = math.floor(min(now_s, self._end_s) / self._period_s + 1e-9)
        if self._next >= until and not self._unpublished:
            return
        if self._published_until is None:
            self._published_until = self._last_published(until)
        for period in range(self._next, until):
            begin_s = period * self._period_s
            times = self._arrivals.arrivals(begin_s, begin_s + self._period_s, self._rng)
            if period >= self._published_until:
                self._unpublished[period] = len(times)
        self._next = until
        share = self._balancer.function_share() if self._unpublished else 0.0
        for period, requests in list(self._unpublished.items()):
            self._put(period, requests, round(share * requests))
            del self._unpublished[period]

    def _put(self, period: int, requests: int, spilled: int) -> None:
        moment = datetime.fromtimestamp(period * self._period_s, UTC)
        balancer = {"LoadBalancer": self._names.load_balancer}
        values = [("RequestCount", balancer, requests)]
        if self._names.functions is not None:
            group = {"TargetGroup": self._names.functions, **balancer}
            values.append(("RequestCount", group, spilled))
        self._calls(
            "cloudwatch",
            "put_metric_data",
            Namespace=self._namespace,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
                    "Timestamp": moment,
                    "Value": float(value),
                    "Unit": "Count",
                }
                for name, dimensions, value in values
            ],
        )

    def _last_published(self, until: int) -> int:
        """Return the number of the first period that nobody has published yet."""
        answer = self._calls(
            "cloudwatch",
            "get_metric_statistics",
            Namespace=self._namespace,
            MetricName="RequestCount",
            Dimensions=[{"Name": "LoadBalancer", "Value": self._names.load_balancer}],
            StartTime=datetime.fromtimestamp(self._next * self._period_s, UTC),
            EndTime=datetime.fromtimestamp(until * self._period_s, UTC),
            Period=self._period_s,
            Statistics=["Sum"],
        )
        ends = [
            round(point["Timestamp"].timestamp() / self._period_s) + 1
            for point in answer["Datapoints"]
        ]
        return max(ends, default=self._next)
