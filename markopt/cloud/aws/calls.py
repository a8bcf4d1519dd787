"""Calls of AWS's APIs through boto3: retried with jitter, read page by page, errors in one line."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np

from markopt.errors import BackendError, ConfigError

THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of throttled calls, as botocore's own retries list them."""

TRANSIENT = frozenset(
    {
        "IDPCommunicationError",
        "InternalError",
        "InternalFailure",
        "InternalServiceError",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceException",
        "ServiceUnavailable",
        "Unavailable",
    }
)
"""Codes of errors that pass by themselves."""

_LONGEST_TEXT = 300
_KEY_ID = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}\b")
_log = logging.getLogger(__name__)


class CallFailed(BackendError):
    """A call was refused or got no answer; ``code`` is AWS's, or the name of botocore's error."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


@final
@dataclass(frozen=True)
class RetrySettings:
    """How often and how patiently calls are made again.

    The n-th wait is drawn evenly from 0 to min(``first_wait_s`` 2^n, ``longest_wait_s``) (full
    jitter), so that many who were throttled together do not come back together.

    Args:
        attempts: tries of one call in all.
        first_wait_s: longest first wait.
        longest_wait_s: longest of the later ones.
        connect_timeout_s: a connection that takes longer has failed.
        read_timeout_s: so has an answer that takes longer.

    Raises:
        ConfigError: a value is out of range.
    """

    attempts: int = 6
    first_wait_s: float = 0.5
    longest_wait_s: float = 5.0
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"cloud.retry.attempts: must be at least 1, got {self.attempts}")
        for key in ("first_wait_s", "longest_wait_s"):
            if not getattr(self, key) >= 0.0:
                raise ConfigError(f"cloud.retry.{key}: must not be negative, got {self}")
        for key in ("connect_timeout_s", "read_timeout_s"):
            if not getattr(self, key) > 0.0:
                raise ConfigError(f"cloud.retry.{key}: must be positive, got {self}")


class Client(Protocol):
    """What is used of a boto3 client: an operation by its name in Python."""

    def __getattr__(self, operation: str) -> Callable[..., Mapping[str, Any]]: ...


@final
class Calls:
    """Makes calls, again where that may help: after throttles, errors of the cloud, lost answers.

    Every call that goes through here may be made twice: it carries a client token, sets what it
    sets whatever was there, or reads. botocore's own retries are off, since their waits can be
    neither seeded nor bounded per attempt.

    Args:
        client: returns the client of a service; called once per service.
        settings: how often, and how patiently.
        rng: draws the waits.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        client: Callable[[str], Client],
        settings: RetrySettings,
        rng: np.random.Generator,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._new_client = client
        self._clients: dict[str, Client] = {}
        self._settings = settings
        self._rng = rng
        self._sleep = sleep

    def __call__(self, service: str, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Return the answer of one call.

        Raises:
            CallFailed: it was refused, or failed as often as it may.
        """
        client = self.client(service)
        for attempt in range(1, self._settings.attempts + 1):
            try:
                answer: Mapping[str, Any] = getattr(client, operation)(**arguments)
            except Exception as error:
                failure, passing = _understood(service, operation, error)
                if failure is None:
                    raise
                if not passing or attempt == self._settings.attempts:
                    raise failure from None
                wait_s = self._wait_s(attempt)
                _log.info("%s; try %d follows in %.2f s", failure, attempt + 1, wait_s)
                self._sleep(wait_s)
            else:
                return answer
        raise AssertionError  # the last attempt returns or raises

    def pages(
        self, service: str, operation: str, key: str, **arguments: Any
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the items under ``key`` of every page of an answer.

        Raises:
            CallFailed: as for one call.
        """
        while True:
            answer = self(service, operation, **arguments)
            yield from answer.get(key, ())
            for name in ("NextToken", "NextMarker"):
                if answer.get(name):
                    arguments["Marker" if name == "NextMarker" else name] = answer[name]
                    break
            else:
                return

    def client(self, service: str) -> Client:
        """Return the client of a service."""
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _wait_s(self, attempt: int) -> float:
        most_s = min(self._settings.first_wait_s * 2.0**attempt, self._settings.longest_wait_s)
        return float(self._rng.uniform(0.0, most_s))


def new_client(
    region: str, endpoint_url: str | None, settings: RetrySettings
) -> Callable[[str], Client]:
    """Return what makes clients of boto3's default session: its credential chain, no other.

    Raises:
        BackendError: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise BackendError(
            "cloud=aws: needs boto3, which is not installed; pip install 'markopt[aws]'"
        ) from None
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=200,
        user_agent_extra="markopt",
    )

    def client(service: str) -> Client:
        # Prices are published in few regions; elsewhere every service is in the deployment's own.
        at = "us-east-1" if service == "pricing" else region
        made: Client = boto3.client(
            service, region_name=at, endpoint_url=endpoint_url, config=config
        )
        return made

    return client


def _understood(service: str, operation: str, error: Exception) -> tuple[CallFailed | None, bool]:
    """Return what failed in one line, and whether it may pass; None for what is no such error."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
    )
    from botocore.parsers import ResponseParserError

    name = f"{service} {''.join(part.title() for part in operation.split('_'))}"
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        text = str(error.response.get("Error", {}).get("Message") or "no reason given")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        passing = code in THROTTLES or code in TRANSIENT or status >= 500 or status == 429
        return CallFailed(f"{name}: {code}: {one_line(text)}", code), passing
    if isinstance(error, BotoCoreError):
        code = type(error).__name__
        # An answer that cannot be read comes from a gateway that is out of order.
        passing = isinstance(
            error,
            ConnectTimeoutError | EndpointConnectionError | HTTPClientError | ResponseParserError,
        )
        return CallFailed(f"{name}: {code}: {one_line(str(error))}", code), passing
    return None, False


def one_line(text: str) -> str:
    """Return a text from outside in one line of bounded length, without access key ids."""
    line = _KEY_ID.sub(r"\1…", " ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else f"{line[: _LONGEST_TEXT - 1]}…"
