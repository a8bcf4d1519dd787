"""Calls are made again where that helps, with seeded jitter, and fail in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    ParamValidationError,
)
from hypothesis import given
from hypothesis import strategies as st

from markopt.cloud.aws import RetrySettings
from markopt.cloud.aws.calls import THROTTLES, CallFailed, Calls, one_line
from markopt.errors import BackendError, ConfigError


def refusal(code: str, text: str = "no", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "RunInstances",
    )


class Answers:
    """A client whose one operation gives the answers in turn; errors are raised."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.asked.append(arguments)
            answer = self.left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def calls_of(client: Answers, waits: list[float] | None = None, **changes: Any) -> Calls:
    noted = [] if waits is None else waits
    return Calls(
        lambda _: client, RetrySettings(**changes), np.random.default_rng(3), sleep=noted.append
    )


PASSING = [
    *(refusal(code) for code in sorted(THROTTLES)),
    refusal("InternalError", status=500),
    refusal("Strange", status=503),
    refusal("Strange", status=429),
    ConnectTimeoutError(endpoint_url="http://x"),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_a_call_that_may_pass_is_made_again(error: Exception) -> None:
    client = Answers(error, error, {"done": 1})
    assert calls_of(client)("ec2", "run_instances", MaxCount=2) == {"done": 1}
    assert client.asked == [{"MaxCount": 2}] * 3


@pytest.mark.parametrize(
    "error",
    [
        refusal("UnauthorizedOperation"),
        refusal("VcpuLimitExceeded"),
        ParamValidationError(report="no such argument"),
        NoCredentialsError(),
    ],
    ids=str,
)
def test_a_call_that_cannot_pass_is_made_once(error: Exception) -> None:
    client = Answers(error)
    with pytest.raises(BackendError) as raised:
        calls_of(client)("ec2", "run_instances")
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("ec2 RunInstances: ")


def test_a_call_is_given_up_after_so_many_attempts() -> None:
    client = Answers(*[refusal("Throttling")] * 9)
    with pytest.raises(CallFailed) as raised:
        calls_of(client, attempts=4)("ec2", "run_instances")
    assert raised.value.code == "Throttling"
    assert len(client.asked) == 4


def test_waits_follow_from_the_seed_and_stay_below_the_doubled_limit() -> None:
    first: list[float] = []
    second: list[float] = []
    for waits in (first, second):
        client = Answers(*[refusal("Throttling")] * 7, {})
        calls_of(client, waits, attempts=8, first_wait_s=0.5, longest_wait_s=4.0)("ec2", "x_y")
    assert first == second
    assert len(first) == 7
    limits = [1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert all(0.0 <= wait <= limit for wait, limit in zip(first, limits, strict=True))
    assert len(set(first)) == 7


def test_what_is_no_error_of_aws_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        calls_of(Answers(ZeroDivisionError()))("ec2", "run_instances")


def test_every_page_is_read_once_and_a_throttled_page_again() -> None:
    client = Answers(
        {"Items": [1, 2], "NextToken": "a"},
        refusal("Throttling"),
        {"Items": [3], "NextToken": "b"},
        {"Items": []},
    )
    found: list[Any] = list(calls_of(client).pages("ec2", "describe_things", "Items", Most=2))
    assert found == [1, 2, 3]
    assert client.asked == [
        {"Most": 2},
        {"Most": 2, "NextToken": "a"},
        {"Most": 2, "NextToken": "a"},
        {"Most": 2, "NextToken": "b"},
    ]


def test_pages_by_marker_are_read_too() -> None:
    client = Answers({"Items": [1], "NextMarker": "m"}, {"Items": [2], "NextMarker": ""})
    assert list(calls_of(client).pages("elbv2", "describe_things", "Items")) == [1, 2]
    assert client.asked[1] == {"Marker": "m"}


@given(st.text())
def test_a_text_from_outside_is_one_bounded_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 300


def test_an_access_key_id_does_not_get_into_an_error() -> None:
    text = "The AWS Access Key Id AKIAIOSFODNN7EXAMPLE is not valid, nor ASIAIOSFODNN7EXAMPLE"
    client = Answers(refusal("AuthFailure", text))
    with pytest.raises(CallFailed) as raised:
        calls_of(client)("ec2", "run_instances")
    assert "EXAMPLE" not in str(raised.value)
    assert "AKIA…" in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [{"attempts": 0}, {"first_wait_s": -1.0}, {"read_timeout_s": 0.0}],
    ids=str,
)
def test_retry_settings_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        RetrySettings(**changes)
