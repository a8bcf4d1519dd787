"""What becomes of actions by mode: nothing in ``advise``."""

from __future__ import annotations

from typing import final

from markopt.cloud.protocol import Backend
from markopt.core import ActionReport, Actions, Ledger, Observation


@final
class Advising:
    """Wraps a back end that is only looked at."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    def observe(self) -> Observation:
        """Return what the cloud shows."""
        return self._inner.observe()

    def apply(self, actions: Actions) -> ActionReport:
        """Change nothing."""
        return ActionReport(actions.decision_id)

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        self._inner.advance(until_s)

    def close(self) -> Ledger:
        """End nothing: what runs is not this deployment's to end."""
        return Ledger({}, {}, 0, 0)
