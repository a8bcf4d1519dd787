"""What the cloud's API accepts, and how soon it shows what it has accepted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np

from markopt.core import InstanceState, InstanceStatus
from markopt.errors import ConfigError


@final
@dataclass(frozen=True)
class RateLimit:
    """Two token buckets, as EC2 throttles a kind of call: one per call, one per instance.

    A call takes one token of the first; each instance in it one of the second. A bucket holds
    ``…_burst`` tokens, all of them at first, and gains ``…_per_s``; None: without a limit.

    Raises:
        ConfigError: a value is out of range.
    """

    calls_burst: float | None = None
    calls_per_s: float = 0.0
    instances_burst: float | None = None
    instances_per_s: float = 0.0

    def __post_init__(self) -> None:
        for key in ("calls_burst", "instances_burst"):
            value = getattr(self, key)
            if value is not None and not value >= 1.0:
                raise ConfigError(f"cloud.api: {key} must be at least 1, got {value}")
        for key in ("calls_per_s", "instances_per_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"cloud.api: {key} must not be negative, got {value}")


@final
@dataclass(frozen=True)
class ApiSettings:
    """Limits, errors and lateness of the calls that launch and end instances.

    Actions make one call per offer that is launched, and one for all instances that are ended.

    Args:
        launch: how often and how many may be launched.
        terminate: how often and how many may be ended.
        error_share: share of calls that fail by themselves and change nothing.
        visible_after_s: mean time until an observation shows a launch or an end (eventual
            consistency), exponential, drawn per action and offer; 0: at once.

    Raises:
        ConfigError: a value is out of range.
    """

    launch: RateLimit = field(default_factory=RateLimit)
    terminate: RateLimit = field(default_factory=RateLimit)
    error_share: float = 0.0
    visible_after_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.error_share <= 1.0:
            raise ConfigError(f"cloud.api.error_share: must lie in [0, 1], got {self.error_share}")
        if not (math.isfinite(self.visible_after_s) and self.visible_after_s >= 0.0):
            raise ConfigError(
                f"cloud.api.visible_after_s: must not be negative, got {self.visible_after_s}"
            )


@final
class TokenBucket:
    """Holds at most ``burst`` tokens, gains ``per_s``; ``burst`` None: never empty."""

    def __init__(self, burst: float | None, per_s: float, start_s: float) -> None:
        self._burst = math.inf if burst is None else burst
        self._per_s = per_s
        self._left = self._burst
        self._at_s = start_s

    def take(self, wanted: int, now_s: float) -> int:
        """Take up to ``wanted`` tokens; return how many there were."""
        if math.isinf(self._burst):
            return wanted
        self._left = min(self._left + (now_s - self._at_s) * self._per_s, self._burst)
        self._at_s = now_s
        taken = min(wanted, math.floor(self._left + 1e-9))
        self._left -= taken
        return taken


class _Calls:
    """One kind of call: its buckets, and its random errors."""

    def __init__(
        self, limit: RateLimit, error_share: float, start_s: float, rng: np.random.Generator
    ) -> None:
        self._calls = TokenBucket(limit.calls_burst, limit.calls_per_s, start_s)
        self._instances = TokenBucket(limit.instances_burst, limit.instances_per_s, start_s)
        self._error_share = error_share
        self._rng = rng

    def accept(self, instances: int, now_s: float) -> tuple[int, str]:
        """Return of how many instances a call is accepted, and why not of the others."""
        if not self._calls.take(1, now_s):
            return 0, "request limit exceeded"
        if self._error_share > 0.0 and self._rng.random() < self._error_share:
            return 0, "internal error"
        return self._instances.take(instances, now_s), "request limit exceeded"


@final
class Api:
    """Stands between a policy and the instances: refuses calls, and shows changes late.

    ``launch`` and ``terminate`` tell of how many instances a call is accepted. What was launched or
    ended then is told to ``launched`` and ``ended``, and ``shown`` makes of the truth what an
    observer sees.

    Args:
        settings: limits, errors, lateness.
        start_s: from when on tokens are gained.
        seed: source of randomness; launches, ends and lateness have generators of their own.
    """

    def __init__(
        self, settings: ApiSettings, *, start_s: float, seed: np.random.SeedSequence
    ) -> None:
        launch, terminate, lateness = map(np.random.default_rng, seed.spawn(3))
        share = settings.error_share
        self.launch = _Calls(settings.launch, share, start_s, launch).accept
        self.terminate = _Calls(settings.terminate, share, start_s, terminate).accept
        self._mean_s = settings.visible_after_s
        self._rng = lateness
        self._hidden_until_s: dict[str, float] = {}
        self._ghosts: dict[str, tuple[InstanceStatus, float, float]] = {}

    def lateness_s(self) -> float:
        """Draw how long an action stays invisible."""
        return float(self._rng.exponential(self._mean_s)) if self._mean_s > 0.0 else 0.0

    def launched(self, instance_id: str, until_s: float, now_s: float) -> None:
        """Hide a launched instance for a while."""
        if until_s > now_s:
            self._hidden_until_s[instance_id] = until_s

    def ended(self, status: InstanceStatus, until_s: float, now_s: float) -> None:
        """Go on showing an instance as it was before it was told to end, for a while."""
        known = self.still_shows(status.instance_id, now_s)
        if until_s > now_s and not known and status.state is not InstanceState.DRAINING:
            self._ghosts[status.instance_id] = (status, now_s, until_s)

    def still_shows(self, instance_id: str, now_s: float) -> bool:
        """Tell whether an instance that was told to end is shown as if it were not."""
        return instance_id in self._ghosts and self._ghosts[instance_id][2] > now_s

    def show_all(self) -> None:
        """Show everything as it is from now on."""
        self._hidden_until_s.clear()
        self._ghosts.clear()

    def shown(self, true: tuple[InstanceStatus, ...], now_s: float) -> tuple[InstanceStatus, ...]:
        """Return what an observer sees of the instances that there are."""
        if not self._hidden_until_s and not self._ghosts:
            return true
        hidden = {i: until_s for i, until_s in self._hidden_until_s.items() if until_s > now_s}
        ghosts = {i: entry for i, entry in self._ghosts.items() if entry[2] > now_s}
        self._hidden_until_s, self._ghosts = hidden, ghosts
        seen = {status.instance_id: status for status in true}
        for instance_id, (status, since_s, _) in ghosts.items():
            seen[instance_id] = _grown_older(status, now_s - since_s)
        return tuple(seen[i] for i in sorted(seen, key=_number) if i not in hidden)


def _grown_older(status: InstanceStatus, by_s: float) -> InstanceStatus:
    ready_in_s = status.ready_in_s
    return InstanceStatus(
        instance_id=status.instance_id,
        offer=status.offer,
        state=status.state,
        age_s=status.age_s + by_s,
        ready_in_s=max(ready_in_s - by_s, 1.0) if ready_in_s > 0.0 else 0.0,
        notice=status.notice,
    )


def _number(instance_id: str) -> int:
    return int(instance_id.rpartition("-")[2])
