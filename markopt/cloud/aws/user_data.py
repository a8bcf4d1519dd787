"""User data: the script that starts the model server with the plan's batch size and wait."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from markopt.core import Offer, Service
from markopt.errors import ConfigError

ENVIRONMENT_FILE = "/etc/markopt/server.env"
_LARGEST_BYTES = 16_384
_SAFE = re.compile(r"[A-Za-z0-9._@/+:-]{1,200}")


@final
@dataclass(frozen=True)
class ServerSettings:
    """How an instance starts its model server.

    Args:
        command: program and arguments that start the server and return, run as root at the first
            boot; ``{service}``, ``{offer}``, ``{batch_size}``, ``{wait_s}``, ``{servers}`` and
            ``{port}`` stand for the plan's values. Each argument reaches the program as it is.
        port: where the server listens.

    Raises:
        ConfigError: the command is empty, or the port is none.
    """

    command: Sequence[str] = ("systemctl", "start", "markopt-server")
    port: int = 8080

    def __post_init__(self) -> None:
        object.__setattr__(self, "command", tuple(self.command))
        if not self.command or not self.command[0]:
            raise ConfigError("cloud.server.command: must name a program, got an empty list")
        for part in self.command:
            if "\0" in part:
                raise ConfigError(f"cloud.server.command: must not hold a NUL, got {part!r}")
        if not 0 < self.port < 65_536:
            raise ConfigError(f"cloud.server.port: must lie in 1 .. 65535, got {self.port}")


def user_data(settings: ServerSettings, service: Service, offer: Offer) -> str:
    """Return the script for an instance of an offer.

    It writes the plan's values to ``/etc/markopt/server.env``, for a unit of systemd to read, and
    runs the command without giving a shell anything to interpret.

    Raises:
        ConfigError: a name has characters that do not belong into a file of settings, or the script
            is longer than EC2 takes.
    """
    values = {
        "service": _safe("service.name", service.name),
        "offer": _safe("offer", offer.name),
        "batch_size": str(offer.batching.batch_size),
        "wait_s": f"{offer.batching.wait_s:.6f}",
        "servers": str(offer.servers),
        "port": str(settings.port),
    }
    lines = [f"MARKOPT_{key.upper()}={value}" for key, value in values.items()]
    command = " ".join(shlex.quote(_filled(part, values)) for part in settings.command)
    script = "\n".join(
        (
            "#!/bin/sh",
            "set -eu",
            f"mkdir -p {ENVIRONMENT_FILE.rpartition('/')[0]}",
            f"cat > {ENVIRONMENT_FILE} <<'MARKOPT_END'",
            *lines,
            "MARKOPT_END",
            f"exec {command}",
            "",
        )
    )
    size = len(script.encode())
    if size > _LARGEST_BYTES:
        raise ConfigError(
            f"cloud.server.command: user data may have {_LARGEST_BYTES} bytes, got {size}"
        )
    return script


def _filled(part: str, values: dict[str, str]) -> str:
    """Return an argument with the placeholders filled in; other braces stay."""
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), part)


def _safe(key: str, name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise ConfigError(f"{key}: expected letters, digits and ._@/+:- , got {name!r}")
    return name
