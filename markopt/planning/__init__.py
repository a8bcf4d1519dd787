"""Planners - the program, MArk's greedy heuristic and baselines - and the bounds on them."""

from markopt.planning.cheapest_fleet import cheapest_fleet
from markopt.planning.clairvoyant import ClairvoyantBound, clairvoyant_bound
from markopt.planning.evaluator import PlanEvaluation, evaluate_plan
from markopt.planning.explanation import Explanation, WithHardSlo, explain
from markopt.planning.greedy import Greedy
from markopt.planning.greedy_released import GreedyReleased
from markopt.planning.lambda_only import LambdaOnly
from markopt.planning.peers import (
    CocktailWeighted,
    Ec2PredictiveScaling,
    Ec2TargetTracking,
    FaroMdc,
    HoltWintersAutoscaler,
    HorizontalPodAutoscaler,
    Keda,
    MelangeIlp,
    SageMakerTargetTracking,
    SpockVmLambda,
    SpotHedge,
)
from markopt.planning.program import Program
from markopt.planning.protocol import Planner
from markopt.planning.reference import CvxpyProgram, PulpProgram
from markopt.planning.square_root_staffing import SquareRootStaffing
from markopt.planning.standbys import WithStandbys
from markopt.planning.static_peak import StaticPeak
from markopt.planning.target_tracking import TargetTracking

__all__ = [
    "ClairvoyantBound",
    "CocktailWeighted",
    "CvxpyProgram",
    "Ec2PredictiveScaling",
    "Ec2TargetTracking",
    "Explanation",
    "FaroMdc",
    "Greedy",
    "GreedyReleased",
    "HoltWintersAutoscaler",
    "HorizontalPodAutoscaler",
    "Keda",
    "LambdaOnly",
    "MelangeIlp",
    "PlanEvaluation",
    "Planner",
    "Program",
    "PulpProgram",
    "SageMakerTargetTracking",
    "SpockVmLambda",
    "SpotHedge",
    "SquareRootStaffing",
    "StaticPeak",
    "TargetTracking",
    "WithHardSlo",
    "WithStandbys",
    "cheapest_fleet",
    "clairvoyant_bound",
    "evaluate_plan",
    "explain",
]
