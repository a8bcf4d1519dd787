"""The journal: every decision, written ahead of its effects, in SQLite."""

from markopt.control.journal.entries import (
    ActionEntry,
    Entry,
    Epoch,
    IntervalEntry,
    ObservationEntry,
    PlanEntry,
    RateEntry,
    Session,
)
from markopt.control.journal.journaled_backend import Carried, JournaledBackend, Rebuilt
from markopt.control.journal.journaled_policy import JournaledForecaster, JournaledPlanner
from markopt.control.journal.past import JournalDiverged, Past
from markopt.control.journal.reader import JournalReader
from markopt.control.journal.writer import Journal

__all__ = [
    "ActionEntry",
    "Carried",
    "Entry",
    "Epoch",
    "IntervalEntry",
    "Journal",
    "JournalDiverged",
    "JournalReader",
    "JournaledBackend",
    "JournaledForecaster",
    "JournaledPlanner",
    "ObservationEntry",
    "Past",
    "PlanEntry",
    "RateEntry",
    "Rebuilt",
    "Session",
]
