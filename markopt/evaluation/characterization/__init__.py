"""MArk's measurement study, repeated on a catalogue: latency, throughput and cost per platform."""

from markopt.evaluation.characterization.options import Option, options_of, require_some
from markopt.evaluation.characterization.settings import CharacterizeSettings
from markopt.evaluation.characterization.study import Characterization, Row, characterize

__all__ = [
    "Characterization",
    "CharacterizeSettings",
    "Option",
    "Row",
    "characterize",
    "options_of",
    "require_some",
]
