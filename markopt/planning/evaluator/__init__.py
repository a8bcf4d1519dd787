"""An independent account of plans: plain loops, no code in common with what makes plans."""

from markopt.planning.evaluator.evaluation import PlanEvaluation, broken_limits, evaluate_plan

__all__ = ["PlanEvaluation", "broken_limits", "evaluate_plan"]
