"""What the program says of a decision, as data: the ground that every formulation stands on."""

from markopt.planning.statement.risk import Risk
from markopt.planning.statement.statement import CALM_SHARE, Formulation, Statement, settle_mix

__all__ = ["CALM_SHARE", "Formulation", "Risk", "Statement", "settle_mix"]
