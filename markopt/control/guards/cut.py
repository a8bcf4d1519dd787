"""What a guard rail took away from an action, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """One refusal: the rule's name, as in ``controller.guards``, and what it refused and why."""

    rule: str
    text: str
