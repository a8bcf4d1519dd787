"""The program as textbooks write it, in cvxpy and in PuLP: what the fast one is judged against."""

from markopt.planning.reference.cvxpy_program import CvxpyProgram
from markopt.planning.reference.pulp_program import PulpProgram

__all__ = ["CvxpyProgram", "PulpProgram"]
