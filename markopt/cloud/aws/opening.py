"""Opens a deployment on AWS: finds its parts by name and takes over what runs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from markopt.cloud.aws.backend import AwsBackend, Parts
from markopt.cloud.aws.balancer import Balancer, BalancerNames, find_balancer
from markopt.cloud.aws.bill import EstimatedBill
from markopt.cloud.aws.calls import CallFailed, Calls, new_client
from markopt.cloud.aws.functions import Invocations, NoFunction, Provisioned, WarmUp
from markopt.cloud.aws.instances import InstanceCalls, Placement
from markopt.cloud.aws.load import LoadMetrics, LoadNames
from markopt.cloud.aws.notices import NoticeQueue
from markopt.cloud.aws.prices import SpotPrices
from markopt.cloud.aws.rehearsal import Rehearsal, make_stack
from markopt.cloud.aws.settings import AwsCloud
from markopt.cloud.aws.tags import check_name, check_value
from markopt.cloud.aws.tending import Tending
from markopt.cloud.aws.user_data import user_data
from markopt.cloud.live import Deployment
from markopt.core import PurchaseOption
from markopt.errors import ConfigError

_SAME_CLOCK_S = 300.0


def open_backend(settings: AwsCloud, deployment: Deployment) -> AwsBackend:
    """Return the back end of a deployment.

    Raises:
        BackendError: AWS cannot be reached or refuses the credentials.
        ConfigError: a part is missing, or an offer cannot be had on AWS.
    """
    name = check_name(deployment.name)
    _check_offers(settings, deployment)
    retry_seed, load_seed = deployment.seed.spawn(2)
    calls = new_calls(settings, np.random.default_rng(retry_seed))
    function = None if deployment.function is None else settings.warm_up.function or name
    if settings.rehearses and settings.endpoint_url is not None:
        make_stack(calls, name, endpoint_url=settings.endpoint_url, function=function)
    found = find_balancer(calls, name, with_functions=function is not None)
    balancer = Balancer(calls, found)
    # EC2 notes launches by its own clock, which is the deployment's unless that is a rehearsal's.
    by_launch_time = abs(deployment.clock.now_s() - time.time()) < _SAME_CLOCK_S
    instances = InstanceCalls(
        calls,
        deployment=name,
        placement=Placement(
            name,
            _subnets(settings, calls, found),
            image_id=settings.image_id,
            whole=settings.launches_whole,
        ),
        by_launch_time=by_launch_time,
    )
    names = load_names(found)
    load = settings.load
    rehearsal = None
    if settings.rehearses:
        load = replace(load, delay_s=0.0, latency=False)
        rehearsal = Rehearsal(
            calls,
            balancer,
            names,
            namespace=load.namespace,
            period_s=load.period_s,
            workload=deployment.workload,
            rng=np.random.default_rng(load_seed),
        )
    now_s = deployment.clock.now_s()
    counted_s = now_s if deployment.observed_until_s is None else deployment.observed_until_s
    parts = Parts(
        instances=instances,
        balancer=balancer,
        tending=Tending(
            calls,
            instances=instances,
            balancer=balancer,
            queue=_queue(calls, name),
            by_launch_time=by_launch_time,
            drain_deadline_s=settings.drain_deadline_s,
            boot_deadline_s=settings.boot_deadline_s,
        ),
        warm_up=_warm_up(settings, calls, function),
        load=LoadMetrics(
            calls, names, load, rt_max_s=deployment.service.slo.rt_max_s, start_s=counted_s
        ),
        spot_prices=SpotPrices(
            calls, deployment.offers, sorted(found.subnets), period_s=settings.price_period_s
        )
        if settings.follows_market
        else None,
        bill=EstimatedBill(deployment.offers, deployment.function, start_s=now_s),
        rehearsal=rehearsal,
    )
    if settings.rehearses and settings.mode == "act":
        _bring_fleet(settings, deployment, parts)
    return AwsBackend(settings, deployment, parts)


def _bring_fleet(settings: AwsCloud, deployment: Deployment, parts: Parts) -> None:
    """Begin a rehearsal with the initial fleet in service, where nothing ever ran.

    Raises:
        CallFailed: the stand-in refuses.
    """
    if not deployment.initial_fleet or parts.instances.all():
        return
    now_s = deployment.clock.now_s()
    offers = {offer.name: offer for offer in deployment.offers}
    for name, count in deployment.initial_fleet.items():
        if count > 0:
            script = user_data(settings.server, deployment.service, offers[name])
            outcome = parts.instances.launch(offers[name], count, "initial-fleet", script)
            if outcome.refused:
                raise CallFailed(f"initial fleet: {outcome.refused}", "InitialFleet")
            parts.tending.launched(outcome.ids, now_s)
            parts.balancer.register(outcome.ids)


def new_calls(settings: AwsCloud, rng: np.random.Generator) -> Calls:
    """Return what makes calls of AWS as the settings say."""
    client = new_client(settings.region, settings.endpoint_url, settings.retry)
    return Calls(client, settings.retry, rng)


def _check_offers(settings: AwsCloud, deployment: Deployment) -> None:
    for offer in deployment.offers:
        check_value("offer", offer.name)
        user_data(settings.server, deployment.service, offer)
        if offer.purchase is PurchaseOption.CONTAINER:
            raise ConfigError(
                f"cloud=aws: offer '{offer.name}' is a container, expected instances; leave it out "
                "with catalog.purchase"
            )


def _subnets(settings: AwsCloud, calls: Calls, found: BalancerNames) -> dict[str, str]:
    """Return where instances start, by zone."""
    if settings.subnets is None:
        return found.subnets
    if not settings.subnets:
        raise ConfigError("cloud.subnets: must name at least one, got an empty list")
    described = calls.pages("ec2", "describe_subnets", "Subnets", SubnetIds=list(settings.subnets))
    return {entry["AvailabilityZone"]: entry["SubnetId"] for entry in described}


def load_names(found: BalancerNames) -> LoadNames:
    """Return what CloudWatch calls the load balancer and its groups."""
    group = found.target_group_dimension
    return LoadNames(
        load_balancer=found.dimension,
        instances=group(found.instances),
        functions=None if found.functions is None else group(found.functions),
    )


def _queue(calls: Calls, name: str) -> NoticeQueue:
    try:
        url = calls("sqs", "get_queue_url", QueueName=f"{name}-notices")["QueueUrl"]
    except CallFailed as error:
        if "NonExistentQueue" not in error.code:
            raise
        raise ConfigError(
            f"cloud=aws: expected a queue '{name}-notices' of spot notices (see docs/deploy.md), "
            f"got {error}"
        ) from None
    return NoticeQueue(calls, url=str(url))


def _warm_up(settings: AwsCloud, calls: Calls, function: str | None) -> WarmUp:
    if function is None:
        return NoFunction()
    warm_up = settings.warm_up
    if warm_up.way == "provisioned" and warm_up.alias is not None:
        return Provisioned(calls, function=function, alias=warm_up.alias)
    try:
        found = calls("lambda", "get_function_configuration", FunctionName=function)
    except CallFailed as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise ConfigError(
            f"cloud.warm_up.function: expected a function of AWS Lambda, got {error}"
        ) from None
    return Invocations(
        calls,
        function=function,
        function_arn=str(found["FunctionArn"]),
        alias=warm_up.alias,
        period_s=warm_up.period_s,
        hold_s=warm_up.hold_s,
    )
