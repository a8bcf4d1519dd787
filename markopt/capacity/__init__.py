"""From profiles to offers: batching, saturation throughput, and the fleet factor."""

from markopt.capacity.batching import (
    BatchingRule,
    best_batching,
    candidate_batchings,
    guard_factor,
    mark_batching,
    saturation_bound_rps,
    saturation_rps,
)
from markopt.capacity.fleet_factor import (
    CalibrationSettings,
    Fleet,
    attainment,
    calibrate,
    fleet_factors,
    server_kind,
    slo_capacity_rps,
    slo_capacity_share,
    throughput_curve,
)
from markopt.capacity.offers import (
    OfferSelection,
    at_price_ratio,
    best_saturation_rps,
    build_function,
    build_offers,
    function_offer,
)

__all__ = [
    "BatchingRule",
    "CalibrationSettings",
    "Fleet",
    "OfferSelection",
    "at_price_ratio",
    "attainment",
    "best_batching",
    "best_saturation_rps",
    "build_function",
    "build_offers",
    "calibrate",
    "candidate_batchings",
    "fleet_factors",
    "function_offer",
    "guard_factor",
    "mark_batching",
    "saturation_bound_rps",
    "saturation_rps",
    "server_kind",
    "slo_capacity_rps",
    "slo_capacity_share",
    "throughput_curve",
]
