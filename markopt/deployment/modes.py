"""What becomes of actions where nothing may change: nothing, or a list of the calls to make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from markopt.cloud.live import Describes
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


def calls_for(backend: Backend, actions: Actions) -> Sequence[str]:
    """Return the calls that actions would make, as the cloud tells; else the actions in words."""
    if isinstance(backend, Describes):
        return tuple(backend.describe(actions))
    lines = [f"launch {count} {name}" for name, count in sorted(actions.launch.items()) if count]
    lines += [f"terminate {instance_id}" for instance_id in actions.terminate]
    if actions.warm_functions is not None:
        lines.append(f"keep {actions.warm_functions} functions warm")
    if actions.function_share is not None:
        lines.append(f"send {actions.function_share:.3f} of the requests to functions")
    return tuple(lines)
