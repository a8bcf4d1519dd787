"""How kernel code is compiled: functions that are inlined, and entry points that are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

_ENGINE = Path(__file__).resolve().parents[1]


def _fingerprint() -> str:
    """Return a hash of all sources of the engine."""
    digest = hashlib.sha256()
    for path in sorted(_ENGINE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_FINGERPRINT = _fingerprint()


class _EngineCache(FunctionCache):  # type: ignore[misc] # numba is untyped
    """Numba's cache on disk, which forgets an entry point when any source of the engine changes.

    Numba itself watches only the file that the entry point stands in, not those of the functions
    and state fields that are compiled into it.
    """

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _FINGERPRINT)


def entry_point(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; the machine code is kept on disk."""
    dispatcher = numba.njit(function)
    dispatcher._cache = _EngineCache(function)
    return dispatcher


inlined: Callable[[Callable[..., Any]], Any] = numba.njit(forceinline=True)
"""Compile a function into each of its callers."""

called: Callable[[Callable[..., Any]], Any] = numba.njit
"""Compile a function that is called: for what runs once a batch, so that the code stays small.

It takes the state's address, since passing the state itself would pass hundreds of values.
"""
