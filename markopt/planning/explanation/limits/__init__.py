"""The limits of a problem, each of which can be stated, relaxed by one useful unit, or lifted."""

from markopt.planning.explanation.limits.capacity import Stock
from markopt.planning.explanation.limits.listing import conflicting_limits, priced_limits
from markopt.planning.explanation.limits.protocol import Limit, PricedLimit
from markopt.planning.explanation.limits.service_level import MissBudget, with_slo

__all__ = [
    "Limit",
    "MissBudget",
    "PricedLimit",
    "Stock",
    "conflicting_limits",
    "priced_limits",
    "with_slo",
]
