"""What a live cloud is given when it is opened, and what ``conf/cloud`` makes of its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from markopt.cloud.clock import Clock
from markopt.cloud.protocol import Backend
from markopt.core import Actions, FunctionOffer, Offer, Service
from markopt.workload.protocol import Workload


@dataclass(frozen=True, eq=False)
class Deployment:
    """What is served, and what may be bought for it.

    ``name`` marks all that belongs to it: instances of another name are never touched.
    ``interval_s`` is the controller's. ``workload`` is the trace that a rehearsal or the local back
    end replays; a real account has requests of its own. ``initial_fleet`` is what to start with
    where nothing runs yet. Whatever is random follows from ``seed``. ``observed_until_s`` is up to
    when the requests have been counted by the process before, None where there was none: a cloud
    whose metrics reach back counts from there on in its first observation.
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
    observed_until_s: float | None = None


class LiveCloud(Protocol):
    """Settings of a live cloud: an option of the config group ``cloud`` for ``markopt deploy``.

    Class attributes say what kind of cloud it is, where it departs from a real account:
    ``REPLAYS_WORKLOAD`` is True for one that plays the workload's requests itself. Its time is then
    the trace's, its span ends with the workload, and a deployment that acts begins with an
    ``initial_fleet``. ``LIVES_HERE`` is True for one that ends with the process.
    """

    def open(self, deployment: Deployment) -> Backend:
        """Return the back end, with what already runs under the deployment's name taken over.

        Raises:
            BackendError: the cloud cannot be reached or refuses the credentials.
            ConfigError: what is configured does not fit the cloud.
        """
        ...


@runtime_checkable
class Describes(Protocol):
    """A back end that can tell what it would do: for ``markopt deploy --dry-run``."""

    def describe(self, actions: Actions) -> Sequence[str]:
        """Return the calls that ``apply`` would make, one line each, without secrets."""
        ...


@runtime_checkable
class ExpectsPrices(Protocol):
    """A cloud's settings that know more of prices and hazards than the catalogue."""

    def expected_offers(self, offers: tuple[Offer, ...], *, start_s: float) -> tuple[Offer, ...]:
        """Return the offers at the prices and hazards that policies may expect at the start."""
        ...


@runtime_checkable
class Detaches(Protocol):
    """A back end that can be left without ending what runs."""

    def detach(self) -> None:
        """Let go of connections and threads; the fleet runs on."""
        ...
