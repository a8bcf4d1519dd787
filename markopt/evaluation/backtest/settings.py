"""How forecasters are backtested."""

from __future__ import annotations

from dataclasses import dataclass

from markopt.errors import ConfigError


@dataclass(frozen=True)
class BacktestSettings:
    """How to backtest: see ``conf/config.yaml``.

    ``forecasters`` are options of the config group. They learn from ``train_s`` seconds and are
    judged on the ``test_s`` that follow; where both are None the workload's own spans hold. From
    every ``stride``-th interval on, ``samples`` paths of ``horizon`` intervals are forecast.
    ``refit_every`` fits anew after so many intervals (None: never; models may have a schedule of
    their own).

    Raises:
        ConfigError: a value is out of range.
    """

    forecasters: tuple[str, ...]
    train_s: float | None = None
    test_s: float | None = None
    horizon: int = 30
    samples: int = 100
    stride: int = 1
    refit_every: int | None = None

    def __post_init__(self) -> None:
        if not self.forecasters or len(set(self.forecasters)) != len(self.forecasters):
            raise ConfigError(
                f"backtest.forecasters: must name at least one, each once, got "
                f"{list(self.forecasters)}"
            )
        for key in ("train_s", "test_s"):
            value = getattr(self, key)
            if value is not None and not value > 0.0:
                raise ConfigError(f"backtest.{key}: must be positive or null, got {value}")
        for key, least in (("horizon", 1), ("samples", 2), ("stride", 1), ("refit_every", 1)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise ConfigError(f"backtest.{key}: must be at least {least}, got {value}")
