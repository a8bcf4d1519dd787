"""One seed becomes named random streams, so that changing a planner never shifts the arrivals."""

from __future__ import annotations

import numpy as np

from markopt.errors import ConfigError

STREAMS = ("cloud", "forecast", "bootstrap", "characterization", "backtest")
"""Names in a fixed order: append only, since a stream's place is its identity.

The cloud splits its own further: arrivals, service times, launches, spot interruptions.
"""


def seed_sequence(seed: int, stream: str) -> np.random.SeedSequence:
    """Return the seed sequence of a named stream.

    Raises:
        ConfigError: the seed is not a whole number from 0 on, or the stream has no such name.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed: must be a whole number from 0 on, got {seed!r}")
    if stream not in STREAMS:
        raise ConfigError(f"seed: no stream is named '{stream}'; streams: {', '.join(STREAMS)}")
    return np.random.SeedSequence(entropy=seed, spawn_key=(STREAMS.index(stream),))


def generator(seed: int, stream: str) -> np.random.Generator:
    """Return a fresh generator at the start of a named stream."""
    return np.random.default_rng(seed_sequence(seed, stream))
