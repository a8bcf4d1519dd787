"""Forecasters judged on what came after: a rolling origin, no look-ahead, the same for all."""

from markopt.evaluation.backtest.load import Load, measured_load, origins
from markopt.evaluation.backtest.measures import Measures, measured
from markopt.evaluation.backtest.results import BacktestFiles, read_backtest, write_backtest
from markopt.evaluation.backtest.rolling import Clock, roll
from markopt.evaluation.backtest.settings import BacktestSettings
from markopt.evaluation.backtest.study import Backtest, backtest

__all__ = [
    "Backtest",
    "BacktestFiles",
    "BacktestSettings",
    "Clock",
    "Load",
    "Measures",
    "backtest",
    "measured",
    "measured_load",
    "origins",
    "read_backtest",
    "roll",
    "write_backtest",
]
