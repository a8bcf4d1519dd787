"""Instance types, function sizes, prices and profiles, validated on load."""

from markopt.catalog.prices import load_catalog
from markopt.catalog.profiles import ProfileBook, load_profiles, monotone_envelope
from markopt.catalog.scaling import with_scaled
from markopt.catalog.terms import (
    CONFIDENCES,
    Catalog,
    Confidence,
    Evidence,
    FunctionSize,
    FunctionTerms,
    InstanceType,
    ScalingRule,
    SpotTerms,
    worst_confidence,
)

__all__ = [
    "CONFIDENCES",
    "Catalog",
    "Confidence",
    "Evidence",
    "FunctionSize",
    "FunctionTerms",
    "InstanceType",
    "ProfileBook",
    "ScalingRule",
    "SpotTerms",
    "load_catalog",
    "load_profiles",
    "monotone_envelope",
    "with_scaled",
    "worst_confidence",
]
