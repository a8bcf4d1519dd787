"""The tree of errors, by who can mend them.

MarkoptError
├── DataError        a trace, profile or result file is wrong
│   └── ForecastError    a forecast holds rates that no load can have
├── CatalogError     a catalogue entry is wrong or missing
├── ConfigError      a setting is wrong or contradicts another
├── PlanningError    no plan can be given
│   ├── Infeasible   no plan exists: the limits contradict each other
│   └── SolverFailed the solver ended without a usable answer
└── BackendError     a cloud refused or lost something
"""

from __future__ import annotations


class MarkoptError(Exception):
    """Base of every error that markopt raises on purpose; its text is one line for the user."""

    exit_code = 2


class DataError(MarkoptError):
    """A trace, profile or result file is wrong; the text names file, row and value."""


class ForecastError(DataError):
    """A forecast holds rates that no load can have: negative, infinite or not a number."""


class CatalogError(MarkoptError):
    """A catalogue entry is wrong or missing; the text names file, key and value."""


class ConfigError(MarkoptError):
    """A setting is wrong or contradicts another; the text names the key and what was expected."""


class PlanningError(MarkoptError):
    """No plan can be given."""


class Infeasible(PlanningError):
    """No plan exists, because the stated limits contradict each other."""

    exit_code = 3


class SolverFailed(PlanningError):
    """The solver ended without a usable answer."""


class BackendError(MarkoptError):
    """A cloud refused or lost something that it was told to do."""
