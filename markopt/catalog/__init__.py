"""Instance types, function sizes, prices and profiles, validated on load."""

from markopt.catalog.prices import load_catalog
from markopt.catalog.profiles import ProfileBook, load_profiles, monotone_envelope
from markopt.catalog.terms import (
    Catalog,
    Confidence,
    Evidence,
    FunctionSize,
    FunctionTerms,
    InstanceType,
    SpotTerms,
)

__all__ = [
    "Catalog",
    "Confidence",
    "Evidence",
    "FunctionSize",
    "FunctionTerms",
    "InstanceType",
    "ProfileBook",
    "SpotTerms",
    "load_catalog",
    "load_profiles",
    "monotone_envelope",
]
