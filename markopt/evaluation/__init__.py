"""Episodes, comparisons and their reports."""

from markopt.evaluation.compare import (
    CompareSettings,
    Comparison,
    Parts,
    compare,
    write_comparison,
)
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    fit_forecaster,
    run_episode,
    set_conditions,
)
from markopt.evaluation.outcome import EpisodeResult, summarize
from markopt.evaluation.report import report_folder
from markopt.evaluation.results import EpisodeFiles, read_episode, write_episode
from markopt.evaluation.tape import ForecastTape, RecordedForecaster, record_tape

__all__ = [
    "CompareSettings",
    "Comparison",
    "Conditions",
    "EpisodeFiles",
    "EpisodeResult",
    "EpisodeSetup",
    "ForecastTape",
    "Parts",
    "RecordedForecaster",
    "Scene",
    "compare",
    "fit_forecaster",
    "read_episode",
    "record_tape",
    "report_folder",
    "run_episode",
    "set_conditions",
    "summarize",
    "write_comparison",
    "write_episode",
]
