"""The loop that observes, forecasts, plans and applies."""

from markopt.control.actuate import actuate
from markopt.control.controller import Controller
from markopt.control.decisions import Decision, DecisionLog
from markopt.control.monitor import SloMonitor
from markopt.control.record import IntervalRecord, MonitorDecision
from markopt.control.settings import ControllerSettings

__all__ = [
    "Controller",
    "ControllerSettings",
    "Decision",
    "DecisionLog",
    "IntervalRecord",
    "MonitorDecision",
    "SloMonitor",
    "actuate",
]
