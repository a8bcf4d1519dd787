"""The nouns of provisioning: frozen, typed, without input or output."""

from markopt.core.availability import Availability
from markopt.core.fleet import FleetState, OfferFleet
from markopt.core.forecast import Forecast, Statistic
from markopt.core.latency import LatencyWindows
from markopt.core.observation import (
    ActionReport,
    Actions,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
)
from markopt.core.offer import Batching, FunctionOffer, Offer, PurchaseOption
from markopt.core.plan import Plan
from markopt.core.problem import Limits, Problem, SloWindow
from markopt.core.profile import Profile
from markopt.core.series import RateSeries
from markopt.core.service import Service, Slo
from markopt.core.statistics import RequestSink, RequestStatistics
from markopt.core.throughput import RequiredThroughput, ThroughputCurve
from markopt.core.warm_start import WarmStart

__all__ = [
    "ActionReport",
    "Actions",
    "Availability",
    "Batching",
    "FleetState",
    "Forecast",
    "FunctionOffer",
    "InstanceState",
    "InstanceStatus",
    "LatencyWindows",
    "Ledger",
    "Limits",
    "Observation",
    "Offer",
    "OfferFleet",
    "Plan",
    "Problem",
    "Profile",
    "PurchaseOption",
    "RateSeries",
    "RequestSink",
    "RequestStatistics",
    "RequiredThroughput",
    "Service",
    "Slo",
    "SloWindow",
    "Statistic",
    "ThroughputCurve",
    "WarmStart",
]
