"""The simulated cloud: life cycles and bills around the request engine."""

from markopt.cloud.simulated.api import ApiSettings, RateLimit
from markopt.cloud.simulated.arrivals import arrival_generator
from markopt.cloud.simulated.boot import LaunchDelay, LaunchSettings
from markopt.cloud.simulated.cloud import SimulatedCloud, market_of
from markopt.cloud.simulated.life import InstanceLife
from markopt.cloud.simulated.settings import SimulationSettings
from markopt.cloud.simulated.shortage import ShortageSettings

__all__ = [
    "ApiSettings",
    "InstanceLife",
    "LaunchDelay",
    "LaunchSettings",
    "RateLimit",
    "ShortageSettings",
    "SimulatedCloud",
    "SimulationSettings",
    "arrival_generator",
    "market_of",
]
