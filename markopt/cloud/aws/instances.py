"""EC2: listing, launching, tagging and ending the deployment's instances."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.tags import (
    DECISION,
    DEPLOYMENT,
    LISTED,
    OFFER,
    TaggedInstance,
    client_token,
    read_instance,
    tag_list,
)
from markopt.core import Offer, PurchaseOption

INSUFFICIENT = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "VcpuLimitExceeded",
    }
)
"""Refusals that another call at once will not change: no capacity, a quota, too low a price."""

_TAGGED_AT_ONCE = 500


class Launched(NamedTuple):
    """What became of a launch: ids, or why there are none, and whether for want of capacity."""

    ids: tuple[str, ...]
    refused: str = ""
    insufficient: bool = False


@dataclass(frozen=True)
class Placement:
    """Where instances may start: subnets by zone; ``whole``: all of a launch or none."""

    template: str
    subnets: Mapping[str, str]
    image_id: str | None = None
    whole: bool = False

    def subnet(self, offer: Offer, decision_id: str) -> str | None:
        """Return the subnet of an offer's zone; for a regional offer one that the decision draws.

        The draw depends on decision and offer alone: a repeated call asks for the same. None: the
        offer's zone has no subnet.
        """
        zone = offer.pool.rpartition("/")[2]
        if zone in self.subnets:
            return self.subnets[zone]
        if any(zone == known[:-1] for known in self.subnets):
            zones = sorted(self.subnets)
            return self.subnets[
                zones[zlib.crc32(f"{decision_id} {offer.name}".encode()) % len(zones)]
            ]
        return None


@final
class InstanceCalls:
    """The calls of EC2 that a deployment makes; of other deployments' instances it sees nothing."""

    def __init__(
        self, calls: Calls, *, deployment: str, placement: Placement, by_launch_time: bool
    ) -> None:
        self._calls = calls
        self._deployment = deployment
        self._placement = placement
        self._by_launch_time = by_launch_time

    def all(self) -> dict[str, TaggedInstance]:
        """Return what carries the deployment's tag, those that ended within the hour included.

        Raises:
            CallFailed: EC2 does not answer.
        """
        pages = self._calls.pages(
            "ec2",
            "describe_instances",
            "Reservations",
            Filters=[
                {"Name": f"tag:{DEPLOYMENT}", "Values": [self._deployment]},
                {"Name": "instance-state-name", "Values": list(LISTED)},
            ],
            MaxResults=200,
        )
        found = [
            read_instance(entry, by_launch_time=self._by_launch_time)
            for reservation in pages
            for entry in reservation["Instances"]
        ]
        return {instance.instance_id: instance for instance in found}

    def launch(self, offer: Offer, count: int, decision_id: str, script: str) -> Launched:
        """Launch up to ``count`` instances: what capacity allows, all of them in one call.

        The token makes it one call however often it is made: by a retry, or after a restart.
        """
        request = self.launch_request(offer, count, decision_id)
        if request is None:
            zone = offer.pool.rpartition("/")[2]
            return Launched((), f"launch {offer.name}: zone {zone} has no subnet", True)
        try:
            answer = self._calls("ec2", "run_instances", UserData=script, **request)
        except CallFailed as error:
            return Launched((), f"launch {offer.name}: {error}", error.code in INSUFFICIENT)
        ids = tuple(entry["InstanceId"] for entry in answer["Instances"])
        if len(ids) < count:
            text = f"launch {offer.name}: capacity for {len(ids)} of {count}"
            return Launched(ids, text, True)
        return Launched(ids)

    def launch_request(self, offer: Offer, count: int, decision_id: str) -> dict[str, Any] | None:
        """Return the arguments of RunInstances but for user data; None: no subnet in the zone."""
        subnet = self._placement.subnet(offer, decision_id)
        if subnet is None:
            return None
        tags = tag_list(
            {
                DEPLOYMENT: self._deployment,
                OFFER: offer.name,
                DECISION: decision_id,
                "Name": f"{self._deployment} {offer.name}",
            }
        )
        request: dict[str, Any] = {
            "LaunchTemplate": {
                "LaunchTemplateName": self._placement.template,
                "Version": "$Default",
            },
            "InstanceType": offer.instance_type,
            "SubnetId": subnet,
            "MinCount": count if self._placement.whole else 1,
            "MaxCount": count,
            "ClientToken": client_token(self._deployment, decision_id, offer.name),
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }
        if self._placement.image_id is not None:
            request["ImageId"] = self._placement.image_id
        if offer.purchase is PurchaseOption.SPOT:
            request["InstanceMarketOptions"] = {
                "MarketType": "spot",
                "SpotOptions": _spot_options(offer),
            }
        if offer.purchase is PurchaseOption.BURSTABLE:
            # Otherwise newer types go on at full speed beyond their credits, and bill for it.
            request["CreditSpecification"] = {"CpuCredits": "standard"}
        return request

    def tag(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set tags of instances.

        Raises:
            CallFailed: EC2 refuses or does not answer.
        """
        for at in range(0, len(instance_ids), _TAGGED_AT_ONCE):
            ids = list(instance_ids[at : at + _TAGGED_AT_ONCE])
            self._calls("ec2", "create_tags", Resources=ids, Tags=tag_list(tags))

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """End instances at once.

        Raises:
            CallFailed: EC2 refuses or does not answer.
        """
        if instance_ids:
            self._calls("ec2", "terminate_instances", InstanceIds=list(instance_ids))

    def impaired(self, instance_ids: Sequence[str]) -> set[str]:
        """Return which of them fail EC2's own status checks.

        Raises:
            CallFailed: EC2 does not answer.
        """
        if not instance_ids:
            return set()
        pages = self._calls.pages(
            "ec2",
            "describe_instance_status",
            "InstanceStatuses",
            InstanceIds=list(instance_ids),
        )
        return {
            entry["InstanceId"]
            for entry in pages
            if "impaired"
            in (
                entry.get("InstanceStatus", {}).get("Status"),
                entry.get("SystemStatus", {}).get("Status"),
            )
        }


def _spot_options(offer: Offer) -> dict[str, str]:
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    most_usd_per_s = offer.maximum_usd_per_s
    if math.isfinite(most_usd_per_s):
        options["MaxPrice"] = f"{most_usd_per_s * 3600.0:.5f}"
    return options
