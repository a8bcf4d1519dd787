"""Decision problems as files, so that single decisions can be replayed with ``markopt plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

from markopt.core import Plan, Problem
from markopt.core.documents import problem_to_json
from markopt.errors import ConfigError
from markopt.evaluation.folder import replace_text
from markopt.planning.protocol import Planner

PROBLEMS = "problems"


@final
class SavingPlanner:
    """Plans as the planner that it wraps, and writes every ``every``-th problem into a folder.

    The files are named by the time of the decision, ``problem-338400.json``, as in
    ``decisions.jsonl``. The first problem is always written.
    """

    def __init__(self, planner: Planner, folder: Path, every: int) -> None:
        self._planner = planner
        self._folder = folder
        self._every = every
        self._seen = 0

    def plan(self, problem: Problem) -> Plan:
        """Return the wrapped planner's plan."""
        if self._seen % self._every == 0:
            name = f"problem-{problem.time_s:.10g}.json"
            replace_text(self._folder / name, problem_to_json(problem) + "\n")
        self._seen += 1
        return self._planner.plan(problem)


def check_every(value: Any, name: str = "save_problems_every") -> int | None:
    """Return the setting of that name: at every how many decisions something is kept.

    Raises:
        ConfigError: it is neither null nor a whole number from 1 on.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name}: must be a whole number from 1 on or null, got {value!r}")
    return value
