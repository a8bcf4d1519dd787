"""What ``markopt plan`` does: one decision, and on request its explanation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from markopt.composition import compose, instantiate
from markopt.core import Plan, Problem
from markopt.core.documents import EXPLANATION, plan_to_json, problem_from_json
from markopt.errors import DataError, Infeasible
from markopt.planning.explanation import Explanation, explain, with_conflict

WIDTH = 100
"""Columns of the text, less on a narrower terminal."""


def launch_plan(path: Path, planner: str, overrides: Sequence[str], *, explained: bool) -> None:
    """Print one decision as JSON; explained, also its explanation, there and as text for people.

    Standard output holds the JSON alone; the text goes to standard error.

    Raises:
        DataError: the problem cannot be read.
        Infeasible: there is no plan; the text names the limits that contradict each other.
    """
    config = compose([f"planner={planner}", *overrides]).config
    problem = _read(path)
    chosen: Any = instantiate(config.planner, "planner")
    try:
        plan = chosen.plan(problem)
    except Infeasible as error:
        raise with_conflict(chosen, problem, error) from None
    if not explained:
        typer.echo(plan_to_json(plan, indent=2))
        return
    explanation = _explain(chosen, problem, plan)
    document = json.loads(plan_to_json(plan)) | {EXPLANATION: explanation.document()}
    typer.echo(json.dumps(document, indent=2))
    _show(explanation)


def explain_folder(folder: Path, number: int) -> None:
    """Explain a run's dearest saved decisions, with the run's own planner.

    Raises:
        ConfigError: ``number`` is not positive, or the run's configuration is damaged.
        DataError: the folder holds no saved problems.
    """
    from markopt.evaluation.explanations import dearest_problems, write_explanations
    from markopt.evaluation.results import CONFIG

    dearest_problems(folder, number)  # what is wrong with the folder comes first
    config = compose([], folder / CONFIG).config
    planner: Any = instantiate(config.planner, "planner")
    with _solving() as advance:
        write_explanations(folder, planner, number, advance)


def _read(path: Path) -> Problem:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DataError(f"--problem {path}: cannot be read: {reason}") from None
    return problem_from_json(text, str(path))


def _explain(planner: Any, problem: Problem, plan: Plan) -> Explanation:
    with _solving() as advance:
        return explain(planner, problem, plan, advance)


@contextmanager
def _solving() -> Iterator[Callable[[int, int], None]]:
    """Yield what moves a progress bar, which appears where it takes long."""
    from markopt.evaluation.progress import late_bar

    with late_bar("Re-solving", 1) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.step(done - bar.done)

        yield advance


def _show(explanation: Explanation) -> None:
    from rich.console import Console

    from markopt.planning.explanation.listing import explanation_text

    console = Console(stderr=True, highlight=False)
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print()
    console.print(explanation_text(explanation, width), soft_wrap=True)
