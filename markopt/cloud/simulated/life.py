"""What became of each instance, and when: what bills and results can be held against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from markopt.core import InstanceState


@final
@dataclass(frozen=True)
class InstanceLife:
    """When an instance was launched, billed from, put into and out of service, and ended.

    Times in seconds on the trace's clock; None: has not happened. ``state`` is the last one.
    """

    instance_id: str
    offer: str
    launched_s: float
    state: InstanceState
    running_s: float | None = None
    ready_s: float | None = None
    left_s: float | None = None
    ended_s: float | None = None


@final
class Lives:
    """Keeps one ``InstanceLife`` per instance that was ever launched."""

    def __init__(self) -> None:
        self._lives: dict[str, InstanceLife] = {}

    def begin(self, life: InstanceLife) -> None:
        """Note that an instance was launched."""
        self._lives[life.instance_id] = life

    def note(self, instance_id: str, **changes: Any) -> None:
        """Note what happened to an instance now."""
        self._lives[instance_id] = replace(self._lives[instance_id], **changes)

    def all(self) -> tuple[InstanceLife, ...]:
        """Return every life, in the order of the launches."""
        return tuple(self._lives.values())
