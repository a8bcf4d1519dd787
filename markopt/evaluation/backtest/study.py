"""Several forecasters on the same load, from the same origins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from markopt.errors import ConfigError, DataError
from markopt.evaluation.backtest.load import Load, origins
from markopt.evaluation.backtest.measures import Measures
from markopt.evaluation.backtest.rolling import Clock, roll
from markopt.evaluation.backtest.settings import BacktestSettings
from markopt.evaluation.progress import late_bar
from markopt.forecasting.protocol import Forecaster, Foreseeing


@dataclass(frozen=True, eq=False)
class Backtest:
    """A backtest's outcome; ``refused`` says why a forecaster could not take part."""

    load: Load
    settings: BacktestSettings
    seed: int
    starts: range
    measures: Mapping[str, Measures]
    clocks: Mapping[str, Clock]
    refused: Mapping[str, str] = field(default_factory=dict)


def backtest(
    makers: Mapping[str, Callable[[], Forecaster]],
    load: Load,
    settings: BacktestSettings,
    seed: int,
) -> Backtest:
    """Return how well each forecaster, by name, forecasts the load; a late bar shows progress.

    A forecaster that refuses the load (too short a history, a shorter horizon) is left out and
    named with its reason.

    Raises:
        DataError: the test is shorter than the horizon, or every forecaster refused.
    """
    starts = origins(load, settings.horizon, settings.stride)
    measures: dict[str, Measures] = {}
    clocks: dict[str, Clock] = {}
    refused: dict[str, str] = {}
    for name, make in makers.items():
        with late_bar(f"Backtesting {name}", len(starts)) as bar:
            try:
                forecaster = _with_future(make(), load)
                measures[name], clocks[name] = roll(forecaster, load, settings, seed, bar.step)
            except (ConfigError, DataError) as error:
                refused[name] = " ".join(str(error).split())
    if not measures:
        first = next(iter(refused))
        raise DataError(f"{load.name}: every forecaster refused; {first}: {refused[first]}")
    return Backtest(load, settings, seed, starts, measures, clocks, refused)


def _with_future(forecaster: Forecaster, load: Load) -> Forecaster:
    """Hand an oracle, as the one kind that may know them, the realised rates."""
    return forecaster.with_rates(load.series) if isinstance(forecaster, Foreseeing) else forecaster
