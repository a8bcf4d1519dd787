"""What a policy may see of a cloud, and what it may do to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from markopt.core.arrays import Integers, frozen_integers


class InstanceState(StrEnum):
    """Life of an instance; DESIGN section 6."""

    PENDING = "pending"
    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    TERMINATED = "terminated"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class InstanceStatus:
    """One instance as the cloud describes it.

    ``ready_in_s`` is what is left of the expected launch delay (0 when ready); ``age_s`` counts
    from the launch; ``notice`` is set once a spot interruption has been announced.
    """

    instance_id: str
    offer: str
    state: InstanceState
    age_s: float
    ready_in_s: float = 0.0
    notice: bool = False


@dataclass(frozen=True, eq=False)
class Observation:
    """The cloud at ``time_s``: instances that are paid for, and counts since the last observation.

    The arrays have one entry per bin of ``bin_s`` seconds that has ended since the observation
    before: ``arrivals`` by arrival time; ``late`` (answered late) and ``refused`` by the time at
    which that became known; ``spilled`` (sent to functions) by arrival time.
    ``warm_functions`` is the provisioned number; ``bill_usd`` is what has been billed so far.
    ``spot_price_usd_per_s`` maps spot offers to the market price of the moment, where it moves.
    """

    time_s: float
    instances: tuple[InstanceStatus, ...]
    bin_s: float
    arrivals: Integers
    late: Integers
    refused: Integers
    spilled: Integers
    warm_functions: int = 0
    bill_usd: float = 0.0
    spot_price_usd_per_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("arrivals", "late", "refused", "spilled"):
            object.__setattr__(self, name, frozen_integers(getattr(self, name)))


@dataclass(frozen=True)
class Actions:
    """Changes to apply now: launches per offer, instances to drain and end, functions to keep warm.

    ``decision_id`` makes applying them twice change nothing. ``warm_functions`` None leaves the
    number as it is, ``function_share`` None the share of requests that a data plane with fixed
    shares sends to functions. ``reason`` says why, in words.
    """

    decision_id: str
    launch: dict[str, int] = field(default_factory=dict)
    terminate: tuple[str, ...] = ()
    warm_functions: int | None = None
    function_share: float | None = None
    reason: str = field(default="", compare=False)

    @property
    def empty(self) -> bool:
        """True where nothing is to change."""
        return (
            not any(self.launch.values())
            and not self.terminate
            and self.warm_functions is None
            and self.function_share is None
        )


@dataclass(frozen=True)
class ActionReport:
    """What became of actions: ids launched per offer, and what was refused and why.

    ``insufficient`` names the offers of which fewer were launched than asked for want of capacity,
    or because their price is above their maximum: asking again at once is of no use.
    """

    decision_id: str
    launched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    terminated: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    insufficient: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ledger:
    """The final bill in USD by kind, and the counts behind it.

    ``billed_s`` maps an offer's name to the instance-seconds that were billed.
    """

    cost_usd: dict[str, float]
    billed_s: dict[str, float]
    launches: int
    interruptions: int

    @property
    def total_usd(self) -> float:
        """Sum over all kinds."""
        return sum(self.cost_usd.values())
