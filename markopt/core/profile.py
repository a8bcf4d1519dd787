"""Service time of a batch on one platform."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from markopt.errors import DataError


@dataclass(frozen=True)
class Profile:
    """Mean service time ``T(b)`` in seconds at measured batch sizes, on one platform.

    ``platform`` is an EC2 instance type, or ``lambda/<MB>`` for a function size.
    ``servers`` model servers run side by side on one instance, each with its own batch queue.
    ``service_time_cv`` is the coefficient of variation of a batch's service time.
    ``max_batch`` caps the batch that memory allows; None means the largest measured one.

    Raises:
        DataError: batch sizes do not rise, a time is not positive, or lengths differ.
    """

    service: str
    platform: str
    batch_sizes: tuple[int, ...]
    service_times_s: tuple[float, ...]
    servers: int = 1
    service_time_cv: float = 0.0
    source: str = ""
    confidence: str = ""

    def __post_init__(self) -> None:
        where = f"Profile '{self.service}' on '{self.platform}'"
        if not self.batch_sizes or len(self.batch_sizes) != len(self.service_times_s):
            raise DataError(
                f"{where}: needs one service time per batch size, got {len(self.batch_sizes)} "
                f"batch sizes and {len(self.service_times_s)} times"
            )
        if self.batch_sizes[0] < 1 or any(
            b >= c for b, c in zip(self.batch_sizes, self.batch_sizes[1:], strict=False)
        ):
            raise DataError(
                f"{where}: batch sizes must rise from 1 or more, got {self.batch_sizes}"
            )
        if any(not (math.isfinite(t) and t > 0.0) for t in self.service_times_s):
            raise DataError(f"{where}: service times must be positive, got {self.service_times_s}")
        if self.servers < 1:
            raise DataError(f"{where}: servers must be at least 1, got {self.servers}")
        if not 0.0 <= self.service_time_cv < 1.0:
            raise DataError(
                f"{where}: service_time_cv must lie in [0, 1), got {self.service_time_cv}"
            )

    @property
    def largest_batch(self) -> int:
        """Largest batch size with a measurement."""
        return self.batch_sizes[-1]

    def service_time_s(self, batch_size: int) -> float:
        """Return ``T(batch_size)``, linear between measured sizes.

        Below the smallest measured size the smallest one's time holds (a part-filled batch costs
        a full one: the only safe reading where a profile gives one batch size alone).

        Raises:
            DataError: the batch size was not measured and lies outside the measured range.
        """
        if not 1 <= batch_size <= self.batch_sizes[-1]:
            raise DataError(
                f"Profile '{self.service}' on '{self.platform}': batch size must lie in "
                f"1..{self.batch_sizes[-1]}, got {batch_size}"
            )
        at = bisect_left(self.batch_sizes, batch_size)
        if at == 0 or self.batch_sizes[at] == batch_size:
            return self.service_times_s[at]
        low, high = self.batch_sizes[at - 1], self.batch_sizes[at]
        share = (batch_size - low) / (high - low)
        return (1.0 - share) * self.service_times_s[at - 1] + share * self.service_times_s[at]
