"""Which spot pools may be gone, when, and how likely: joint paths of the pools' availability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError


@dataclass(frozen=True, eq=False)
class Availability:
    """Joint paths of the share of a pool's instances that serve, independent of the demand.

    ``paths`` has shape (paths, pools, horizon): 1 where all of a pool's instances serve, 0 where
    the pool was interrupted and its replacements are not ready yet. ``probabilities`` has shape
    (paths,) and sums to one. A pool that is not named is always there.

    Raises:
        DataError: shapes do not fit, a share lies outside [0, 1], or probabilities do not sum to
            one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    pools: tuple[str, ...]
    paths: Floats
    probabilities: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", frozen_floats(self.paths))
        object.__setattr__(self, "probabilities", frozen_floats(self.probabilities))
        if self.paths.ndim != 3 or self.paths.shape[1] != len(self.pools) or not len(self.paths):
            raise DataError(
                f"Availability: paths must have shape (paths, {len(self.pools)}, horizon), got "
                f"{self.paths.shape}"
            )
        if self.probabilities.shape != (len(self.paths),):
            raise DataError(
                f"Availability: needs one probability per path, got {self.probabilities.shape} for "
                f"{len(self.paths)} paths"
            )
        if not np.all((self.paths >= 0.0) & (self.paths <= 1.0)):
            raise DataError("Availability: shares must lie in [0, 1]")
        total = float(self.probabilities.sum())
        if np.any(self.probabilities < 0.0) or abs(total - 1.0) > 1e-6:
            raise DataError(
                f"Availability: probabilities must be at least 0 and sum to 1, got a sum of {total}"
            )
