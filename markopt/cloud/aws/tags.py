"""Tags, the source of truth: what an instance belongs to, and what is to become of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markopt.errors import ConfigError

DEPLOYMENT = "markopt:deployment"
OFFER = "markopt:offer"
DECISION = "markopt:decision"
LAUNCHED = "markopt:launched-s"
LEAVING = "markopt:leaving-s"
ENDED_BY = "markopt:ended-by"
NOTICE = "markopt:notice-s"
AT_RISK = "markopt:at-risk-s"
WARM = "markopt:warm"

_VALUE = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,256}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
ALIVE = ("pending", "running")
LISTED = ("pending", "running", "shutting-down", "terminated")


@dataclass(frozen=True)
class TaggedInstance:
    """One instance of the deployment as EC2 lists it, with what its tags say.

    ``state`` is EC2's. Times are on the deployment's clock: ``leaving_s`` since when it is on its
    way out, ``notice_s`` when its interruption was announced, ``at_risk_s`` when AWS advised to
    replace it, None: not.
    """

    instance_id: str
    offer: str
    decision_id: str
    state: str
    launched_s: float | None
    leaving_s: float | None = None
    ended_by: str = ""
    notice_s: float | None = None
    at_risk_s: float | None = None
    spot_request_id: str = ""

    @property
    def alive(self) -> bool:
        """True for one that runs or is about to."""
        return self.state in ALIVE

    @property
    def noticed(self) -> bool:
        """True for one that nothing should be built on any more, though it serves still."""
        return self.notice_s is not None or self.at_risk_s is not None


def check_name(name: str) -> str:
    """Return a deployment's name: load balancers and queues are called after it.

    Raises:
        ConfigError: it is too long, or has characters that AWS does not take.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "deploy.name: expected up to 20 lower-case letters, digits and hyphens, a letter "
            f"first, got {name!r}"
        )
    return name


def check_value(key: str, value: str) -> str:
    """Return a tag's value.

    Raises:
        ConfigError: AWS does not take it.
    """
    if not _VALUE.fullmatch(value):
        raise ConfigError(
            f"{key}: expected up to 256 letters, digits, spaces and _.:/=+@- (a tag), got {value!r}"
        )
    return value


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS's calls take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def client_token(*parts: str) -> str:
    """Return the token that makes a call with the same parts one and the same call."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_instance(entry: Mapping[str, Any], *, by_launch_time: bool) -> TaggedInstance:
    """Return what DescribeInstances tells of an instance.

    ``by_launch_time``: the deployment's clock is the wall's, by which EC2 notes launches; else the
    tag alone tells.
    """
    tags = {tag["Key"]: tag["Value"] for tag in entry.get("Tags", ())}
    launched_s = _seconds(tags.get(LAUNCHED))
    if launched_s is None and by_launch_time:
        launched_s = entry["LaunchTime"].timestamp()
    return TaggedInstance(
        instance_id=entry["InstanceId"],
        offer=tags.get(OFFER, ""),
        decision_id=tags.get(DECISION, ""),
        state=entry["State"]["Name"],
        launched_s=launched_s,
        leaving_s=_seconds(tags.get(LEAVING)),
        ended_by=tags.get(ENDED_BY, ""),
        notice_s=_seconds(tags.get(NOTICE)),
        at_risk_s=_seconds(tags.get(AT_RISK)),
        spot_request_id=entry.get("SpotInstanceRequestId") or "",
    )


def _seconds(text: str | None) -> float | None:
    """Return a time from a tag; None where there is none, or somebody wrote something else."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
