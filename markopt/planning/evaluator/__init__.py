"""An independent account of plans: plain loops, no code in common with what makes plans."""

from markopt.planning.evaluator.evaluation import PlanEvaluation, evaluate_plan

__all__ = ["PlanEvaluation", "evaluate_plan"]
