"""Live deployments: the loop on a cloud, with journal, modes and guard rails."""

from markopt.deployment.parts import Parts, parts_from, parts_of
from markopt.deployment.session import Listeners, Outcome, Start, deploy
from markopt.deployment.settings import DeploySettings

__all__ = [
    "DeploySettings",
    "Listeners",
    "Outcome",
    "Parts",
    "Start",
    "deploy",
    "parts_from",
    "parts_of",
]
