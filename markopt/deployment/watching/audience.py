"""Everyone who watches a deployment, as one listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from markopt.deployment.parts import Parts
from markopt.deployment.session import Listeners
from markopt.deployment.watching.log import JsonLog
from markopt.deployment.watching.metrics import Metrics, MetricsServer


def together(audience: Sequence[Listeners]) -> Listeners:
    """Return listeners that tell all of them, in order."""

    def telling(key: str) -> Callable[[Any], None]:
        heard: list[Callable[[Any], None]] = [getattr(one, key) for one in audience]

        def tell(event: Any) -> None:
            for one in heard:
                one(event)

        return tell

    return Listeners(**{field.name: telling(field.name) for field in fields(Listeners)})


@contextmanager
def watched(parts: Parts, *others: Listeners) -> Iterator[Listeners]:
    """Yield the others together with the logs and metrics that the settings ask for.

    Raises:
        ConfigError: a log cannot be written, or a port not be bound to.
    """
    settings = parts.deploy
    audience = list(others)
    log = None if settings.log is None else JsonLog(settings.log, settings.name)
    server: MetricsServer | None = None
    try:
        if log is not None:
            audience.append(
                Listeners(
                    log.started, log.observed, log.carried, log.interval, log.trouble, log.ended
                )
            )
        if settings.metrics_port is not None:
            metrics = Metrics(settings.name, parts.controller.mode)
            server = MetricsServer(metrics, settings.metrics_port, settings.metrics_host)
            audience.append(
                Listeners(
                    on_observation=metrics.observed,
                    on_carried=metrics.carried,
                    on_interval=metrics.interval,
                    on_trouble=metrics.trouble,
                )
            )
        yield together(audience)
    finally:
        if server is not None:
            server.close()
        if log is not None:
            log.close()
