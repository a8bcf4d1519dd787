"""The application load balancer: who is in service, and which share goes to functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.errors import ConfigError

WHOLE = 999
"""Largest weight that a target group may have."""


@dataclass(frozen=True)
class BalancerNames:
    """The load balancer's parts by their ARNs; ``functions`` None: no function group."""

    load_balancer: str
    listener: str
    instances: str
    functions: str | None
    subnets: dict[str, str]

    @property
    def dimension(self) -> str:
        """What CloudWatch calls the load balancer."""
        return self.load_balancer.split(":loadbalancer/", 1)[1]

    @staticmethod
    def target_group_dimension(arn: str) -> str:
        """Return what CloudWatch calls a target group."""
        return arn.rpartition(":")[2]


def find_balancer(calls: Calls, name: str, *, with_functions: bool) -> BalancerNames:
    """Return the load balancer called ``name``, its listener and its groups.

    The groups are called ``NAME-instances`` and ``NAME-functions``; the listener is the one whose
    default action forwards to the first of them.

    Raises:
        ConfigError: a part is missing.
        CallFailed: AWS refuses or does not answer.
    """
    try:
        found = calls("elbv2", "describe_load_balancers", Names=[name])["LoadBalancers"][0]
        groups = [f"{name}-instances"] + [f"{name}-functions"] * with_functions
        arns = {
            entry["TargetGroupName"]: entry["TargetGroupArn"]
            for entry in calls.pages(
                "elbv2", "describe_target_groups", "TargetGroups", Names=groups
            )
        }
    except CallFailed as error:
        if error.code not in ("LoadBalancerNotFound", "TargetGroupNotFound"):
            raise
        raise ConfigError(
            f"cloud=aws: expected a load balancer '{name}' with target groups of its name (see "
            f"docs/deploy.md), got {error}"
        ) from None
    arn = found["LoadBalancerArn"]
    instances = arns[f"{name}-instances"]
    for listener in calls.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn):
        if instances in _forwarded(listener["DefaultActions"]):
            return BalancerNames(
                load_balancer=arn,
                listener=listener["ListenerArn"],
                instances=instances,
                functions=arns.get(f"{name}-functions"),
                subnets={z["ZoneName"]: z["SubnetId"] for z in found["AvailabilityZones"]},
            )
    raise ConfigError(
        f"cloud=aws: expected a listener of load balancer '{name}' that forwards to "
        f"'{name}-instances', got none"
    )


def _forwarded(actions: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return the target groups that a listener's actions forward to, with their weights."""
    weights: dict[str, int] = {}
    for action in actions:
        if action["Type"] != "forward":
            continue
        groups = action.get("ForwardConfig", {}).get("TargetGroups") or [
            {"TargetGroupArn": action["TargetGroupArn"]}
        ]
        weights |= {group["TargetGroupArn"]: group.get("Weight", 1) for group in groups}
    return weights


@final
class Balancer:
    """Puts instances into service and takes them out, and splits requests by weight."""

    def __init__(self, calls: Calls, names: BalancerNames) -> None:
        self._calls = calls
        self._names = names

    def health(self) -> dict[str, str]:
        """Return the state of each target of the instances' group, by id.

        Raises:
            CallFailed: AWS does not answer.
        """
        answer = self._calls(
            "elbv2", "describe_target_health", TargetGroupArn=self._names.instances
        )
        return {
            entry["Target"]["Id"]: entry["TargetHealth"]["State"]
            for entry in answer["TargetHealthDescriptions"]
        }

    def register(self, instance_ids: Sequence[str]) -> None:
        """Put instances into service: they get requests once their health checks pass.

        Raises:
            CallFailed: AWS refuses or does not answer.
        """
        self._change("register_targets", instance_ids)

    def deregister(self, instance_ids: Sequence[str]) -> None:
        """Take instances out of service: they answer what they have and get no more.

        Raises:
            CallFailed: AWS refuses or does not answer.
        """
        self._change("deregister_targets", instance_ids)

    def _change(self, operation: str, instance_ids: Sequence[str]) -> None:
        if instance_ids:
            targets = [{"Id": name} for name in instance_ids]
            self._calls("elbv2", operation, TargetGroupArn=self._names.instances, Targets=targets)

    def function_share(self) -> float:
        """Return the share of requests that goes to functions.

        Raises:
            CallFailed: AWS does not answer.
        """
        answer = self._calls("elbv2", "describe_listeners", ListenerArns=[self._names.listener])
        weights = _forwarded(answer["Listeners"][0]["DefaultActions"])
        whole = sum(weights.values())
        return weights.get(self._names.functions or "", 0) / whole if whole else 0.0

    def set_function_share(self, share: float) -> None:
        """Send a share of requests to functions, to a thousandth; without functions none.

        Raises:
            CallFailed: AWS refuses or does not answer.
        """
        self._calls(
            "elbv2",
            "modify_listener",
            ListenerArn=self._names.listener,
            DefaultActions=[
                {"Type": "forward", "ForwardConfig": {"TargetGroups": self.weights(share)}}
            ],
        )

    def weights(self, share: float) -> list[dict[str, Any]]:
        """Return the weights of the target groups that come nearest to a share.

        A share above 0 is never rounded to nothing, nor one below 1 to all.
        """
        if self._names.functions is None:
            return [{"TargetGroupArn": self._names.instances, "Weight": WHOLE}]
        functions = round(share * WHOLE)
        if 0.0 < share < 1.0:
            functions = min(max(functions, 1), WHOLE - 1)
        return [
            {"TargetGroupArn": self._names.instances, "Weight": WHOLE - functions},
            {"TargetGroupArn": self._names.functions, "Weight": functions},
        ]
