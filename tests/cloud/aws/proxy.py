"""Stands between the back end and moto's server, with what moto lacks: tokens, faults, lateness.

Like EC2 it launches once per client token, gives less than is asked for where capacity is short,
and lists what was launched only a little later. Like any cloud it throttles, breaks, and loses
answers after it did what was asked.
"""

from __future__ import annotations

import http.client
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np

_HELPERS = ("PutMetricData", "GetMetricStatistics", "CreateStack", "CreateFunction", "CreateRole")
"""What only the rehearsal calls: spared, since a cloud is not played by itself."""


@dataclass
class Faults:
    """Shares of calls that are throttled, fail, do what they should and lose the answer.

    ``hidden_looks``: a launch is listed only from the so-many-th listing after it on.
    ``capacity``: instances that a type still gives; a missing type gives all. ``page``: as many are
    listed at once, whatever the client asks for.
    """

    seed: int = 0
    throttled: float = 0.0
    failed: float = 0.0
    lost: float = 0.0
    hidden_looks: int = 0
    page: int | None = None
    capacity: dict[str, int] = field(default_factory=dict)


@dataclass
class Call:
    """One call: AWS's name of the operation, its arguments where they are a form, what became."""

    operation: str
    form: dict[str, str]
    outcome: str = "answered"


