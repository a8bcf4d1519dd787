"""What is wrong with a recorded trace: gaps, catch-up, counters, silences, copies, units."""

from markopt.workload.quality.check import KINDS, check_trace, masked_intervals
from markopt.workload.quality.finding import Finding

__all__ = ["KINDS", "Finding", "check_trace", "masked_intervals"]
