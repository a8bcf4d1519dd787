"""What to measure on a server, and how often."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from markopt.errors import ConfigError


@dataclass(frozen=True)
class ProfileSettings:
    """How a server is measured.

    Args:
        batch_sizes: to measure, rising; the last one is the server's largest batch.
        wait_s: how long the server's batches wait for company.
        repeats: samples per batch size.
        warm_up: requests before the first sample.
        load_shares: loads to measure at, as shares of the saturation throughput.
        load_requests: requests per load.
        confidence: level of the intervals.
        timeout_s: an answer that takes longer is missing.
        seed: of arrivals.

    Raises:
        ConfigError: a value is out of range.
    """

    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)
    wait_s: float = 0.0
    repeats: int = 30
    warm_up: int = 20
    load_shares: tuple[float, ...] = (0.2, 0.5, 0.8)
    load_requests: int = 300
    confidence: float = 0.95
    timeout_s: float = 30.0
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = self.batch_sizes
        if not sizes or sizes[0] != 1 or any(a >= b for a, b in pairwise(sizes)):
            raise ConfigError(f"batch sizes: must rise from 1, got {list(sizes)}")
        if self.repeats < 3:
            raise ConfigError(f"repeats: must be at least 3, got {self.repeats}")
        for key, least in (("warm_up", 1), ("load_requests", 10), ("seed", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"{key}: must be at least {least}, got {getattr(self, key)}")
        if not (math.isfinite(self.wait_s) and self.wait_s >= 0.0):
            raise ConfigError(f"wait: must not be negative, got {self.wait_s} s")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0.0):
            raise ConfigError(f"timeout: must be positive, got {self.timeout_s} s")
        if not 0.0 < self.confidence < 1.0:
            raise ConfigError(f"confidence: must lie strictly in (0, 1), got {self.confidence}")
        for share in self.load_shares:
            if not 0.0 < share < 1.0:
                raise ConfigError(f"load shares: must lie strictly in (0, 1), got {share}")

    @property
    def largest_batch(self) -> int:
        """The server's largest batch."""
        return self.batch_sizes[-1]
