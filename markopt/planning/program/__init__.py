"""The stochastic integer program over a receding horizon, in sparse arrays straight into HiGHS."""

from markopt.planning.program.planner import Program

__all__ = ["Program"]
