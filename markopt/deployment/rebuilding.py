"""A simulated cloud that comes back after its process died, by going through its past again."""

from __future__ import annotations

from typing import final

import numpy as np

from markopt.cloud.protocol import Backend
from markopt.control.journal import JournalDiverged
from markopt.core import ActionReport, Actions, Observation
from markopt.deployment.shadow import ShadowFleet


@final
class RebuiltInProcess:
    """Tells a back end that lives in this process what was done to it before."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def again_observed(self, observation: Observation) -> None:
        """Let time pass until then, and look: what is seen must be what was seen.

        Raises:
            JournalDiverged: it is not.
        """
        self._backend.advance(observation.time_s)
        seen = self._backend.observe()
        if seen.instances != observation.instances or not np.array_equal(
            seen.arrivals, observation.arrivals
        ):
            raise JournalDiverged(
                f"Journal: the cloud at {observation.time_s} s is not what it was; it was made "
                "with other settings, or by another version"
            )

    def again_applied(self, actions: Actions, report: ActionReport) -> None:
        """Do it again; the same must come of it.

        Raises:
            JournalDiverged: something else does.
        """
        again = self._backend.apply(actions)
        if again.launched != report.launched or again.terminated != report.terminated:
            raise JournalDiverged(
                f"Journal: decision {actions.decision_id} has other effects than it had"
            )


@final
class RebuiltShadow:
    """Tells a fleet in mind what it was; and the cloud beneath, where that lives here, too."""

    def __init__(self, shadow: ShadowFleet, beneath: Backend | None) -> None:
        self._shadow = shadow
        self._beneath = beneath

    def again_observed(self, observation: Observation) -> None:
        """Come into the state in which this was observed."""
        if self._beneath is not None:
            self._beneath.advance(observation.time_s)
            self._beneath.observe()
        self._shadow.again_observed(observation)

    def again_applied(self, actions: Actions, report: ActionReport) -> None:
        """Come into the state after these actions."""
        self._shadow.again_applied(actions, report)
