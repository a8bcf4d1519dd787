"""What a live cloud is given when it is opened, and what ``conf/cloud`` makes of its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from markopt.cloud.clock import Clock
from markopt.cloud.protocol import Backend
from markopt.core import FunctionOffer, Offer, Service
from markopt.workload.protocol import Workload


@dataclass(frozen=True, eq=False)
class Deployment:
    """What is served, and what may be bought for it.

    ``name`` marks all that belongs to it: instances of another name are never touched.
    ``interval_s`` is the controller's. ``workload`` is the trace that a rehearsal or the local back
    end replays; a real account has requests of its own. ``initial_fleet`` is what to start with
    where nothing runs yet. Whatever is random follows from ``seed``.
    """

    name: str
    service: Service
    offers: tuple[Offer, ...]
    function: FunctionOffer | None
    interval_s: float
    workload: Workload
    clock: Clock
    seed: np.random.SeedSequence
    initial_fleet: Mapping[str, int] = field(default_factory=dict)


class LiveCloud(Protocol):
    """Settings of a live cloud: an option of the config group ``cloud`` for ``markopt deploy``."""

    def open(self, deployment: Deployment) -> Backend:
        """Return the back end, with what already runs under the deployment's name taken over.

        Raises:
            BackendError: the cloud cannot be reached or refuses the credentials.
            ConfigError: what is configured does not fit the cloud.
        """
        ...
