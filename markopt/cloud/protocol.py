"""The backend protocol: what every cloud - simulated, local, AWS - does for the controller."""

from __future__ import annotations

from typing import Protocol

from markopt.core import ActionReport, Actions, Ledger, Observation


class Backend(Protocol):
    """A cloud that can be watched and changed."""

    def observe(self) -> Observation:
        """Return instances now, and request counts since the last observation."""
        ...

    def apply(self, actions: Actions) -> ActionReport:
        """Carry out actions. Idempotent: the same ``decision_id`` twice changes nothing more."""
        ...

    def advance(self, until_s: float) -> None:
        """Let time pass until ``until_s``: a simulation runs, a live cloud is waited for."""
        ...

    def close(self) -> Ledger:
        """End everything that still runs and return the final bill."""
        ...
