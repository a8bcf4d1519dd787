"""AWS in memory, for many short stories: it dies, refuses and forgets as it is told to.

It answers what the back end calls, with EC2's rules for client tokens, states and tags, and the
load balancer's for draining. What the answers look like over HTTP is tested with moto's server.
"""

# ruff: noqa: N803 - arguments are called as AWS calls them
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

NAME = "shop"
ARN = "arn:aws:elasticloadbalancing:us-east-1:1"
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Died(BaseException):
    """The process ended in the middle of a call."""


@dataclass
class Machine:
    """One instance: left out of ``hidden`` more listings; answering for ``draining`` more looks."""

    instance_id: str
    tags: dict[str, str]
    token: str
    state: str = "pending"
    target: str = "unused"
    hidden: int = 0
    draining: int = 0


@dataclass
class FakeAws:
    """What there is, and what is to go wrong.

    ``faults`` are used up call by call; ``death`` is an operation, at whose next call the process
    dies, before or after its effect.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    queue: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    death: tuple[str, str] | None = None
    capacity: dict[str, int] = field(default_factory=dict)
    hidden: int = 0
    drains: int = 0
    weights: list[dict[str, Any]] = field(default_factory=list)
    launches: dict[str, tuple[dict[str, Any], list[str]]] = field(default_factory=dict)
    warm: str = "0"
    calls: list[str] = field(default_factory=list)

    def client(self, _: str) -> Any:
        """Return the client of any service: no two that are used share an operation's name."""
        return _Client(self)

    def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry an operation out, unless the next fault says otherwise."""
        fault = self.faults.pop(0) if self.faults else "none"
        self.calls.append(operation)
        if self.death is not None and self.death[0] == operation:
            fault, self.death = self.death[1], None
        if fault == "dies before":
            raise Died
        if fault == "throttled":
            raise _refusal("RequestLimitExceeded", operation)
        if fault == "refused":
            raise _refusal("UnauthorizedOperation", operation)
        carry_out: Callable[..., dict[str, Any]] = getattr(self, operation)
        answer = carry_out(**arguments)
        if fault == "dies after":
            raise Died
        if fault == "lost":
            raise ConnectionClosedError(endpoint_url="https://aws")
        return answer

    # --- EC2 ---

    def run_instances(self, **asked: Any) -> dict[str, Any]:
        token = asked["ClientToken"]
        if token in self.launches:
            before, ids = self.launches[token]
            if before != asked:
                raise _refusal("IdempotentParameterMismatch", "RunInstances")
            return {"Instances": [{"InstanceId": name} for name in ids]}
        kind = asked["InstanceType"]
        count = min(asked["MaxCount"], self.capacity.get(kind, asked["MaxCount"]))
        if count < asked["MinCount"]:
            raise _refusal("InsufficientInstanceCapacity", "RunInstances")
        if kind in self.capacity:
            self.capacity[kind] -= count
        tags = {t["Key"]: t["Value"] for t in asked["TagSpecifications"][0]["Tags"]}
        ids = [f"i-{len(self.machines) + n:08x}" for n in range(count)]
        for name in ids:
            self.machines[name] = Machine(name, dict(tags), token, hidden=self.hidden)
        self.launches[token] = (asked, ids)
        return {"Instances": [{"InstanceId": name} for name in ids]}

    def describe_instances(self, **_: Any) -> dict[str, Any]:
        shown = []
        for machine in self.machines.values():
            if machine.hidden:
                machine.hidden -= 1
                continue
            shown.append(
                {
                    "InstanceId": machine.instance_id,
                    "State": {"Name": machine.state},
                    "LaunchTime": LONG_AGO,
                    "Tags": [{"Key": k, "Value": v} for k, v in machine.tags.items()],
                }
            )
            if machine.state == "pending":
                machine.state = "running"
        return {"Reservations": [{"Instances": shown}]}

    def create_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> dict[str, Any]:
        for name in Resources:
            self._machine(name).tags |= {tag["Key"]: tag["Value"] for tag in Tags}
        return {}

    def terminate_instances(self, InstanceIds: list[str]) -> dict[str, Any]:
        for machine in [self._machine(name) for name in InstanceIds]:
            machine.state, machine.target = "terminated", "unused"
        return {}

    def describe_instance_status(self, **_: Any) -> dict[str, Any]:
        return {"InstanceStatuses": []}

    def _machine(self, name: str) -> Machine:
        if name not in self.machines or self.machines[name].hidden:
            raise _refusal("InvalidInstanceID.NotFound", "EC2")
        return self.machines[name]

    # --- the load balancer ---

    def describe_load_balancers(self, **_: Any) -> dict[str, Any]:
        zones = [{"ZoneName": "us-east-1a", "SubnetId": "subnet-a"}]
        arn = f"{ARN}:loadbalancer/app/{NAME}/1"
        return {"LoadBalancers": [{"LoadBalancerArn": arn, "AvailabilityZones": zones}]}

    def describe_target_groups(self, Names: list[str]) -> dict[str, Any]:
        groups = [
            {"TargetGroupName": name, "TargetGroupArn": f"{ARN}:targetgroup/{name}/1"}
            for name in Names
        ]
        return {"TargetGroups": groups}

    def describe_listeners(self, **_: Any) -> dict[str, Any]:
        groups = self.weights or [
            {"TargetGroupArn": f"{ARN}:targetgroup/{NAME}-instances/1", "Weight": 1}
        ]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
        return {"Listeners": [{"ListenerArn": "listener", "DefaultActions": [action]}]}

    def modify_listener(self, DefaultActions: list[Any], **_: Any) -> dict[str, Any]:
        self.weights = DefaultActions[0]["ForwardConfig"]["TargetGroups"]
        return {}

    def describe_target_health(self, **_: Any) -> dict[str, Any]:
        entries = []
        for machine in self.machines.values():
            if machine.target == "unused":
                continue
            entries.append(
                {"Target": {"Id": machine.instance_id}, "TargetHealth": {"State": machine.target}}
            )
            if machine.target == "initial":
                machine.target = "healthy"
            elif machine.target == "draining":
                machine.draining -= 1
                machine.target = "draining" if machine.draining > 0 else "unused"
        return {"TargetHealthDescriptions": entries}

    def register_targets(self, Targets: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        for machine in [self._machine(target["Id"]) for target in Targets]:
            if machine.state != "running":
                raise _refusal("InvalidTarget", "RegisterTargets")
            machine.target = "initial"
        return {}

    def deregister_targets(self, Targets: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        for target in Targets:
            machine = self._machine(target["Id"])
            if machine.target in ("initial", "healthy"):
                machine.target, machine.draining = "draining", self.drains
        return {}

    # --- queue, metrics, function ---

    def get_queue_url(self, **_: Any) -> dict[str, Any]:
        return {"QueueUrl": "queue"}

    def receive_message(self, **_: Any) -> dict[str, Any]:
        shown = [{"ReceiptHandle": key, "Body": body} for key, body in self.queue.items()]
        return {"Messages": shown[:10]}

    def delete_message_batch(self, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:
        for entry in Entries:
            self.queue.pop(entry["ReceiptHandle"], None)
        return {}

    def get_metric_data(self, **_: Any) -> dict[str, Any]:
        return {"MetricDataResults": []}

    def get_function_configuration(self, **_: Any) -> dict[str, Any]:
        return {"FunctionArn": "arn:function"}

    def list_tags(self, **_: Any) -> dict[str, Any]:
        return {"Tags": {"markopt:warm": self.warm}}

    def tag_resource(self, Tags: dict[str, str], **_: Any) -> dict[str, Any]:
        self.warm = Tags["markopt:warm"]
        return {}


class _Client:
    def __init__(self, aws: FakeAws) -> None:
        self._aws = aws

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return lambda **arguments: self._aws.call(operation, arguments)


def _refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as told"}}, operation)
