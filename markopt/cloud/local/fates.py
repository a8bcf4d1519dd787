"""What becomes of launches: how long they take, and when an interruption is announced."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import final


@dataclass(frozen=True)
class Fate:
    """A launch takes ``delay_s``; ``noticed_s`` after it an interruption is announced."""

    delay_s: float
    noticed_s: float


@final
class Fates:
    """Draws fates: an offer's k-th launch meets its k-th fate, whatever else is launched.

    Delays are lognormal with coefficient of variation ``launch_cv``, times until notices
    exponential.
    """

    def __init__(self, seed: int, launch_cv: float) -> None:
        self._seed = seed
        variance = math.log1p(launch_cv**2)
        self._deviation, self._mean = math.sqrt(variance), -0.5 * variance
        self._draws: dict[str, random.Random] = {}

    def next(self, offer: str, launch_delay_s: float, interruption_per_h: float) -> Fate:
        """Return the fate of an offer's next launch; no notice is infinitely late."""
        draws = self._draws.get(offer)
        if draws is None:
            draws = self._draws[offer] = random.Random(f"{self._seed}/{offer}")
        deviate, level = draws.gauss(0.0, 1.0), draws.random()
        noticed_s = math.inf
        if interruption_per_h > 0.0:
            noticed_s = -math.log1p(-level) * 3600.0 / interruption_per_h
        return Fate(launch_delay_s * math.exp(self._deviation * deviate + self._mean), noticed_s)
