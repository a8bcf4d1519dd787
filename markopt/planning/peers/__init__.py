"""Peers as policies: published autoscalers, one module each (docs/peers.md)."""

from markopt.planning.peers.cocktail_weighted import CocktailWeighted
from markopt.planning.peers.ec2_predictive_scaling import Ec2PredictiveScaling
from markopt.planning.peers.ec2_target_tracking import Ec2TargetTracking
from markopt.planning.peers.faro_mdc import FaroMdc
from markopt.planning.peers.holt_winters_autoscaler import HoltWintersAutoscaler
from markopt.planning.peers.horizontal_pod_autoscaler import HorizontalPodAutoscaler
from markopt.planning.peers.keda import Keda
from markopt.planning.peers.melange_ilp import MelangeIlp
from markopt.planning.peers.sagemaker_target_tracking import SageMakerTargetTracking
from markopt.planning.peers.spock_vm_lambda import SpockVmLambda
from markopt.planning.peers.spot_hedge import SpotHedge

__all__ = [
    "CocktailWeighted",
    "Ec2PredictiveScaling",
    "Ec2TargetTracking",
    "FaroMdc",
    "HoltWintersAutoscaler",
    "HorizontalPodAutoscaler",
    "Keda",
    "MelangeIlp",
    "SageMakerTargetTracking",
    "SpockVmLambda",
    "SpotHedge",
]
