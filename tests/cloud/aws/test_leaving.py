"""Out of service: drained or too late, noticed in time, never healthy; after a crash too."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.cloud.aws.backend import AwsBackend
from markopt.cloud.aws.notices import Notice, read_notice
from markopt.core import Actions, InstanceState
from tests.cloud.aws.proxy import Call, Faults, Proxy, proxied
from tests.cloud.aws.worlds import ON_DEMAND, SPOT, alive, client, instances, open_backend, tags_of

READY, BOOTING, DRAINING = InstanceState.READY, InstanceState.BOOTING, InstanceState.DRAINING


@dataclass
class TargetHealth:
    """Answers DescribeTargetHealth in moto's place: it knows no draining and no failing checks."""

    states: dict[str, str] = field(default_factory=dict)

    def __call__(self, call: Call, answer: bytes) -> bytes:
        if call.operation != "DescribeTargetHealth" or not self.states:
            return answer
        members = "".join(
            f"<member><Target><Id>{name}</Id><Port>8080</Port></Target>"
            f"<TargetHealth><State>{state}</State></TargetHealth></member>"
            for name, state in self.states.items()
        )
        return (
            '<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/'
            f'2015-12-01/"><DescribeTargetHealthResult><TargetHealthDescriptions>{members}'
            "</TargetHealthDescriptions></DescribeTargetHealthResult>"
            "<ResponseMetadata><RequestId>made-up</RequestId></ResponseMetadata>"
            "</DescribeTargetHealthResponse>"
        ).encode()


def served(backend: AwsBackend, offer: str = ON_DEMAND.name, count: int = 1) -> tuple[str, ...]:
    """Launch, and wait until what was launched is in service."""
    ids = backend.apply(Actions("up", launch={offer: count})).launched[offer]
    now_s = backend.observe().time_s
    backend.advance(now_s + 20.0)
    assert states(backend) == dict.fromkeys(ids, READY)
    return ids


def states(backend: AwsBackend) -> dict[str, InstanceState]:
    return {one.instance_id: one.state for one in backend.observe().instances}


def later(backend: AwsBackend, by_s: float) -> None:
    backend.advance(backend.observe().time_s + by_s)


def ec2_state(url: str, name: str) -> dict[str, str]:
    return {entry["InstanceId"]: entry["State"]["Name"] for entry in instances(url, name)}


