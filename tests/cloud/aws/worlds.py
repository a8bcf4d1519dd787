"""Small deployments on moto's server: offers, load, and the back end around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import boto3
import numpy as np

from markopt.cloud.aws import AwsCloud, RetrySettings
from markopt.cloud.aws.backend import AwsBackend
from markopt.cloud.clock import Clock, SteppedClock
from markopt.cloud.live import Deployment
from markopt.core import FunctionOffer, Offer, RateSeries, Service, Slo
from markopt.workload.protocol import ArrivalProcess, Workload
from tests.cloud.worlds import Poisson, function, offer

FUNCTION = function()
SERVICE = Service("made_up", Slo(rt_max_s=0.5, sl_min=0.98))
REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAMADEUPFORTESTS00",
    "AWS_SECRET_ACCESS_KEY": "made-up-secret-of-the-tests",
    "AWS_SESSION_TOKEN": "made-up-token-of-the-tests",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ON_DEMAND = offer("c5.large/on_demand", launch_delay_s=30.0)
SPOT = replace(
    offer("c5.xlarge/spot", launch_delay_s=30.0),
    price_usd_per_s=0.0004,
    on_demand_usd_per_s=0.001,
    max_price_usd_per_s=0.0006,
)
QUICK = RetrySettings(attempts=8, first_wait_s=0.0, longest_wait_s=0.0)


@dataclass
class PoissonSource:
    """Makes Poisson arrivals."""

    rate_rps: float

    def new_process(self) -> ArrivalProcess:
        return Poisson(self.rate_rps)


def workload(rate_rps: float = 12.0, start_s: float = 3600.0, length_s: float = 7200.0) -> Workload:
    history = RateSeries(start_s - 600.0, 60.0, np.full(10, rate_rps))
    return Workload("made up", history, start_s, start_s + length_s, PoissonSource(rate_rps))


def deployment(
    name: str,
    *,
    offers: Sequence[Offer] = (ON_DEMAND, SPOT),
    with_function: FunctionOffer | None = FUNCTION,
    clock: Clock | None = None,
    load: Workload | None = None,
    seed: int = 1,
) -> Deployment:
    load = load or workload()
    return Deployment(
        name=name,
        service=SERVICE,
        offers=tuple(offers),
        function=with_function,
        interval_s=60.0,
        workload=load,
        clock=clock or SteppedClock(load.start_s),
        seed=np.random.SeedSequence(seed),
    )


def settings(url: str, **changes: Any) -> AwsCloud:
    chosen: dict[str, Any] = {"retry": QUICK, **changes}
    return AwsCloud(endpoint_url=url, **chosen)


def open_backend(url: str, name: str, **changes: Any) -> AwsBackend:
    """Return a back end on the server; keys of ``deployment`` go there, others to the settings."""
    keys = ("offers", "with_function", "clock", "load", "seed")
    given = {key: changes.pop(key) for key in keys if key in changes}
    return settings(url, **changes).open(deployment(name, **given))


def client(url: str, service: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION)


def instances(url: str, name: str) -> list[dict[str, Any]]:
    """Return what EC2 lists under the deployment's name, whatever its state."""
    pages = client(url, "ec2").get_paginator("describe_instances")
    filters = [{"Name": "tag:markopt:deployment", "Values": [name]}]
    return [
        entry
        for page in pages.paginate(Filters=filters)
        for reservation in page["Reservations"]
        for entry in reservation["Instances"]
    ]


def tags_of(entry: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entry["Tags"]}


def alive(url: str, name: str) -> list[dict[str, Any]]:
    return [
        entry for entry in instances(url, name) if entry["State"]["Name"] in ("pending", "running")
    ]
