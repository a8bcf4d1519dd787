"""Lambda: environments kept warm, as provisioned concurrency or by concurrent calls (MArk's)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, final

from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.tags import WARM

_log = logging.getLogger(__name__)
_CALLS_AT_ONCE = 200


class WarmUp(Protocol):
    """A way to keep environments of a function warm."""

    def count(self) -> int:
        """Return how many are kept warm; AWS knows, so that a restart does too."""
        ...

    def keep(self, count: int) -> None:
        """Keep so many warm from now on."""
        ...

    def tend(self, now_s: float) -> None:
        """Do what keeping them warm takes from time to time."""
        ...

    def describe(self, count: int) -> Sequence[str]:
        """Return the calls that ``keep`` would make."""
        ...


@final
class NoFunction:
    """Nothing to keep warm: the service has no function."""

    def count(self) -> int:
        """Return 0."""
        return 0

    def keep(self, count: int) -> None:
        """Do nothing."""

    def tend(self, now_s: float) -> None:
        """Do nothing."""

    def describe(self, count: int) -> Sequence[str]:
        """Return no call."""
        return ()


@final
class Provisioned:
    """Provisioned concurrency of the function's alias: billed while it is set, used or not."""

    def __init__(self, calls: Calls, *, function: str, alias: str) -> None:
        self._calls = calls
        self._target = {"FunctionName": function, "Qualifier": alias}

    def count(self) -> int:
        """Return the number that is provisioned.

        Raises:
            CallFailed: AWS does not answer, or there is no such function.
        """
        try:
            answer = self._calls("lambda", "get_provisioned_concurrency_config", **self._target)
        except CallFailed as error:
            if error.code == "ProvisionedConcurrencyConfigNotFoundException":
                return 0
            raise
        return int(answer["RequestedProvisionedConcurrentExecutions"])

    def keep(self, count: int) -> None:
        """Provision so many, none by taking the setting away.

        Raises:
            CallFailed: AWS refuses or does not answer.
        """
        if count == 0:
            self._calls("lambda", "delete_provisioned_concurrency_config", **self._target)
            return
        self._calls(
            "lambda",
            "put_provisioned_concurrency_config",
            ProvisionedConcurrentExecutions=count,
            **self._target,
        )

    def tend(self, now_s: float) -> None:
        """Do nothing: AWS keeps them."""

    def describe(self, count: int) -> Sequence[str]:
        """Return the call that ``keep`` would make."""
        name = "DeleteProvisionedConcurrencyConfig"
        if count:
            name = "PutProvisionedConcurrencyConfig"
        where = f"{self._target['FunctionName']}:{self._target['Qualifier']}"
        return (f"lambda:{name} {where}" + f" {count} environments" * bool(count),)


@final
class Invocations:
    """Concurrent calls, each held until the last has begun, so that each takes an environment.

    A call is ``{"markopt": "warm-up", "hold_s": …}``; the function waits so long and returns. They
    are made again every ``period_s``, before AWS takes back what has been idle. How many are kept
    warm stands in a tag of the function.

    Args:
        calls: makes them.
        function: its name.
        function_arn: its ARN, which tags go by.
        alias: the alias that is called, the one that the load balancer calls.
        period_s: time from one round to the next.
        hold_s: how long each environment is held.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        function: str,
        function_arn: str,
        alias: str | None,
        period_s: float,
        hold_s: float,
    ) -> None:
        self._calls = calls
        self._function = function
        self._arn = function_arn
        self._qualifier: dict[str, str] = {} if alias is None else {"Qualifier": alias}
        self._period_s = period_s
        self._payload = json.dumps({"markopt": "warm-up", "hold_s": hold_s}).encode()
        self._count: int | None = None
        self._called_s: float | None = None

    def count(self) -> int:
        """Return the number in the function's tag.

        Raises:
            CallFailed: AWS does not answer, or there is no such function.
        """
        if self._count is None:
            tags = self._calls("lambda", "list_tags", Resource=self._arn).get("Tags", {})
            text = str(tags.get(WARM, "0"))
            self._count = int(text) if text.isdigit() else 0
        return self._count

    def keep(self, count: int) -> None:
        """Note the number in the tag; the next round of calls makes it true.

        Raises:
            CallFailed: AWS refuses or does not answer.
        """
        self._calls("lambda", "tag_resource", Resource=self._arn, Tags={WARM: str(count)})
        if count > self.count():
            self._called_s = None
        self._count = count

    def tend(self, now_s: float) -> None:
        """Call so many environments at once, where the last round is ``period_s`` ago.

        Raises:
            CallFailed: none of the calls was answered.
        """
        count = self.count()
        due = self._called_s is None or now_s - self._called_s >= self._period_s
        if count == 0 or not due:
            return
        self._called_s = now_s
        self._calls.client("lambda")  # made before threads ask for it
        with ThreadPoolExecutor(min(count, _CALLS_AT_ONCE)) as pool:
            failures = [text for text in pool.map(self._invoke, range(count)) if text]
        if len(failures) == count:
            raise CallFailed(f"no function was warmed up: {failures[0]}", "WarmUpFailed")
        if failures:
            _log.warning("%d of %d warm-up calls failed: %s", len(failures), count, failures[0])

    def describe(self, count: int) -> Sequence[str]:
        """Return the calls that ``keep`` and the next round would make."""
        calls = [f"lambda:TagResource {self._function} {WARM}={count}"]
        if count:
            calls.append(f"lambda:Invoke {self._function} {count} times at once")
        return calls

    def _invoke(self, _: int) -> str:
        request: dict[str, Any] = {"FunctionName": self._function, **self._qualifier}
        try:
            answer = self._calls("lambda", "invoke", Payload=self._payload, **request)
            answer["Payload"].read()
        except CallFailed as error:
            return str(error)
        return str(answer.get("FunctionError") or "")
