"""Where a planner's next search may begin: what the last one found, in a form that can be saved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import PlanningError

WARM_START_SCHEMA = "markopt.warm_start/1"


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A planner's relaxed schedule: counts that need not be whole, of the offers that mattered.

    ``ready`` has shape (offers, intervals), ``warm_functions`` (intervals,), from ``time_s`` on in
    steps of ``interval_s``. It is a hint: it may make the next decision faster, and is no part of
    what is decided. One of another time, another fleet or with offers that are gone is as good.

    Raises:
        PlanningError: shapes do not fit, or a number is negative or not finite.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    time_s: float
    interval_s: float
    offers: tuple[str, ...]
    ready: Floats
    warm_functions: Floats
    schema: str = WARM_START_SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "ready", frozen_floats(self.ready))
        object.__setattr__(self, "warm_functions", frozen_floats(self.warm_functions))
        if self.schema != WARM_START_SCHEMA:
            raise PlanningError(
                f"WarmStart: this version reads '{WARM_START_SCHEMA}', got '{self.schema}'"
            )
        count = len(self.offers)
        if self.ready.ndim != 2 or len(self.ready) != count or not self.ready.shape[1]:
            raise PlanningError(
                f"WarmStart: ready must have shape ({count}, intervals), got {self.ready.shape}"
            )
        if self.warm_functions.shape != self.ready.shape[1:]:
            raise PlanningError(
                f"WarmStart: needs one warm count per interval, got {self.warm_functions.shape} "
                f"for {self.ready.shape[1]} intervals"
            )
        if not self.interval_s > 0.0:
            raise PlanningError(f"WarmStart: interval_s must be positive, got {self.interval_s}")
        for name in ("ready", "warm_functions"):
            counts = getattr(self, name)
            if not (np.isfinite(counts) & (counts >= 0.0)).all():
                raise PlanningError(f"WarmStart: {name} must be finite and at least 0")
