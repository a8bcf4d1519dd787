"""Guard rails: what no plan may do, outside every planner."""

from markopt.control.guards.cut import Cut
from markopt.control.guards.rules import Guards, Verdict
from markopt.control.guards.settings import GuardSettings

__all__ = ["Cut", "GuardSettings", "Guards", "Verdict"]
