"""HAProxy: its configuration, and changes through its runtime socket without a reload.

The load balancer sends a request to the server that holds the fewest for its weight. The bouncer is
``be_conn_free``: a request that finds every server full at its arrival goes to the functions.
"""

from __future__ import annotations

import asyncio
import csv
import shutil
from pathlib import Path
from typing import Literal, final

from markopt.cloud.local.nursery import FIRST_LISTENER
from markopt.errors import BackendError

FRONTEND, INSTANCES, FUNCTIONS = "requests", "instances", "functions"
_SHARE = "proc.function_share"
_SHARE_STEPS = 10_000

_CONFIG = """\
global
    nbthread 1
    hard-stop-after 1s
    stats socket {admin} mode 600 level admin
    set-var {share} int(0)
ring log
    format raw
    maxlen 400
    size 4194304
    timeout connect 5s
    timeout server 24h
    server host 127.0.0.1:{log_port}
defaults
    mode http
    http-reuse always
    option redispatch
    retries 2
    retry-on conn-failure
    timeout connect 2s
    timeout client 120s
    timeout server 120s
    timeout queue 60s
frontend {frontend}
    bind fd@{listener}
    log ring@log local0
    log-format "%Ta %ST %b %s"
    http-after-response set-header x-served-by %b/%s
{rule}    default_backend {instances}
backend {instances}
    balance leastconn
{refusal}backend {functions}
{function_server}
"""

_OVERFLOW = {
    "queue_length": f"{{ be_conn_free({INSTANCES}) le 0 }}",
    "none": f"{{ nbsrv({INSTANCES}) eq 0 }}",
}
"""When the instances take no more requests."""


def haproxy_path() -> str:
    """Return where HAProxy is installed.

    Raises:
        BackendError: it is not.
    """
    # Distributions put it where only root's PATH looks.
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BackendError(
            "cloud=local: needs HAProxy 2.6 or newer, which is not installed; expected 'haproxy' "
            "on PATH (apt-get install haproxy)"
        )
    return found


def configuration(
    *,
    admin: Path,
    log_port: int,
    function_port: int | None,
    data_plane: Literal["bouncer", "weighted"],
    bouncer: Literal["queue_length", "none"],
) -> str:
    """Return HAProxy's configuration; the nursery hands it the socket that it listens on."""
    server, rule, refusal = "    http-request return status 503", _OVERFLOW[bouncer], ""
    if function_port is not None:
        server = f"    server pool 127.0.0.1:{function_port}"
    if data_plane == "weighted":
        refusal = f"    http-request return status 503 if {rule}\n"
        rule = f"{{ rand({_SHARE_STEPS}),sub({_SHARE}) lt 0 }}"
    return _CONFIG.format(
        admin=admin,
        listener=FIRST_LISTENER,
        log_port=log_port,
        share=_SHARE,
        frontend=FRONTEND,
        instances=INSTANCES,
        functions=FUNCTIONS,
        rule=f"    use_backend {FUNCTIONS} if {rule}\n",
        refusal=refusal,
        function_server=server,
    )


@final
class Balancer:
    """The runtime socket of a running HAProxy."""

    def __init__(self, admin: Path) -> None:
        self._admin = admin

    async def command(self, *commands: str) -> str:
        """Run commands and return what they print.

        Raises:
            BackendError: HAProxy does not answer.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._admin))
        except OSError as error:
            raise BackendError(f"HAProxy: {self._admin}: {error.strerror}") from None
        try:
            writer.write(("; ".join(commands) + "\n").encode())
            return (await reader.read(-1)).decode()
        except OSError as error:
            raise BackendError(f"HAProxy: '{commands[0]}': {error.strerror}") from None
        finally:
            writer.close()

    async def add(self, name: str, port: int, limit: int | None) -> None:
        """Put a server into service that may hold ``limit`` unanswered requests; None: any number.

        Servers are loaded in proportion to their limits.

        Raises:
            BackendError: HAProxy refuses.
        """
        cap = f" maxconn {limit} weight {min(limit, 256)}" if limit is not None else ""
        server = f"{INSTANCES}/{name}"
        said = await self.command(
            f"add server {server} 127.0.0.1:{port}{cap}", f"enable server {server}"
        )
        if "New server registered" not in said:
            raise BackendError(f"HAProxy: add server {server}: {' '.join(said.split())}")

    async def drain(self, names: tuple[str, ...]) -> None:
        """Send no new requests to servers."""
        await self.command(*(f"set server {INSTANCES}/{name} state drain" for name in names))

    async def stop(self, names: tuple[str, ...]) -> None:
        """Take servers out of service at once; their processes are about to end."""
        await self.command(*(f"set server {INSTANCES}/{name} state maint" for name in names))

    async def delete(self, name: str) -> bool:
        """Forget a stopped server; False while connections to it are still open."""
        said = await self.command(f"del server {INSTANCES}/{name}")
        return "Server deleted" in said or "No such server" in said

    async def set_function_share(self, share: float) -> None:
        """Send a share of the requests to functions."""
        steps = round(share * _SHARE_STEPS)
        await self.command("experimental-mode on", f"set var {_SHARE} int({steps})")

    async def requests(self) -> int:
        """Return how many requests have come since HAProxy's start."""
        return int((await self._rows())[FRONTEND, "FRONTEND"]["req_tot"])

    async def unanswered(self, names: tuple[str, ...]) -> int:
        """Return how many requests servers hold."""
        rows = await self._rows()
        held = [rows[INSTANCES, name]["scur"] for name in names if (INSTANCES, name) in rows]
        return sum(int(text) for text in held)

    async def _rows(self) -> dict[tuple[str, str], dict[str, str]]:
        lines = (await self.command("show stat")).removeprefix("# ").splitlines()
        found = csv.DictReader(line for line in lines if line)
        return {(row["pxname"], row["svname"]): row for row in found}
