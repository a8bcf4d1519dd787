"""Spot markets: when spot instances are refused and interrupted, and what they cost."""

from markopt.cloud.simulated.markets.drawn import DrawnMarket, DrawnSettings
from markopt.cloud.simulated.markets.protocol import Market, MarketSettings
from markopt.cloud.simulated.markets.recorded_capacity import (
    RecordedCapacityMarket,
    RecordedCapacitySettings,
)
from markopt.cloud.simulated.markets.scripted import ScriptedMarket, ScriptedSettings

__all__ = [
    "DrawnMarket",
    "DrawnSettings",
    "Market",
    "MarketSettings",
    "RecordedCapacityMarket",
    "RecordedCapacitySettings",
    "ScriptedMarket",
    "ScriptedSettings",
]
