"""The planner that a journal's configuration names, without believing the file too much."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from markopt.composition import compose, instantiate, parse
from markopt.control.journal import Epoch
from markopt.errors import ConfigError, DataError
from markopt.planning.protocol import Planner

OWN = "markopt.planning."


def recorded_planner(epoch: Epoch, *, trusted: bool) -> Planner:
    """Return the planner of an epoch, without its time limit.

    A file can name anything to be called. Only markopt's planners are, unless it is ``trusted``.

    Raises:
        ConfigError: the planner is of another package, or cannot be built.
        DataError: the configuration cannot be read.
    """
    from omegaconf import OmegaConf

    try:
        section = json.loads(epoch.config)["planner"]
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"Journal, epoch {epoch.epoch}: expected a configuration with a planner"
        ) from None
    for node in _nodes(section):
        target = str(node["_target_"])
        if not trusted and not target.startswith(OWN):
            raise ConfigError(
                f"Journal, epoch {epoch.epoch}: planner '{target}' is not markopt's own; "
                "--trust builds what the journal names"
            )
        if node.get("time_limit_s") is not None:
            node["time_limit_s"] = None
    planner: Planner = instantiate(OmegaConf.create(section), "planner")
    return planner


def other_planner(choice: str, overrides: Sequence[str]) -> tuple[str, Planner]:
    """Return the planner that ``planner=NAME`` and further overrides choose, and its name.

    Raises:
        ConfigError: ``choice`` is no planner, or an override does not fit.
    """
    given = parse([choice, *overrides])
    if given[0].key_or_group != "planner":
        raise ConfigError(f"--with {choice}: expected planner=NAME")
    for override in given[1:]:
        if not override.key_or_group.startswith("planner"):
            raise ConfigError(f"{override.input_line}: only the planner can be another one here")
    config = compose([choice, *overrides]).config
    planner: Planner = instantiate(config.planner, "planner")
    return str(given[0].value()), planner


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping with a target, at any depth."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)
