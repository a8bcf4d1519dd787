"""What a characterisation measures."""

from __future__ import annotations

from dataclasses import dataclass

from markopt.errors import ConfigError


@dataclass(frozen=True)
class CharacterizeSettings:
    """How to characterise a service: see ``conf/config.yaml``.

    ``catalogs`` are options of the config group. ``batch_sizes`` are the largest batches that are
    tried (None: every one that was measured). The low load is one rate for all: the share
    ``low_utilization`` of what the slowest instance serves without batching. ``pool_instances``
    serve together at high load. Every measured point takes ``requests`` requests or more.

    Raises:
        ConfigError: a value is out of range.
    """

    catalogs: tuple[str, ...]
    batch_sizes: tuple[int, ...] | None = None
    low_utilization: float = 0.05
    pool_instances: int = 16
    requests: int = 40_000

    def __post_init__(self) -> None:
        if not self.catalogs or len(set(self.catalogs)) != len(self.catalogs):
            raise ConfigError(
                f"characterize.catalogs: must name at least one, each once, got "
                f"{list(self.catalogs)}"
            )
        sizes = self.batch_sizes
        if sizes is not None and (not sizes or min(sizes) < 1):
            raise ConfigError(
                f"characterize.batch_sizes: must hold sizes from 1 on or be null, got {list(sizes)}"
            )
        if not 0.0 < self.low_utilization < 1.0:
            raise ConfigError(
                f"characterize.low_utilization: must lie strictly between 0 and 1, got "
                f"{self.low_utilization}"
            )
        if self.pool_instances < 2:
            raise ConfigError(
                f"characterize.pool_instances: must be at least 2, got {self.pool_instances}"
            )
        if self.requests < 1000:
            raise ConfigError(f"characterize.requests: must be at least 1000, got {self.requests}")
