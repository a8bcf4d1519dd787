"""Whether a value from a configuration is of the kind that a type annotation asks for."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin

_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str, int, float),
    types.NoneType: (types.NoneType,),
}
"""What YAML may give for each: a bool is no number, but a number may be a name."""

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a name",
    types.NoneType: "null",
}


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a plain value (of YAML or JSON) fits an annotation; in doubt it does."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(value, choice) for choice in get_args(hint))
    if hint in _SCALARS:
        return type(value) in _SCALARS[hint]
    bare = get_origin(hint) or hint
    if not isinstance(bare, type):
        return True  # Any, Literal, a type variable: for the constructor to judge
    if issubclass(bare, Mapping):
        return isinstance(value, dict)
    if issubclass(bare, Sequence):
        return isinstance(value, list) and all(fits(v, kind) for v, kind in _entries(value, hint))
    # An object is configured as a mapping with a target; names may stand for enumerations.
    return value is not None


def _entries(value: Sequence[Any], hint: Any) -> list[tuple[Any, Any]]:
    kinds = [kind for kind in get_args(hint) if kind is not Ellipsis]
    if len(kinds) == 1:
        return [(entry, kinds[0]) for entry in value]
    return list(zip(value, kinds, strict=False))  # the constructor counts them


def kind_of(hint: Any) -> str:
    """Return in words what an annotation asks for: ``a whole number or null``."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind_of(choice) for choice in get_args(hint)))
    if hint in _KINDS:
        return _KINDS[hint]
    bare = get_origin(hint) or hint
    if isinstance(bare, type) and issubclass(bare, Mapping):
        return "keys and values"
    if isinstance(bare, type) and issubclass(bare, Sequence):
        kinds = {kind_of(kind) for kind in get_args(hint) if kind is not Ellipsis}
        plain = {"a whole number": "whole numbers", "a number": "numbers", "a name": "names"}
        return f"a list of {plain.get(kinds.pop(), 'values')}" if len(kinds) == 1 else "a list"
    return f"a {bare.__name__}" if isinstance(bare, type) else str(hint)
