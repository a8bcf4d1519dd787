"""MArk's measurement study, repeated on a catalogue: latency, throughput and cost per platform."""

from markopt.evaluation.characterization.findings import Claim, Finding, Side, judge
from markopt.evaluation.characterization.options import Option, options_of, require_some
from markopt.evaluation.characterization.results import (
    CharacterizationFiles,
    read_characterization,
    write_characterization,
)
from markopt.evaluation.characterization.settings import CharacterizeSettings
from markopt.evaluation.characterization.study import Characterization, Row, characterize

__all__ = [
    "Characterization",
    "CharacterizationFiles",
    "CharacterizeSettings",
    "Claim",
    "Finding",
    "Option",
    "Row",
    "Side",
    "characterize",
    "judge",
    "options_of",
    "read_characterization",
    "require_some",
    "write_characterization",
]
