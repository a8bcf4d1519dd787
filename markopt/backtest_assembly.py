"""From a composed configuration to the parts of a backtest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final, get_type_hints

from markopt.annotations import fits, kind_of
from markopt.composition import Composed, compose, instantiate, parse
from markopt.errors import ConfigError
from markopt.evaluation.backtest import BacktestSettings, Load, measured_load
from markopt.forecasting.protocol import Forecaster

if TYPE_CHECKING:
    from omegaconf import DictConfig

BACKTEST_KEYS = ("forecaster", "workload", "seed", "output", "sweep", "backtest", "experiment")
"""What a backtest depends on."""


def backtest_settings(config: DictConfig) -> BacktestSettings:
    """Return the ``backtest`` section, checked.

    Raises:
        ConfigError: a value is out of range or of the wrong kind.
    """
    from omegaconf import OmegaConf

    section: Any = OmegaConf.to_container(config.backtest, resolve=True)
    hints = get_type_hints(BacktestSettings)
    for key, value in section.items():
        if key not in hints:
            raise ConfigError(f"backtest.{key}: no such setting; there are: {', '.join(hints)}")
        if not fits(value, hints[key]):
            raise ConfigError(f"backtest.{key}: must be {kind_of(hints[key])}, got {value!r}")
    section["forecasters"] = tuple(str(name) for name in section["forecasters"])
    return BacktestSettings(**section)


@final
class BacktestParts:
    """Makes the parts of a backtest from overrides: one configuration per forecaster.

    A forecaster is named by its option, or by its class where that was overridden.

    Raises:
        ConfigError: an override has no effect here, a forecaster is no option of its group, or a
            setting does not exist for every one of them.
    """

    def __init__(self, overrides: Sequence[str], composed: Composed | None = None) -> None:
        own_class = False
        for override in parse(overrides):
            key = override.key_or_group.partition("@")[0]
            own_class |= key == "forecaster._target_"
            if not any(key == known or key.startswith(f"{known}.") for known in BACKTEST_KEYS):
                raise ConfigError(
                    f"{key}: markopt backtest does not depend on it; it takes "
                    f"{', '.join(BACKTEST_KEYS)}"
                )
        self.base: DictConfig = (composed or compose(overrides)).config
        self.settings = backtest_settings(self.base)
        self._sections: dict[str, DictConfig] = {}
        for name in self.settings.forecasters:
            try:
                config = compose([*overrides, f"forecaster={name}"]).config
            except ConfigError as error:
                raise ConfigError(f"{error} (of forecaster '{name}')") from None
            instantiate(config.forecaster, "forecaster")  # a mistake shows before any work is done
            label = config.forecaster["_target_"].rpartition(".")[2] if own_class else name
            if label in self._sections:
                raise ConfigError(
                    f"forecaster._target_: a class of your own takes the place of one option, got "
                    f"{', '.join(self.settings.forecasters)}"
                )
            self._sections[label] = config.forecaster
        self.settings = dataclasses.replace(self.settings, forecasters=tuple(self._sections))

    def makers(self) -> dict[str, Callable[[], Forecaster]]:
        """Return what makes each forecaster, not yet fitted."""

        def maker(section: DictConfig) -> Callable[[], Forecaster]:
            def make() -> Forecaster:
                forecaster: Forecaster = instantiate(section, "forecaster")
                return forecaster

            return make

        return {name: maker(section) for name, section in self._sections.items()}

    def load(self, seed: int) -> Load:
        """Return the workload's rates, cut as ``backtest.train_s`` and ``test_s`` say.

        Raises:
            ConfigError: the workload has no such spans.
            DataError: the trace cannot be read or is too short.
        """
        return measured_load(instantiate(self._workload(), "workload"), seed)

    def _workload(self) -> DictConfig:
        from omegaconf import DictConfig, OmegaConf

        section: DictConfig = self.base.workload
        spans = {"history_s": self.settings.train_s, "evaluate_s": self.settings.test_s}
        if all(value is None for value in spans.values()):
            return section
        lacking = [key for key in spans if key not in section]
        if lacking:
            raise ConfigError(
                f"backtest.train_s, backtest.test_s: need a workload with '{lacking[0]}', such as "
                f"a trace; {section['_target_']} has none"
            )
        if "start_s" not in section:  # generated: as long as is asked for, so both are needed
            spans = {key: section[key] if value is None else value for key, value in spans.items()}
        merged: Any = OmegaConf.merge(section, spans)
        return DictConfig(merged)

    def config(self) -> dict[str, Any]:
        """Return everything that the result follows from, all interpolations resolved."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            return {
                "workload": OmegaConf.to_container(self._workload(), resolve=True),
                "forecasters": {
                    name: OmegaConf.to_container(section, resolve=True)
                    for name, section in self._sections.items()
                },
                "backtest": OmegaConf.to_container(self.base.backtest, resolve=True),
                "seed": self.base.seed,
            }
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"configuration: {reason}") from None