def test_a_leaving_instance_ends_once_it_has_answered_all(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        health = proxy.rewrite = TargetHealth()
        backend = open_backend(proxy.url, name, drain_deadline_s=300.0)
        gone, stays = served(backend, count=2)
        health.states = {gone: "draining", stays: "healthy"}
        assert backend.apply(Actions("down", terminate=(gone,))).terminated == (gone,)
        later(backend, 60.0)
        assert states(backend) == {gone: DRAINING, stays: READY}
        assert ec2_state(moto_url, name)[gone] == "running"
        health.states = {stays: "healthy"}
        later(backend, 10.0)
        assert states(backend) == {stays: READY}
        assert ec2_state(moto_url, name) == {gone: "terminated", stays: "running"}


def test_a_leaving_instance_ends_at_the_deadline_at_the_latest(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        health = proxy.rewrite = TargetHealth()
        backend = open_backend(proxy.url, name, drain_deadline_s=60.0)
        (gone,) = served(backend)
        health.states = {gone: "draining"}
        backend.apply(Actions("down", terminate=(gone,)))
        later(backend, 50.0)
        assert ec2_state(moto_url, name)[gone] == "running"
        later(backend, 10.0)
        assert ec2_state(moto_url, name)[gone] == "terminated"


def test_an_instance_that_serves_nothing_yet_ends_at_once(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    (gone,) = backend.apply(Actions("up", launch={ON_DEMAND.name: 1})).launched[ON_DEMAND.name]
    backend.apply(Actions("down", terminate=(gone,)))
    assert ec2_state(moto_url, name)[gone] == "terminated"


@pytest.mark.parametrize("dies_at", ["DeregisterTargets", "TerminateInstances"])
def test_after_a_crash_another_process_ends_what_was_leaving(
    moto_url: str, name: str, dies_at: str
) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        (gone,) = served(backend)

        def die(call: Call) -> None:
            proxy.faults = Faults(failed=float(call.operation == dies_at))

        proxy.before = die
        report = backend.apply(Actions("down", terminate=(gone,)))
        assert report.terminated == (gone,)
        proxy.before, proxy.faults = None, Faults()
        again = open_backend(proxy.url, name)
        assert again.apply(Actions("down", terminate=(gone,))).terminated == (gone,)
        later(again, 30.0)
        assert states(again) == {}
        assert ec2_state(moto_url, name)[gone] == "terminated"
        assert tags_of(instances(moto_url, name)[0])["markopt:ended-by"] == "down"


def send(url: str, kind: str, instance_id: str, **more: str) -> None:
    """Let EC2 say something on the account's event bus, as it does to every rule."""
    event = {
        "Source": "aws.ec2",
        "DetailType": kind,
        "Detail": json.dumps({"instance-id": instance_id, **more}),
    }
    client(url, "events").put_events(Entries=[event])


INTERRUPTION = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"


def notices(backend: AwsBackend) -> dict[str, bool]:
    return {one.instance_id: one.notice for one in backend.observe().instances}


def test_a_noticed_instance_is_marked_and_leaves_before_it_is_taken(
    moto_url: str, name: str
) -> None:
    """From EC2 over EventBridge and the queue to the observation."""
    backend = open_backend(moto_url, name, drain_deadline_s=60.0)
    taken, stays = served(backend, SPOT.name, 2)
    send(moto_url, INTERRUPTION, taken, **{"instance-action": "terminate"})
    later(backend, 10.0)
    assert notices(backend) == {taken: True, stays: False}
    assert states(backend) == {taken: READY, stays: READY}
    later(backend, 50.0)
    assert states(backend) == {taken: READY, stays: READY}
    later(backend, 20.0)
    assert states(backend) == {stays: READY}
    assert backend.close().interruptions == 1


def test_an_instance_at_risk_is_marked_and_serves_on(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name, look_period_s=20.0)
    (risky,) = served(backend, SPOT.name)
    send(moto_url, REBALANCE, risky)
    later(backend, 20.0)
    assert notices(backend) == {risky: True}
    later(backend, 300.0)
    assert states(backend) == {risky: READY}
    assert backend.close().interruptions == 0


def queued(url: str, name: str) -> int:
    sqs = client(url, "sqs")
    queue = sqs.get_queue_url(QueueName=f"{name}-notices")["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    return int(answer["ApproximateNumberOfMessages"]) + int(
        answer["ApproximateNumberOfMessagesNotVisible"]
    )


def test_a_notice_stays_queued_until_it_stands_in_a_tag(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        (taken,) = served(backend, SPOT.name)
        send(moto_url, INTERRUPTION, taken)

        def tags_fail(call: Call) -> None:
            proxy.faults = Faults(failed=float(call.operation == "CreateTags"))

        proxy.before = tags_fail
        later(backend, 10.0)
        assert queued(moto_url, name) == 1
        proxy.before, proxy.faults = None, Faults()
    # A message that was received is shown again after its time-out; tests do not wait for that.
    sqs = client(moto_url, "sqs")
    send(moto_url, INTERRUPTION, taken)
    again = open_backend(moto_url, name)
    later(again, 10.0)
    assert notices(again) == {taken: True}
    queue = sqs.get_queue_url(QueueName=f"{name}-notices")["QueueUrl"]
    assert sqs.receive_message(QueueUrl=queue).get("Messages", []) == []
    assert notices(open_backend(moto_url, name)) == {taken: True}, "a restart forgets no notice"


def test_what_is_no_notice_of_ours_is_put_away(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    (mine,) = served(backend, SPOT.name)
    sqs = client(moto_url, "sqs")
    queue = sqs.get_queue_url(QueueName=f"{name}-notices")["QueueUrl"]
    bodies = ["no JSON", "{}", json.dumps({"source": "aws.ec2", "detail-type": INTERRUPTION})]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    send(moto_url, INTERRUPTION, "i-0123456789abcdef0")
    later(backend, 10.0)
    assert queued(moto_url, name) == 0
    assert notices(backend) == {mine: False}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text() | json_values.map(json.dumps))
def test_no_message_breaks_the_reader(body: str) -> None:
    assert read_notice(body) is None


def test_a_notice_is_read_whatever_else_the_event_holds() -> None:
    event: dict[str, Any] = {
        "version": "0",
        "source": "aws.ec2",
        "detail-type": INTERRUPTION,
        "detail": {"instance-id": "i-0123456789abcdef0", "instance-action": "hibernate"},
    }
    assert read_notice(json.dumps(event)) == Notice("i-0123456789abcdef0", certain=True)
    event["detail-type"] = REBALANCE
    assert read_notice(json.dumps(event)) == Notice("i-0123456789abcdef0", certain=False)
    event["detail"]["instance-id"] = "i-$(touch hacked)"
    assert read_notice(json.dumps(event)) is None


def spot_request(proxy: Proxy, taken: str) -> None:
    """Let spot requests stand for spot instances, which moto does not do for RunInstances."""
    request = "sir-abcd1234"

    def rewrite(call: Call, answer: bytes) -> bytes:
        if call.operation == "DescribeInstances":
            mark = f"<instanceId>{taken}</instanceId>".encode()
            extra = f"<spotInstanceRequestId>{request}</spotInstanceRequestId>".encode()
            return answer.replace(mark, mark + extra)
        if call.operation == "DescribeSpotInstanceRequests":
            asked = call.form.get("Filter.1.Value.1", "")
            item = (
                f"<item><spotInstanceRequestId>{request}</spotInstanceRequestId><status>"
                "<code>marked-for-termination</code></status></item>"
            )
            return (
                '<DescribeSpotInstanceRequestsResponse xmlns="http://ec2.amazonaws.com/doc/'
                f'2016-11-15/"><spotInstanceRequestSet>{item if asked == request else ""}'
                "</spotInstanceRequestSet></DescribeSpotInstanceRequestsResponse>"
            ).encode()
        return answer

    proxy.rewrite = rewrite


def test_the_status_of_a_spot_request_is_a_notice_too(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        taken, stays = served(backend, SPOT.name, 2)
        spot_request(proxy, taken)
        later(backend, 10.0)
        assert notices(backend) == {taken: True, stays: False}


def test_an_instance_that_never_gets_healthy_is_ended(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        health = proxy.rewrite = TargetHealth()
        backend = open_backend(proxy.url, name, boot_deadline_s=200.0)
        good, bad = backend.apply(Actions("up", launch={ON_DEMAND.name: 2})).launched[
            ON_DEMAND.name
        ]
        health.states = {good: "healthy", bad: "unhealthy"}
        later(backend, 210.0)
        assert states(backend) == {good: READY, bad: BOOTING}
        later(backend, 10.0)
        assert states(backend) == {good: READY, bad: DRAINING}
        health.states = {good: "healthy"}
        later(backend, 10.0)
        assert states(backend) == {good: READY}


def test_a_fleet_that_fails_its_checks_for_a_while_is_not_ended(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        health = proxy.rewrite = TargetHealth()
        backend = open_backend(proxy.url, name, boot_deadline_s=200.0, look_period_s=20.0)
        ids = served(backend, count=2)
        health.states = dict.fromkeys(ids, "healthy")
        later(backend, 300.0)
        health.states = dict.fromkeys(ids, "unhealthy")
        later(backend, 200.0)
        assert states(backend) == dict.fromkeys(ids, BOOTING)
        health.states = dict.fromkeys(ids, "healthy")
        later(backend, 20.0)
        assert states(backend) == dict.fromkeys(ids, READY)


def test_an_instance_that_somebody_ended_is_gone(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    gone, stays = served(backend, count=2)
    client(moto_url, "ec2").terminate_instances(InstanceIds=[gone])
    assert states(backend) == {stays: READY}
    report = backend.apply(Actions("down", terminate=(gone,)))
    assert report.terminated == ()
    assert gone in report.refused[0]


def test_in_advisory_mode_nothing_is_touched(moto_url: str, name: str) -> None:
    acting = open_backend(moto_url, name)
    (one,) = acting.apply(Actions("up", launch={SPOT.name: 1})).launched[SPOT.name]
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name, mode="advise")
        proxy.calls.clear()
        later(backend, 120.0)
        assert states(backend) == {one: BOOTING}
        made = {call.operation for call in proxy.calls}
        rehearsal = {"PutMetricData", "GetMetricStatistics", "DescribeListeners"}
        assert made - rehearsal == {"DescribeInstances", "DescribeTargetHealth", "GetMetricData"}
    assert [entry["InstanceId"] for entry in alive(moto_url, name)] == [one]
