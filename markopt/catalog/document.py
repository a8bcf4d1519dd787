"""YAML documents with a schema: read strictly, and complained about in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from markopt.catalog.lookup import close_match
from markopt.catalog.terms import Confidence, Evidence
from markopt.errors import MarkoptError

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Text = Annotated[str, Field(min_length=1, strict=True)]


class Section(BaseModel):
    """A mapping of a document: no key beyond those that are declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sourced(Section):
    """A mapping that says where its figures come from and how they are known.

    ``source`` is a key of the document's ``sources``; without such a table it is the text itself.
    """

    source: Text
    confidence: Confidence

    def evidence(self, sources: dict[str, str] | None) -> Evidence:
        """Return the source's text with the confidence."""
        text = self.source if sources is None else sources[self.source]
        return Evidence(text, self.confidence)


_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_BASE):  # type: ignore[misc]  # the C loader has no stub; 10 times as fast
    """YAML without duplicate keys, with the floats of YAML 1.2 (``1e-4`` is a number)."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key '{key_node.value}'", key_node.start_mark
                )
            seen.add(key_node.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)

S = TypeVar("S", bound=Section)


def read_document(path: Path, schema: type[S], error: type[MarkoptError]) -> S:
    """Return the YAML document at ``path``, validated.

    Raises:
        MarkoptError: of the type ``error``: the file is missing or is no YAML, a key is unknown,
            missing or given twice, or a value is out of range; the text names file, key and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8 text"
        raise error(f"{path}: cannot be read: {reason}") from None
    try:
        # The loader derives from the safe one: it makes plain data, never objects.
        content = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as problem:
        raise error(f"{path}: {_yaml_message(problem)}") from None
    if not isinstance(content, dict):
        raise error(f"{path}: must hold a mapping of keys to values, got {_short(content)}")
    try:
        document = schema.model_validate(content)
    except ValidationError as problem:
        raise error(f"{path}: {_first_message(problem, schema)}") from None
    _check_sources(path, document, error)
    return document


def _check_sources(path: Path, document: Section, error: type[MarkoptError]) -> None:
    sources = getattr(document, "sources", None)
    if sources is None:
        return
    for where, section in _sourced(document, ()):
        if section.source not in sources:
            key = ".".join((*where, "source"))
            raise error(
                f"{path}: {key}: must be a key of 'sources'"
                f"{close_match(section.source, sources)}, got '{section.source}'"
            )


def _sourced(value: Any, where: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Sourced]]:
    """Yield every sourced section below ``value`` with its path."""
    if isinstance(value, Sourced):
        yield where, value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _sourced(getattr(value, name), (*where, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _sourced(item, (*where, str(name)))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _sourced(item, (*where, str(index)))


def _yaml_message(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    line = f"line {mark.line + 1}: " if mark is not None else ""
    reason = getattr(problem, "problem", None) or str(problem)
    return f"{line}{' '.join(str(reason).split())}"


def _first_message(problem: ValidationError, schema: type[Section]) -> str:
    # A misspelt key is also a missing one: the misspelling is what the user must see.
    errors = sorted(problem.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    first = errors[0]
    where = tuple(str(part) for part in first["loc"])
    key = ".".join(where) or "document"
    if first["type"] == "extra_forbidden":
        close = close_match(where[-1], _vocabulary(schema))
        return f"{key}: unknown key{close}, got {_short(first['input'])}"
    if first["type"] == "missing":
        present = list(first["input"]) if isinstance(first["input"], dict) else first["input"]
        return f"{key}: required key is missing, got {_short(present)}"
    if first["type"] == "value_error":
        # A check of ours: its text starts with the key below ``where`` and names the value.
        return ".".join((*where, first["msg"].removeprefix("Value error, ")))
    message = re.sub(r"^\w+ should ", "must ", first["msg"])
    return f"{key}: {message}, got {_short(first['input'])}"


def _vocabulary(schema: type[BaseModel]) -> set[str]:
    """Return the keys of the schema and of every section below it."""
    document = schema.model_json_schema()
    parts = [document, *document.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
