"""What the program says of a decision, as data: the ground that every formulation stands on."""

from markopt.planning.statement.risk import Risk
from markopt.planning.statement.statement import Formulation, Statement, settle_mix

__all__ = ["Formulation", "Risk", "Statement", "settle_mix"]
