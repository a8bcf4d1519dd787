"""Every configured forecaster instantiates and lists all its arguments."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from markopt.composition import compose
from markopt.forecasting import Arima, Calibrated, Lstm, RecurringSurges, SeasonalNaive
from markopt.resources import shipped_folder
from tests.forecasting.models import HISTORY, burst_series, part

FILES = sorted((shipped_folder("conf") / "forecaster").glob("*.yaml"))


def test_the_group_holds_the_documented_models() -> None:
    names = {file.stem for file in FILES}
    documented = {"last_value", "seasonal_naive", "arima", "sarima", "lstm", "oracle"}
    assert documented | {"lstm_calibrated", "calibrated"} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_config_lists_every_argument_and_the_constructor_stores_it(file: Path) -> None:
    config = compose([f"forecaster={file.stem}"]).config.forecaster
    model = get_class(config._target_)
    arguments = set(inspect.signature(model).parameters)
    assert set(config) - {"_target_"} == arguments
    forecaster = instantiate(config)
    for name in arguments:
        if not OmegaConf.is_dict(config[name]):
            assert getattr(forecaster, name) == config[name]


@pytest.mark.parametrize("name", ["lstm", "arima", "calibrated", "lstm_surges"])
def test_defaults_in_the_config_are_those_of_the_code(name: str) -> None:
    model = {
        "lstm": Lstm,
        "arima": Arima,
        "calibrated": Calibrated,
        "lstm_surges": RecurringSurges,
    }[name]
    config = OmegaConf.to_container(
        OmegaConf.load(shipped_folder("conf") / "forecaster" / f"{name}.yaml")
    )
    for key, parameter in inspect.signature(model).parameters.items():
        default = parameter.default
        if default is inspect.Parameter.empty:  # the forecaster that is wrapped
            continue
        assert config[key] == (list(default) if isinstance(default, tuple) else default), key


def test_any_forecaster_can_be_calibrated_from_the_command_line() -> None:
    overrides = ["forecaster=calibrated", "forecaster@forecaster.forecaster=seasonal_naive"]
    forecaster = instantiate(compose(overrides).config.forecaster)
    assert isinstance(forecaster, Calibrated)
    assert isinstance(forecaster.forecaster, SeasonalNaive)


def test_lists_from_a_config_file_fit_and_forecast(tmp_path: Path) -> None:
    changes = {
        "horizon": 4,
        "context_s": 1200.0,
        "hidden": 4,
        "head": 4,
        "members": 1,
        "epochs": 1,
        "cache_folder": str(tmp_path),
    }
    base = OmegaConf.load(shipped_folder("conf") / "forecaster" / "lstm.yaml")
    lstm = instantiate(OmegaConf.merge(base, changes)).fit(part(burst_series(), 0, HISTORY))
    assert lstm.forecast(4, 3, np.random.default_rng(0)).horizon == 4
    arima_file = OmegaConf.load(shipped_folder("conf") / "forecaster" / "arima.yaml")
    arima = instantiate(OmegaConf.merge(arima_file, {"max_iterations": 3}))
    arima.fit(part(burst_series(), 0, HISTORY))
    assert arima.forecast(4, 3, np.random.default_rng(0)).samples == 3
