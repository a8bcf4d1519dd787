"""Request traces and arrival processes."""

from markopt.workload.markovian import MapSource
from markopt.workload.modulated import BurstClock, ModulatedTraceModel, read_model
from markopt.workload.processes import CountSource, PoissonSource, ReplaySource
from markopt.workload.protocol import ArrivalProcess, ArrivalSource, Workload
from markopt.workload.reader import read_trace
from markopt.workload.realized import realised_rates
from markopt.workload.recorded import ReplayWorkload, TraceWorkload
from markopt.workload.synthetic import (
    MapWorkload,
    MmppWorkload,
    PoissonWorkload,
    StressWorkload,
)
from markopt.workload.trace import Gap, RequestTrace, Trace

__all__ = [
    "ArrivalProcess",
    "ArrivalSource",
    "BurstClock",
    "CountSource",
    "Gap",
    "MapSource",
    "MapWorkload",
    "MmppWorkload",
    "ModulatedTraceModel",
    "PoissonSource",
    "PoissonWorkload",
    "ReplaySource",
    "ReplayWorkload",
    "RequestTrace",
    "StressWorkload",
    "Trace",
    "TraceWorkload",
    "Workload",
    "read_model",
    "read_trace",
    "realised_rates",
]
