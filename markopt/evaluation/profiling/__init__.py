"""Profiles measured over HTTP: what ``markopt profile URL`` does."""

from markopt.evaluation.profiling.estimates import BatchTime, LoadPoint, ServerProfile
from markopt.evaluation.profiling.measurement import measure
from markopt.evaluation.profiling.settings import ProfileSettings

__all__ = ["BatchTime", "LoadPoint", "ProfileSettings", "ServerProfile", "measure"]
