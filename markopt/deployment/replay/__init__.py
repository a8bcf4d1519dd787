"""Going through a journal again: are its plans the planner's, and what would another have done."""

from markopt.deployment.replay.reproduction import ReplayedPlan, Verdict, reproduce
from markopt.deployment.replay.what_if import Alternative, alternatives

__all__ = ["Alternative", "ReplayedPlan", "Verdict", "alternatives", "reproduce"]
