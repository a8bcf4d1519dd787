"""The requests of a simulated cloud, drawn block by block."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.workload.protocol import ArrivalProcess


def stream(seed: np.random.SeedSequence, at: int) -> np.random.SeedSequence:
    """Return a child of ``seed`` without changing it, so that it can be derived again."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, at))


def arrival_generator(seed: np.random.SeedSequence) -> np.random.Generator:
    """Return the generator from which a cloud of this seed draws its arrivals."""
    return np.random.default_rng(stream(seed, 0))


@final
class ArrivalBuffer:
    """Draws arrivals in blocks of fixed length, however time is advanced."""

    def __init__(
        self,
        process: ArrivalProcess,
        rng: np.random.Generator,
        start_s: float,
        block_s: float,
    ) -> None:
        self._process = process
        self._rng = rng
        self._start_s = start_s
        self._block_s = block_s
        self._drawn = 0
        self._waiting: NDArray[np.float64] = np.empty(0)

    def until(self, until_s: float) -> list[NDArray[np.float64]]:
        """Return all arrivals before ``until_s`` that were not returned yet, in blocks."""
        blocks: list[NDArray[np.float64]] = []
        while True:
            split = int(np.searchsorted(self._waiting, until_s, side="left"))
            if split:
                blocks.append(self._waiting[:split])
                self._waiting = self._waiting[split:]
            if len(self._waiting) or self._start_s + self._drawn * self._block_s >= until_s:
                return blocks
            first_s = self._start_s + self._drawn * self._block_s
            self._drawn += 1
            last_s = self._start_s + self._drawn * self._block_s
            self._waiting = self._process.arrivals(first_s, last_s, self._rng)
