"""JSON documents of problems and plans: schema-versioned, strict, and the same both ways."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from markopt.core.plan import Plan
from markopt.core.problem import Problem
from markopt.errors import ConfigError, MarkoptError

T = TypeVar("T")

EXPLANATION = "explanation"
"""The key beside a plan's own under which ``markopt plan --explain`` writes."""


@cache
def _problem_adapter() -> TypeAdapter[Problem]:
    return TypeAdapter(Problem)


@cache
def _plan_adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def _parse(adapter: TypeAdapter[T], text: str | bytes, where: str) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "document"
        raise ConfigError(f"{where}: {key}: {first['msg']}, got {_short(first['input'])}") from None
    except MarkoptError as error:
        raise type(error)(f"{where}: {error}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def problem_to_json(problem: Problem, *, indent: int | None = None) -> str:
    """Return the problem as JSON."""
    return _problem_adapter().dump_json(problem, indent=indent).decode()


def problem_from_json(text: str | bytes, where: str = "problem") -> Problem:
    """Read a problem.

    Raises:
        ConfigError: a key is unknown or missing, or a value is out of range; the text names it.
    """
    return _parse(_problem_adapter(), text, where)


def plan_to_json(plan: Plan, *, indent: int | None = None) -> str:
    """Return the plan as JSON."""
    return _plan_adapter().dump_json(plan, indent=indent).decode()


def plan_from_json(text: str | bytes, where: str = "plan") -> Plan:
    """Read a plan; an explanation beside it is left out.

    Raises:
        ConfigError: a key is unknown or missing, or a value is out of range; the text names it.
    """
    with suppress(ValueError):  # what is no JSON is refused below
        document = json.loads(text)
        if isinstance(document, dict) and document.pop(EXPLANATION, None) is not None:
            text = json.dumps(document)
    return _parse(_plan_adapter(), text, where)
