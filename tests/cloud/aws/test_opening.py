"""Opening a deployment: what is missing is named, what is secret stays secret, a dry run tells."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from markopt.cloud.aws import AwsCloud
from markopt.cloud.aws.balancer import Balancer, BalancerNames
from markopt.cloud.aws.calls import Calls
from markopt.core import Actions, PurchaseOption
from markopt.errors import BackendError, ConfigError
from tests.cloud.aws.proxy import Faults, proxied
from tests.cloud.aws.worlds import (
    CREDENTIALS,
    FUNCTION,
    ON_DEMAND,
    QUICK,
    SPOT,
    client,
    deployment,
    instances,
    open_backend,
    settings,
)

SECRETS = (CREDENTIALS["AWS_SECRET_ACCESS_KEY"], CREDENTIALS["AWS_SESSION_TOKEN"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_missing_load_balancer_is_named_in_one_line(moto_url: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"load balancer '{name}'") as raised:
        settings(moto_url, rehearsal=False).open(deployment(name))
    assert "\n" not in str(raised.value)
    assert "docs/deploy.md" in str(raised.value)


def test_a_missing_function_group_is_named(moto_url: str, name: str) -> None:
    open_backend(moto_url, name, with_function=None)
    with pytest.raises(ConfigError, match="TargetGroupNotFound"):
        open_backend(moto_url, name, with_function=FUNCTION)


def test_a_missing_queue_is_named(moto_url: str, name: str) -> None:
    open_backend(moto_url, name)
    sqs, events = client(moto_url, "sqs"), client(moto_url, "events")
    events.remove_targets(Rule=f"{name}-notices", Ids=["queue"])
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"{name}-notices")["QueueUrl"])
    with pytest.raises(ConfigError, match=f"{name}-notices"):
        open_backend(moto_url, name)


def test_an_endpoint_that_is_not_there_is_an_error_in_one_line(name: str) -> None:
    with pytest.raises(BackendError, match="EndpointConnectionError") as raised:
        open_backend(f"http://127.0.0.1:{free_port()}", name)
    assert "\n" not in str(raised.value)


def test_without_credentials_the_error_says_so(
    moto_url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(key)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(BackendError, match="NoCredentialsError"):
        open_backend(moto_url, name)


@pytest.mark.parametrize("bad", ["Upper", "", "9lives", "a" * 21, "under_score", "a b"])
def test_a_name_that_aws_does_not_take_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match=r"deploy\.name"):
        AwsCloud().open(deployment(bad))


def test_a_container_is_no_offer_of_this_back_end(name: str) -> None:
    container = replace(ON_DEMAND, purchase=PurchaseOption.CONTAINER)
    with pytest.raises(ConfigError, match="container"):
        AwsCloud().open(deployment(name, offers=(container,)))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data_plane": "magic"}, "data_plane"),
        ({"look_period_s": 0.0}, "look_period_s"),
        ({"drain_deadline_s": -1.0}, "drain_deadline_s"),
        ({"mode": "perhaps"}, "mode"),
        ({"endpoint_url": "ftp://x"}, "endpoint_url"),
        ({"endpoint_url": "http://key:secret@host"}, "credentials"),
        ({"rehearsal": True}, "rehearsal"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key) as raised:
        AwsCloud(**changes)
    assert "secret" not in str(raised.value)


def test_a_rehearsal_is_played_on_this_machine_only() -> None:
    assert AwsCloud(endpoint_url="http://127.0.0.1:5000").rehearses
    assert AwsCloud(endpoint_url="http://localhost:5000").rehearses
    assert not AwsCloud(endpoint_url="https://ec2.example.org").rehearses
    assert not AwsCloud().rehearses


def test_no_secret_reaches_logs_texts_or_tags(
    moto_url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="markopt"), proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        proxy.faults = Faults(seed=2, throttled=0.2, failed=0.1, lost=0.1)
        report = backend.apply(Actions("d", launch={ON_DEMAND.name: 2}, warm_functions=1))
        backend.advance(3660.0)
        proxy.faults = Faults(failed=1.0)
        refused = backend.apply(Actions("d2", launch={SPOT.name: 2}, terminate=("i-1",)))
        assert refused.refused
        proxy.faults = Faults()
        texts = [
            repr(backend),
            repr(settings(proxy.url)),
            repr(report),
            repr(refused),
            repr(backend.observe()),
            repr(instances(moto_url, name)),
            "\n".join(backend.describe(Actions("d3", launch={SPOT.name: 1}))),
            caplog.text,
        ]
    assert "try 2 follows" in caplog.text
    for secret in (*SECRETS, CREDENTIALS["AWS_ACCESS_KEY_ID"]):
        assert not any(secret in text for text in texts)


def test_what_is_described_is_what_is_called(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        (old,) = backend.apply(Actions("d1", launch={ON_DEMAND.name: 1})).launched[ON_DEMAND.name]
        actions = Actions(
            "d2",
            launch={ON_DEMAND.name: 2, SPOT.name: 1},
            terminate=(old,),
            warm_functions=3,
            function_share=0.25,
        )
        proxy.calls.clear()
        lines = backend.describe(actions)
        assert proxy.calls == [], "a description calls nothing"
        backend.apply(actions)
        backend.advance(3610.0)
        made = {call.operation for call in proxy.calls}
    named = [line.split()[0].split(":")[1] for line in lines]
    assert named == [
        "RunInstances",
        "RunInstances",
        "CreateTags",
        "DeregisterTargets",
        "TerminateInstances",
        "TagResource",
        "Invoke",
        "ModifyListener",
    ]
    in_http = {operation.replace("POST /2015-03-31/functions/", "") for operation in made}
    assert {"RunInstances", "CreateTags", "TerminateInstances", "ModifyListener"} <= made
    assert f"{name}/invocations" in in_http
    assert "2..2 x c5.large on demand" in lines[0]
    assert "1..1 x c5.xlarge spot at most 2.16000 USD/h" in lines[1]
    assert "749/250" in lines[-1]


def test_nothing_to_do_is_described_by_nothing(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    assert list(backend.describe(Actions("d"))) == []
    with pytest.raises(ConfigError, match="not on sale"):
        backend.describe(Actions("d", launch={"no/such": 1}))


def names(functions: str | None) -> BalancerNames:
    return BalancerNames("arn:x:loadbalancer/app/a/1", "listener", "instances", functions, {})


@pytest.mark.parametrize(
    ("share", "weight"), [(0.0, 0), (1.0, 999), (0.5, 500), (1e-9, 1), (1.0 - 1e-9, 998)]
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, weight: int) -> None:
    calls = Calls(lambda _: None, QUICK, np.random.default_rng(1))  # type: ignore[arg-type, return-value]
    weights = {
        entry["TargetGroupArn"]: entry["Weight"]
        for entry in Balancer(calls, names("functions")).weights(share)
    }
    assert weights == {"functions": weight, "instances": 999 - weight}
    assert len(Balancer(calls, names(None)).weights(share)) == 1


def test_the_share_reaches_the_listener_and_the_load(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    backend.apply(Actions("d", function_share=0.25))
    elb = client(moto_url, "elbv2")
    arn = elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    weights = {g["TargetGroupArn"].split("/")[1]: g["Weight"] for g in groups}
    assert weights == {f"{name}-instances": 749, f"{name}-functions": 250}
    backend.advance(3660.0)
    seen = backend.observe()
    assert seen.arrivals.sum() > 0
    assert seen.spilled.sum() == pytest.approx(0.25 * seen.arrivals.sum(), abs=1.0)
    assert seen.bill_usd > 0.0


def test_a_bouncers_data_plane_leaves_the_weights_alone(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name, data_plane="bouncer")
        backend.apply(Actions("d", function_share=0.25))
        assert proxy.count("ModifyListener") == 0


def test_an_outage_shows_what_was_last_seen_and_then_ends(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name, look_period_s=10.0, stale_s=60.0)
        ids = backend.apply(Actions("d", launch={ON_DEMAND.name: 2})).launched[ON_DEMAND.name]
        backend.advance(3660.0)
        backend.observe()
        proxy.faults = Faults(failed=1.0)
        backend.advance(3720.0)
        seen = backend.observe()
        assert {one.instance_id for one in seen.instances} == set(ids)
        assert [one.age_s for one in seen.instances] == [120.0, 120.0]
        assert len(seen.arrivals) == 0, "no data is not zero load"
        with pytest.raises(BackendError, match="nothing seen for"):
            backend.advance(3730.0)
        proxy.faults = Faults()
        backend.advance(3740.0)
        assert len(backend.observe().arrivals) > 0
