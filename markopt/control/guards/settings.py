"""Settings of the guard rails, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markopt.errors import ConfigError


@dataclass(frozen=True)
class GuardSettings:
    """What no plan may do, whoever made it; field names are the keys of ``controller.guards``.

    None: without that rule. Money counts instances at their offers' prices and warm functions;
    instances that drain are paid for, too.

    Args:
        max_usd_per_h: launches and warm functions may not raise what the fleet costs per hour
            above this.
        max_usd_per_day: nor above what is left of this for the day (of the deployment's clock)
            within the next hour, the bill of functions included.
        when_spent: once the day's money is spent, ``hold`` the fleet, or end all but the ``floor``
            of ``min_instances``.
        max_launches: launches per decision.
        max_terminations: terminations per decision.
        min_instances: terminations may not leave fewer that are pending, booting or ready.
        max_instances: launches may not lead to more, draining ones included.
        max_vcpus: nor to more vCPUs (an account's quota).
        kill_switch: while this file exists nothing is changed; its first line may say why.
        stale_after_s: where no load was reported for so long, nothing is ended.

    Raises:
        ConfigError: a value is out of range; the text names the key.
    """

    max_usd_per_h: float | None = None
    max_usd_per_day: float | None = None
    when_spent: str = "hold"
    max_launches: int | None = None
    max_terminations: int | None = None
    min_instances: int = 0
    max_instances: int | None = None
    max_vcpus: float | None = None
    kill_switch: str | None = None
    stale_after_s: float | None = 300.0

    def __post_init__(self) -> None:
        for key in ("max_usd_per_h", "max_usd_per_day", "max_vcpus", "stale_after_s"):
            value = getattr(self, key)
            if value is not None and not (_is_number(value) and value >= 0.0):
                raise ConfigError(
                    f"controller.guards.{key}: must be null or a number from 0 on, got {value!r}"
                )
        for key in ("max_launches", "max_terminations", "min_instances", "max_instances"):
            value = getattr(self, key)
            if value is None and key != "min_instances":
                continue
            if type(value) is not int or value < 0:
                raise ConfigError(
                    f"controller.guards.{key}: must be a whole number from 0 on, got {value!r}"
                )
        if self.max_instances is not None and self.max_instances < self.min_instances:
            raise ConfigError(
                f"controller.guards.max_instances: must be at least min_instances "
                f"({self.min_instances}), got {self.max_instances}"
            )
        if self.when_spent not in ("hold", "floor"):
            raise ConfigError(
                f"controller.guards.when_spent: expected 'hold' or 'floor', got {self.when_spent!r}"
            )
        if self.kill_switch is not None and (
            not isinstance(self.kill_switch, str) or not self.kill_switch
        ):
            raise ConfigError(
                f"controller.guards.kill_switch: must be null or a file's path, got "
                f"{self.kill_switch!r}"
            )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(float(value))  # type: ignore[arg-type]
