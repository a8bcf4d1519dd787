"""The compiled request-level kernel - no clouds, no policies."""

from markopt.engine.engine import RequestEngine, latency_edges_s
from markopt.engine.settings import EngineSettings, FunctionKind, ServerKind
from markopt.engine.state import Bouncer, Dispatcher, Path

__all__ = [
    "Bouncer",
    "Dispatcher",
    "EngineSettings",
    "FunctionKind",
    "Path",
    "RequestEngine",
    "ServerKind",
    "latency_edges_s",
]
