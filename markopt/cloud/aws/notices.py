"""Spot interruptions as an outside controller learns of them: a queue of events, and statuses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from markopt.cloud.aws.calls import Calls

INTERRUPTION = "EC2 Spot Instance Interruption Warning"
REBALANCE = "EC2 Instance Rebalance Recommendation"
_MARKED = ("marked-for-termination", "marked-for-stop")
_ASKED_AT_ONCE = 200
_MOST_RECEIVES = 20
_log = logging.getLogger(__name__)


class Notice(NamedTuple):
    """An instance will be taken within two minutes; or AWS deems that likely."""

    instance_id: str
    certain: bool


class _Detail(BaseModel):
    model_config = ConfigDict(extra="ignore")
    instance_id: str = Field(alias="instance-id", pattern=r"^i-[0-9a-f]{8,32}$")


class _Event(BaseModel):
    """What is read of an event; anything else in a message is nobody's business."""

    model_config = ConfigDict(extra="ignore")
    source: Literal["aws.ec2"]
    detail_type: Literal[
        "EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"
    ] = Field(alias="detail-type")
    detail: _Detail


@final
class NoticeQueue:
    """The queue that EventBridge puts EC2's events into.

    A message stays in the queue until ``done`` is called with it, which is when what it says stands
    in the instance's tags: a crash in between shows it again. What is no such event is put away.
    """

    def __init__(self, calls: Calls, *, url: str) -> None:
        self._calls = calls
        self._url = url

    def receive(self) -> tuple[list[Notice], list[str]]:
        """Return the notices in the queue, and the receipts of their messages.

        Raises:
            CallFailed: SQS does not answer.
        """
        notices: list[Notice] = []
        receipts: list[str] = []
        for _ in range(_MOST_RECEIVES):
            answer = self._calls(
                "sqs", "receive_message", QueueUrl=self._url, MaxNumberOfMessages=10
            )
            messages = answer.get("Messages", ())
            for message in messages:
                receipts.append(message["ReceiptHandle"])
                if (notice := read_notice(message["Body"])) is not None:
                    notices.append(notice)
            if not messages:
                break
        return notices, receipts

    def done(self, receipts: Sequence[str]) -> None:
        """Take messages out of the queue.

        Raises:
            CallFailed: SQS does not answer.
        """
        for at in range(0, len(receipts), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt}
                for number, receipt in enumerate(receipts[at : at + 10])
            ]
            self._calls("sqs", "delete_message_batch", QueueUrl=self._url, Entries=entries)


def read_notice(body: str) -> Notice | None:
    """Return what a message says; None: it is no event about an interruption."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        _log.warning("a message of %d characters is no event of EC2, put away", len(body))
        return None
    return Notice(event.detail.instance_id, event.detail_type == INTERRUPTION)


def marked_requests(calls: Calls, request_ids: Sequence[str]) -> set[str]:
    """Return which spot requests' instances are about to be taken, by their requests' status.

    Raises:
        CallFailed: EC2 does not answer.
    """
    marked: set[str] = set()
    for at in range(0, len(request_ids), _ASKED_AT_ONCE):
        pages = calls.pages(
            "ec2",
            "describe_spot_instance_requests",
            "SpotInstanceRequests",
            Filters=[
                {
                    "Name": "spot-instance-request-id",
                    "Values": list(request_ids[at : at + _ASKED_AT_ONCE]),
                }
            ],
        )
        marked |= {
            entry["SpotInstanceRequestId"] for entry in pages if entry["Status"]["Code"] in _MARKED
        }
    return marked
