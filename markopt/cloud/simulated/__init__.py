"""The simulated cloud: life cycles and bills around the request engine."""

from markopt.cloud.simulated.arrivals import arrival_generator
from markopt.cloud.simulated.cloud import SimulatedCloud, market_of
from markopt.cloud.simulated.settings import SimulationSettings

__all__ = ["SimulatedCloud", "SimulationSettings", "arrival_generator", "market_of"]
