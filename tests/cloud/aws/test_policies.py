"""The shipped IAM policies allow what is called, nothing else, on the deployment's own alone.

Every call of a tour through the whole back end is recorded by botocore's own events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber

from markopt.cloud.aws import RetrySettings
from markopt.cloud.aws.backend import AwsBackend
from markopt.cloud.aws.calls import Calls
from markopt.cloud.aws.functions import Provisioned
from markopt.cloud.aws.prices import on_demand_usd_per_s
from markopt.cloud.aws.tags import AT_RISK, ENDED_BY, LAUNCHED, LEAVING, NOTICE
from markopt.core import Actions
from markopt.resources import shipped_folder
from tests.cloud.aws.proxy import proxied
from tests.cloud.aws.test_leaving import INTERRUPTION, later, send, spot_request, states
from tests.cloud.aws.worlds import ON_DEMAND, REGION, SPOT, client, open_backend

SERVICES = {"elbv2": "elasticloadbalancing", "elastic load balancing v2": "elasticloadbalancing"}
OTHER_NAMES = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}


def action(service: str, operation: str) -> str:
    """Return the action that allows an operation, by AWS's service authorization reference."""
    name = f"{SERVICES.get(service.lower(), service.lower())}:{operation}"
    return OTHER_NAMES.get(name, name)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the actions that were called, as botocore tells of every call of every client."""
    called: set[str] = set()
    session = boto3.Session(region_name=REGION)

    def note(model: Any, **_: Any) -> None:
        called.add(action(model.service_model.service_id, model.name))

    session.events.register("provide-client-params.*.*", note)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return called


def policy(file: str) -> dict[str, Any]:
    text = (shipped_folder("data") / "aws" / file).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions_of(document: dict[str, Any]) -> set[str]:
    return {name for one in document["Statement"] for name in listed(one["Action"])}


def real_account(url: str, name: str, **changes: Any) -> AwsBackend:
    """Open the back end as on a real account: nothing is made, nothing is played."""
    subnets = [entry["SubnetId"] for entry in client(url, "ec2").describe_subnets()["Subnets"][:2]]
    return open_backend(
        url,
        name,
        rehearsal=False,
        whole_launches=True,
        market_prices=True,
        subnets=subnets,
        **{"boot_deadline_s": 60.0, **changes},
    )


def stubbed(service: str, answers: Iterable[tuple[str, dict[str, Any]]]) -> Calls:
    """Return calls on a service model, for what moto does not have."""
    api = boto3.client(service, region_name=REGION)
    stub = Stubber(api)
    for operation, answer in answers:
        stub.add_response(operation, answer)
    stub.activate()
    return Calls(lambda _: api, RetrySettings(attempts=1), np.random.default_rng(1))


def tour(url: str, name: str) -> None:
    """Do everything that the back end can do."""
    backend = real_account(url, name)
    launch = {ON_DEMAND.name: 2, SPOT.name: 1}
    ids = backend.apply(Actions("up", launch=launch, warm_functions=2, function_share=0.2)).launched
    later(backend, 40.0)
    assert len(states(backend)) == 3
    (taken,) = ids[SPOT.name]
    send(url, INTERRUPTION, taken)
    backend.apply(Actions("down", terminate=ids[ON_DEMAND.name][:1]))
    with proxied(url) as proxy:
        spot_request(proxy, taken)
        watching = real_account(proxy.url, name)
        proxy_health(proxy, ids[ON_DEMAND.name][1])
        later(watching, 120.0)
        watching.observe()
    backend.close()
    answers = [
        ("get_provisioned_concurrency_config", {"RequestedProvisionedConcurrentExecutions": 1}),
        ("put_provisioned_concurrency_config", {}),
        ("delete_provisioned_concurrency_config", {}),
    ]
    warm_up = Provisioned(stubbed("lambda", answers), function=name, alias="live")
    warm_up.count()
    warm_up.keep(2)
    warm_up.keep(0)
    prices = stubbed("pricing", [("get_products", {"PriceList": []})])
    on_demand_usd_per_s(prices, "c5.large", REGION)


def proxy_health(proxy: Any, unhealthy: str) -> None:
    """Let one target fail its checks, besides what the proxy rewrites already."""
    before = proxy.rewrite

    def rewrite(call: Any, answer: bytes) -> bytes:
        if call.operation == "DescribeTargetHealth":
            pattern = rb"(<Id>" + unhealthy.encode() + rb"</Id>.*?<State>)healthy(</State>)"
            return re.sub(pattern, rb"\1unhealthy\2", answer, flags=re.DOTALL)
        rewritten: bytes = before(call, answer)
        return rewritten

    proxy.rewrite = rewrite


def test_the_policy_allows_what_is_called_and_nothing_else(
    moto_url: str, name: str, made: set[str]
) -> None:
    open_backend(moto_url, name)  # makes the stack
    made.clear()
    tour(moto_url, name)
    helpers = {"ec2:DescribeSubnets", "events:PutEvents", "eventbridge:PutEvents"}
    assert made - helpers == actions_of(policy("iam_policy.json")) - helpers


def test_the_advisory_policy_is_enough_to_advise_and_changes_nothing(
    moto_url: str, name: str, made: set[str]
) -> None:
    open_backend(moto_url, name)
    made.clear()
    backend = real_account(moto_url, name, mode="advise")
    later(backend, 120.0)
    backend.observe()
    allowed = actions_of(policy("iam_policy_advise.json"))
    assert made <= allowed
    assert allowed - made == {"lambda:GetProvisionedConcurrencyConfig", "pricing:GetProducts"}
    reading = re.compile(r"\w+:(Describe|Get|List)\w+")
    assert all(reading.fullmatch(name) for name in allowed)
    assert allowed <= actions_of(policy("iam_policy.json"))


def test_whatever_changes_something_is_bound_to_the_deployment() -> None:
    for statement in policy("iam_policy.json")["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not any("*" in name for name in listed(statement["Action"]))
        if statement["Sid"] in ("Look", "LaunchWith"):
            continue
        bound = json.dumps([statement["Resource"], statement.get("Condition", {})])
        assert "MARKOPT_NAME" in bound or "MARKOPT_FUNCTION" in bound, statement["Sid"]
        assert all(where != "*" for where in listed(statement["Resource"]))


def test_launches_must_carry_the_deployments_tag_and_only_its_instances_end() -> None:
    by_sid = {one["Sid"]: one for one in policy("iam_policy.json")["Statement"]}
    launch = by_sid["LaunchTagged"]["Condition"]["StringEquals"]
    assert launch == {"aws:RequestTag/markopt:deployment": "MARKOPT_NAME"}
    assert not any(":instance/" in arn for arn in by_sid["LaunchWith"]["Resource"])
    for sid in ("EndOwn", "TagOwn"):
        condition = by_sid[sid]["Condition"]["StringEquals"]
        assert condition == {"aws:ResourceTag/markopt:deployment": "MARKOPT_NAME"}
    keys = by_sid["TagOwn"]["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"]
    assert set(keys) == {AT_RISK, ENDED_BY, LAUNCHED, LEAVING, NOTICE}


@pytest.mark.parametrize("file", ["iam_policy.json", "iam_policy_advise.json"])
def test_iam_takes_the_policy(moto_url: str, name: str, file: str) -> None:
    """moto checks a policy's grammar as IAM does; a managed policy has 6144 characters at most."""
    text = json.dumps(policy(file), separators=(",", ":"))
    values = {"NAME": name, "REGION": REGION, "ACCOUNT": "123456789012", "FUNCTION": name}
    for key, value in values.items():
        text = text.replace(f"MARKOPT_{key}", value)
    assert "MARKOPT" not in text
    assert len(text) <= 6144
    client(moto_url, "iam").create_policy(PolicyName=f"{name}-{file[:-5]}", PolicyDocument=text)