class Proxy:
    """The state of one proxy."""

    def __init__(self, upstream: str, faults: Faults) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.faults = faults
        self.calls: list[Call] = []
        self.url = ""
        self.before: Callable[[Call], None] | None = None
        self.rewrite: Callable[[Call, bytes], bytes] | None = None
        self.on_kill: Callable[[], None] = lambda: None
        self._killing: Call | None = None
        self._rng = np.random.default_rng(faults.seed)
        self._lock = threading.Lock()
        self._by_token: dict[str, tuple[dict[str, str], tuple[int, dict[str, str], bytes]]] = {}
        self._hidden: dict[str, int] = {}

    def count(self, operation: str) -> int:
        return sum(call.operation == operation for call in self.calls)

    def kill_now(self, call: Call) -> None:
        """Kill the client before its call does anything."""
        call.outcome = "killed"
        self.on_kill()

    def kill_after(self, call: Call) -> None:
        """Kill the client once its call is carried out, if it is, before it hears of it."""
        self._killing = call

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes] | None:
        """Return status, headers and body; None: the connection is cut."""
        call = Call(*_operation(method, path, headers, body))
        with self._lock:
            self.calls.append(call)
            if self.before is not None:
                self.before(call)
            if call.outcome == "killed":
                return None
            drawn = 1.0 if call.operation in _HELPERS else float(self._rng.random())
            faults = self.faults
            if drawn < faults.throttled:
                call.outcome = "throttled"
                self._kill_if_due(call)
                return _error(headers, body, "RequestLimitExceeded", "Request limit exceeded.", 503)
            if drawn < faults.throttled + faults.failed:
                call.outcome = "failed"
                self._kill_if_due(call)
                return _error(headers, body, "InternalError", "An internal error occurred.", 500)
            answered = self._carry_out(call, method, path, headers, body)
            if self.rewrite is not None:
                answered = (answered[0], answered[1], self.rewrite(call, answered[2]))
            if self._kill_if_due(call):
                call.outcome = "killed after"
                return None
            if drawn < faults.throttled + faults.failed + faults.lost:
                call.outcome = "lost"
                return None
            return answered

    def _kill_if_due(self, call: Call) -> bool:
        due = self._killing is call
        if due:
            self.on_kill()
        return due

    def _carry_out(
        self, call: Call, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if call.operation == "RunInstances":
            return self._run_instances(call, method, path, headers)
        if call.operation == "DescribeInstances" and self.faults.page is not None:
            body = urlencode({**call.form, "MaxResults": str(self.faults.page)}).encode()
        answered = self._forward(method, path, headers, body)
        if call.operation == "DescribeInstances" and self._hidden:
            answered = (answered[0], answered[1], self._without_hidden(answered[2]))
        return answered

    def _run_instances(
        self, call: Call, method: str, path: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        form = call.form
        token = form["ClientToken"]
        if token in self._by_token:
            before, answered = self._by_token[token]
            if before != form:
                text = "Arguments on this idempotent request are inconsistent with the token."
                return _error(headers, b"Action=", "IdempotentParameterMismatch", text, 400)
            call.outcome = "repeated"
            return answered
        kind, most = form["InstanceType"], int(form["MaxCount"])
        given = min(most, self.faults.capacity.get(kind, most))
        if given < int(form["MinCount"]):
            text = f"We currently do not have sufficient {kind} capacity."
            return _error(headers, b"Action=", "InsufficientInstanceCapacity", text, 500)
        if kind in self.faults.capacity:
            self.faults.capacity[kind] -= given
        # Moto launches the least count that it is told.
        body = urlencode({**form, "MinCount": str(given), "MaxCount": str(given)}).encode()
        answered = self._forward(method, path, headers, body)
        self._by_token[token] = (form, answered)
        if self.faults.hidden_looks:
            ids = re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", answered[2])
            self._hidden |= {name.decode(): self.faults.hidden_looks for name in ids}
        return answered

    def _without_hidden(self, body: bytes) -> bytes:
        root = ET.fromstring(body)
        match = re.match(r"\{(.*)\}", root.tag)
        space = match[1] if match else ""
        ET.register_namespace("", space)
        for group in root.iter(f"{{{space}}}instancesSet"):
            for item in list(group):
                name = item.findtext(f"{{{space}}}instanceId") or ""
                if name in self._hidden:
                    group.remove(item)
        self._hidden = {name: left - 1 for name, left in self._hidden.items() if left > 1}
        return ET.tostring(root)

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {
            k: v for k, v in headers.items() if k.lower() not in ("content-length", "connection")
        }
        connection = http.client.HTTPConnection(*self.upstream, timeout=30)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            kept = {
                key: value
                for key, value in answer.getheaders()
                if key.lower() not in ("content-length", "connection", "transfer-encoding")
            }
            return answer.status, kept, answer.read()
        finally:
            connection.close()


def _operation(
    method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[str, dict[str, str]]:
    target = headers.get("X-Amz-Target") or headers.get("x-amz-target")
    if target:
        return target.rpartition(".")[2], {}
    if (match := re.search(r"/operation/(\w+)$", path)) is not None:
        return match[1], {}
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if "Action" in form:
        return form["Action"], form
    return f"{method} {urlsplit(path).path}", {}


def _error(
    headers: dict[str, str], body: bytes, code: str, text: str, status: int
) -> tuple[int, dict[str, str], bytes]:
    """Return an error in the way of the protocol that was spoken."""
    if body.startswith(b"Action=") or b"&Action=" in body:
        xml = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
            "<RequestID>made-up</RequestID></Response>"
        )
        if b"Version=2015-12-01" in body:  # ELB
            xml = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}"
                "</Message></Error><RequestId>made-up</RequestId></ErrorResponse>"
            )
        return status, {"Content-Type": "text/xml"}, xml.encode()
    return status, {"Content-Type": "text/html"}, b"<html>out of order</html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        answered = self.proxy.answer(self.command, self.path, dict(self.headers.items()), body)
        if answered is None:
            self.close_connection = True
            return
        status, headers, content = answered
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server calls

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args: Any) -> None:
        """Say nothing of clients that were killed while they waited."""


@contextmanager
def proxied(upstream: str, faults: Faults | None = None) -> Iterator[Proxy]:
    """Yield a proxy that listens at ``url`` until the block ends."""
    proxy = Proxy(upstream, faults or Faults())
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    server = _Server(("127.0.0.1", 0), handler)
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
