"""Decisions explained by re-solving changed problems: any planner, as a black box."""

from markopt.planning.explanation.conflict import Conflict, find_conflict, with_conflict
from markopt.planning.explanation.explain import Explanation, Finding, explain
from markopt.planning.explanation.hard_slo import WithHardSlo
from markopt.planning.explanation.measure import (
    Difference,
    Measured,
    Resolver,
    difference,
    measure,
    sharpened,
)

__all__ = [
    "Conflict",
    "Difference",
    "Explanation",
    "Finding",
    "Measured",
    "Resolver",
    "WithHardSlo",
    "difference",
    "explain",
    "find_conflict",
    "measure",
    "sharpened",
    "with_conflict",
]
