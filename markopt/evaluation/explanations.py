"""Explanations of an episode's dearest decisions, from the problems that were saved with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markopt.core.documents import problem_from_json
from markopt.errors import ConfigError, DataError, Infeasible
from markopt.evaluation.folder import json_text, replace_text
from markopt.evaluation.problems import PROBLEMS
from markopt.evaluation.results import DECISIONS
from markopt.planning.explanation import explain
from markopt.planning.explanation.listing import footnote, sections
from markopt.planning.protocol import Planner

EXPLANATIONS = "explanations.json"
EXPLANATIONS_SCHEMA = "markopt.explanations/1"


def dearest_problems(folder: Path, number: int) -> list[Path]:
    """Return the saved problems whose plans had the largest objectives, dearest first.

    Where plans have no objective, those with the most launches come first, then the latest.

    Raises:
        ConfigError: ``number`` is not positive.
        DataError: no problem has been saved, or the decision log is damaged.
    """
    if number < 1:
        raise ConfigError(f"--explain: must be a whole number from 1 on, got {number}")
    saved = {path.name: path for path in (folder / PROBLEMS).glob("problem-*.json")}
    if not saved:
        raise DataError(
            f"{folder / PROBLEMS}: expected saved problems, there are none; "
            "markopt run save_problems_every=N saves every Nth"
        )
    found: list[tuple[float, int, float, Path]] = []
    try:
        for line in (folder / DECISIONS).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            path = saved.get(f"problem-{entry['time_s']:.10g}.json")
            if entry["kind"] == "plan" and path is not None:
                launches = sum(entry["launch"].values())
                found.append((entry["objective_usd"] or 0.0, launches, entry["time_s"], path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / DECISIONS}: cannot be read: {error}") from None
    return [path for *_, path in sorted(found, reverse=True)[:number]]


def write_explanations(
    folder: Path,
    planner: Planner,
    number: int,
    on_solve: Callable[[int, int], None] | None = None,
) -> Path:
    """Explain the dearest saved decisions into ``explanations.json``, which reports show.

    ``on_solve`` is called after each question with how many are done, of how many.

    Raises:
        ConfigError: ``number`` is not positive.
        DataError: there are no saved problems, or one is damaged.
    """
    paths = dearest_problems(folder, number)
    decisions = []
    for at, path in enumerate(paths):

        def advance(done: int, total: int, at: int = at) -> None:
            if on_solve is not None:
                on_solve(at * total + done, len(paths) * total)

        decisions.append(_explained(path, planner, advance))
    document = {"schema": EXPLANATIONS_SCHEMA, "decisions": decisions}
    target = folder / EXPLANATIONS
    replace_text(target, json_text(document))
    return target


def _explained(
    path: Path, planner: Planner, on_solve: Callable[[int, int], None]
) -> dict[str, Any]:
    problem = problem_from_json(path.read_text(encoding="utf-8"), str(path))
    about = {"time_s": problem.time_s, "problem": f"{PROBLEMS}/{path.name}"}
    try:
        explanation = explain(planner, problem, planner.plan(problem), on_solve)
    except Infeasible as error:
        return about | {"sections": [["No plan", [str(error)]]], "footnote": "", "figures": None}
    return about | {
        "sections": [[title, list(texts)] for title, texts in sections(explanation)],
        "footnote": footnote(explanation),
        "figures": explanation.document(),
    }


def read_explanations(folder: Path) -> list[dict[str, Any]]:
    """Return what ``write_explanations`` wrote, nothing where it has not been called.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / EXPLANATIONS
    if not path.is_file():
        return []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != EXPLANATIONS_SCHEMA:
            raise DataError(
                f"{path}: this version reads '{EXPLANATIONS_SCHEMA}', got '{document['schema']}'"
            )
        decisions: list[dict[str, Any]] = document["decisions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return decisions
