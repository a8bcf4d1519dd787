"""What the journal holds as JSON: observations, actions, reports, cuts; compressed where large."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from markopt.control.guards.cut import Cut
from markopt.core import ActionReport, Actions, Observation, Plan, Problem
from markopt.core.documents import plan_from_json, plan_to_json, problem_from_json, problem_to_json
from markopt.errors import DataError, MarkoptError

T = TypeVar("T")

LARGEST_DOCUMENT = 256 * 1024 * 1024
"""Bytes; what inflates to more is no document of ours."""


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(value: Any, kind: Any) -> str:
    """Return a value of the given type as JSON."""
    return _adapter(kind).dump_json(value).decode()


def from_json(text: str | bytes, kind: type[T], where: str) -> T:
    """Read a value of the given type.

    Raises:
        DataError: the text is none; ``where`` names it.
    """
    hashable: Any = kind
    try:
        value: T = _adapter(hashable).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "document"
        raise DataError(f"{where}: {key}: {first['msg']}") from None
    except MarkoptError as error:
        raise DataError(f"{where}: {error}") from None
    return value


def packed(text: str) -> bytes:
    """Return a text compressed."""
    return zlib.compress(text.encode(), 6)


def unpacked(blob: bytes, where: str) -> bytes:
    """Return a compressed text.

    Raises:
        DataError: it is none, or larger than any document.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(blob, LARGEST_DOCUMENT)
    except zlib.error as error:
        raise DataError(f"{where}: cannot be inflated: {error}") from None
    if inflater.unconsumed_tail or not inflater.eof:
        raise DataError(f"{where}: expected a whole document of at most {LARGEST_DOCUMENT} bytes")
    return text


def pack_observation(observation: Observation) -> bytes:
    """Return an observation as a compressed document."""
    return packed(to_json(observation, Observation))


def read_observation(blob: bytes, where: str) -> Observation:
    """Read an observation.

    Raises:
        DataError: the document is damaged.
    """
    return from_json(unpacked(blob, where), Observation, where)


def pack_problem(problem: Problem) -> bytes:
    """Return a problem as a compressed document."""
    return packed(problem_to_json(problem))


def read_problem(blob: bytes, where: str) -> Problem:
    """Read a problem.

    Raises:
        DataError: the document is damaged.
    """
    try:
        return problem_from_json(unpacked(blob, where), where)
    except MarkoptError as error:
        raise DataError(str(error)) from None


def pack_plan(plan: Plan) -> bytes:
    """Return a plan as a compressed document."""
    return packed(plan_to_json(plan))


def read_plan(blob: bytes, where: str) -> Plan:
    """Read a plan.

    Raises:
        DataError: the document is damaged.
    """
    try:
        return plan_from_json(unpacked(blob, where), where)
    except MarkoptError as error:
        raise DataError(str(error)) from None


def read_actions(text: str, where: str) -> Actions:
    """Read actions.

    Raises:
        DataError: the document is damaged.
    """
    return from_json(text, Actions, where)


def read_report(text: str, where: str) -> ActionReport:
    """Read a report of actions.

    Raises:
        DataError: the document is damaged.
    """
    return from_json(text, ActionReport, where)


def read_cuts(text: str, where: str) -> tuple[Cut, ...]:
    """Read what guard rails cut.

    Raises:
        DataError: the document is damaged.
    """
    return from_json(text, tuple[Cut, ...], where)
