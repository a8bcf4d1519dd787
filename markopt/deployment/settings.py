"""Settings of ``markopt deploy``, checked: the section ``deploy`` of the configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from markopt.annotations import fits, kind_of
from markopt.errors import ConfigError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class DeploySettings:
    """Field names are the keys of the section ``deploy``.

    Args:
        name: marks all that belongs to the deployment.
        journal: the journal's file; None: ``NAME.journal`` in the current folder.
        for_s: end after so long; None: at the end of a replayed workload, or when told to.
        start: where time begins: ``now``, or the ``trace``'s start (what replays a workload);
            ``auto`` chooses by the cloud.
        clock: ``wall``; ``stepped`` where time takes no time (rehearsals); ``auto``: stepped for
            the simulated cloud.
        speed: how many seconds pass in one of the wall clock.
        terminate_at_end: end the fleet when the controller ends.
        refit_after_s: a restart later than this after the forecaster was fitted fits it anew, with
            what was observed since; an earlier one goes through the journal again.
        give_up_s: end, the fleet running on, after a cloud could not be observed for so long.
        log: a file for structured logs, ``-`` for standard error, None for none.
        metrics_port: serve Prometheus metrics there; None: not.
        metrics_host: the address to bind to.

    Raises:
        ConfigError: a value is out of range or of the wrong kind; the text names the key.
    """

    name: str = "markopt"
    journal: str | None = None
    for_s: float | None = None
    start: str = "auto"
    clock: str = "auto"
    speed: float = 1.0
    terminate_at_end: bool = False
    refit_after_s: float = 86400.0
    give_up_s: float = 600.0
    log: str | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                "deploy.name: expected up to 40 of a-z, 0-9 and -, not - at either end, got "
                f"{self.name!r}"
            )
        for key, allowed in (
            ("start", ("auto", "trace", "now")),
            ("clock", ("auto", "wall", "stepped")),
        ):
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"deploy.{key}: expected one of {', '.join(allowed)}, got "
                    f"{getattr(self, key)!r}"
                )
        for key in ("for_s", "speed"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ConfigError(f"deploy.{key}: must be positive, got {value}")
        for key in ("refit_after_s", "give_up_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"deploy.{key}: must not be negative, got {value}")
        if self.metrics_port is not None and not 0 <= self.metrics_port <= 65535:
            raise ConfigError(f"deploy.metrics_port: must lie in 0..65535, got {self.metrics_port}")

    @property
    def journal_path(self) -> Path:
        """Where the journal lies."""
        return Path(self.journal if self.journal is not None else f"{self.name}.journal")


def deploy_settings(section: Any) -> DeploySettings:
    """Return the settings of a section ``deploy`` (None: the defaults).

    Raises:
        ConfigError: a key is unknown, or a value is out of range or of the wrong kind.
    """
    from omegaconf import OmegaConf

    given: Any = {} if section is None else OmegaConf.to_container(section, resolve=True)
    hints = get_type_hints(DeploySettings)
    for key, value in given.items():
        if key not in hints:
            known = ", ".join(field.name for field in fields(DeploySettings))
            raise ConfigError(f"deploy.{key}: no such setting; there are: {known}")
        if not fits(value, hints[key]):
            raise ConfigError(f"deploy.{key}: must be {kind_of(hints[key])}, got {value!r}")
    if given.get("name") is not None:
        given["name"] = str(given["name"])
    return DeploySettings(**given)
