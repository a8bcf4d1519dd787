"""Spot markets: when spot instances are refused and interrupted, and what they cost."""

from markopt.cloud.simulated.markets.drawn import DrawnMarket, DrawnSettings
from markopt.cloud.simulated.markets.generated_prices import GeneratedPricesSettings
from markopt.cloud.simulated.markets.price_history import PriceHistory, read_prices
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.cloud.simulated.markets.prices import PriceMarket
from markopt.cloud.simulated.markets.protocol import Market, MarketSettings
from markopt.cloud.simulated.markets.recorded_capacity import (
    AvailabilityTrace,
    RecordedCapacityMarket,
    RecordedCapacitySettings,
    read_availability,
)
from markopt.cloud.simulated.markets.recorded_prices import RecordedPricesSettings
from markopt.cloud.simulated.markets.scripted import ScriptedMarket, ScriptedSettings
from markopt.cloud.simulated.markets.uninterrupted import (
    UninterruptedMarket,
    UninterruptedSettings,
)

__all__ = [
    "AvailabilityTrace",
    "DrawnMarket",
    "DrawnSettings",
    "GeneratedPricesSettings",
    "Market",
    "MarketSettings",
    "PriceHistory",
    "PriceMarket",
    "PricePath",
    "RecordedCapacityMarket",
    "RecordedCapacitySettings",
    "RecordedPricesSettings",
    "ScriptedMarket",
    "ScriptedSettings",
    "UninterruptedMarket",
    "UninterruptedSettings",
    "read_availability",
    "read_prices",
]
