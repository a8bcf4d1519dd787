"""Settings of the control loop, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from markopt.control.guards.settings import GuardSettings
from markopt.control.monitor import check_monitor
from markopt.core import Limits
from markopt.errors import ConfigError

DATA_PLANES = ("bouncer", "weighted")
MODES = ("advise", "shadow", "act")
_WHOLE = ("horizon", "samples", "monitor_cool_down_rounds", "replans", "max_launches_per_interval")


@dataclass(frozen=True)
class ControllerSettings:
    """How the loop decides; field names are the keys of the ``controller`` config group.

    A plan is made every ``interval_s`` from a forecast of ``samples`` joint paths over ``horizon``
    intervals. Between plans the SLO monitor (see ``SloMonitor``), unless ``monitor`` is off, looks
    every ``monitor_period_s``. ``keep_until_minimum``, ``make_before_break_share`` and
    ``end_unknown`` go to ``actuate``; ``max_vcpus`` and ``max_launches_per_interval`` are the
    limits that planners and monitor obey (None: without a limit). Own launches and ends that the
    cloud does not show yet are
    remembered for ``remember_actions_s`` (see ``RecentActions``). The monitor's defaults are those
    of MArk's released code. ``data_plane`` says how requests reach functions: ``bouncer``, what
    instances refuse; or ``weighted``, a fixed share that the loop sets (see ``FunctionShare``) from
    the ``weight_quantile`` of the forecast, at every decision and look of the monitor. An offer
    that was refused for want of capacity is not asked for again for ``avoid_refused_s`` (see
    ``Shortfalls``; 0: at every decision, as MArk does), and up to ``replans`` plans are made at
    once without it. An interval without a request whose chance is below
    ``suspect_chance`` is taken for no data, for ``suspect_silence_s`` at most (see
    ``SilenceWatch``; 0: never).

    ``mode`` and ``guards`` are for ``markopt deploy``: ``advise`` says what it would do and changes
    nothing, ``shadow`` keeps a fleet in mind beside the real one, ``act`` carries out what the
    guard rails leave (see ``GuardSettings``).

    Raises:
        ConfigError: a value is out of range or of the wrong kind; the text names the key.
    """

    interval_s: float = 60.0
    horizon: int = 15
    samples: int = 100
    keep_until_minimum: bool = True
    make_before_break_share: float = 1.0
    end_unknown: bool = True
    remember_actions_s: float = 120.0
    monitor: bool = True
    monitor_period_s: float = 5.0
    monitor_weight: float = 0.001
    monitor_threshold_share: float = 0.02
    monitor_cool_down_rounds: int = 5
    monitor_offer: str = "auto"
    max_vcpus: float | None = None
    max_launches_per_interval: int | None = None
    data_plane: str = "bouncer"
    weight_quantile: float = 0.95
    avoid_refused_s: float = 300.0
    replans: int = 5
    suspect_silence_s: float = 600.0
    suspect_chance: float = 1e-6
    mode: str = "advise"
    guards: GuardSettings = field(default_factory=GuardSettings)

    def __post_init__(self) -> None:
        self._check_types()
        for key in ("horizon", "samples"):
            if getattr(self, key) < 1:
                raise ConfigError(f"controller.{key}: must be at least 1, got {getattr(self, key)}")
        if not self.interval_s > 0.0:
            raise ConfigError(f"controller.interval_s: must be positive, got {self.interval_s}")
        for key in ("remember_actions_s", "avoid_refused_s", "suspect_silence_s", "replans"):
            if not getattr(self, key) >= 0.0:
                raise ConfigError(
                    f"controller.{key}: must not be negative, got {getattr(self, key)}"
                )
        if not 0.0 <= self.make_before_break_share <= 1.0:
            raise ConfigError(
                "controller.make_before_break_share: must lie in [0, 1], got "
                f"{self.make_before_break_share}"
            )
        for key, names in (("data_plane", DATA_PLANES), ("mode", MODES)):
            if getattr(self, key) not in names:
                expected = " or ".join(f"'{name}'" for name in names)
                raise ConfigError(
                    f"controller.{key}: expected {expected}, got '{getattr(self, key)}'"
                )
        for key in ("weight_quantile", "suspect_chance"):
            if not 0.0 < getattr(self, key) < 1.0:
                raise ConfigError(f"controller.{key}: must lie in (0, 1), got {getattr(self, key)}")
        for key in ("max_vcpus", "max_launches_per_interval"):
            limit = getattr(self, key)
            if limit is not None and limit < 0:
                raise ConfigError(f"controller.{key}: must not be negative, got {limit}")
        self._check_monitor()

    def _check_monitor(self) -> None:
        if not 0.0 < self.monitor_period_s <= self.interval_s:
            raise ConfigError(
                "controller.monitor_period_s: must be positive and at most interval_s "
                f"({self.interval_s}), got {self.monitor_period_s}"
            )
        check_monitor(
            self.monitor_weight, self.monitor_threshold_share, self.monitor_cool_down_rounds
        )

    def _check_types(self) -> None:
        """Refuse what YAML or a command line can put in the place of a number or a switch."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is None and entry.default is None:
                continue
            if entry.name == "guards":
                fits, wanted = isinstance(value, GuardSettings), "guard rails (GuardSettings)"
            elif entry.name in _WHOLE:
                fits, wanted = type(value) is int, "a whole number"
            elif isinstance(entry.default, bool):
                fits, wanted = isinstance(value, bool), "true or false"
            elif isinstance(entry.default, str):
                fits, wanted = isinstance(value, str), "a name"
            else:
                fits = type(value) in (int, float) and math.isfinite(value)
                wanted = "a finite number"
            if not fits:
                raise ConfigError(f"controller.{entry.name}: must be {wanted}, got {value!r}")

    @property
    def plans_at_once(self) -> int:
        """How many plans one decision may make: one where refusals are not remembered.

        Likewise where launches are limited, since together plans would exceed the limit.
        """
        several = self.avoid_refused_s > 0.0 and self.max_launches_per_interval is None
        return 1 + self.replans * several

    @property
    def limits(self) -> Limits:
        """The account limits."""
        return Limits(self.max_vcpus, self.max_launches_per_interval)
