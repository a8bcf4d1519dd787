"""Hand the kernel raw views of its arrays: views without an owner need no reference counts.

Compiled code that received the arrays themselves would count references at every access, which
costs ten times the simulation. The caller (``RequestEngine``) owns the arrays and outlives each
call, so that plain pointers are safe.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from markopt.engine.state import EngineState


def _pointer_intrinsic(element: Any) -> Any:
    @intrinsic
    def as_pointer(typing_context: Any, address: Any) -> Any:
        """Reinterpret an integer address as a pointer to elements."""
        pointer = types.CPointer(element)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return as_pointer


_to_float64 = _pointer_intrinsic(types.float64)
_to_int64 = _pointer_intrinsic(types.int64)
_to_int32 = _pointer_intrinsic(types.int32)
_to_int8 = _pointer_intrinsic(types.int8)

_FIELDS = len(EngineState._fields)


def address_table(state: EngineState) -> NDArray[np.int64]:
    """Return, for each field of ``state``, its address and its first and last dimension."""
    table = np.zeros((_FIELDS, 3), dtype=np.int64)
    for row, name in enumerate(EngineState._fields):
        array = getattr(state, name)
        if not array.flags.c_contiguous:
            raise ValueError(f"EngineState: field {name} must be C-contiguous")
        table[row] = array.ctypes.data, array.shape[0], array.shape[-1]
    return table


@numba.njit(cache=True, inline="always")
def _f1(table, row):
    return numba.carray(_to_float64(table[row, 0]), (table[row, 1],))


@numba.njit(cache=True, inline="always")
def _f2(table, row):
    return numba.carray(_to_float64(table[row, 0]), (table[row, 1], table[row, 2]))


@numba.njit(cache=True, inline="always")
def _l1(table, row):
    return numba.carray(_to_int64(table[row, 0]), (table[row, 1],))


@numba.njit(cache=True, inline="always")
def _l2(table, row):
    return numba.carray(_to_int64(table[row, 0]), (table[row, 1], table[row, 2]))


@numba.njit(cache=True, inline="always")
def _i1(table, row):
    return numba.carray(_to_int32(table[row, 0]), (table[row, 1],))


@numba.njit(cache=True, inline="always")
def _i2(table, row):
    return numba.carray(_to_int32(table[row, 0]), (table[row, 1], table[row, 2]))


@numba.njit(cache=True, inline="always")
def _b1(table, row):
    return numba.carray(_to_int8(table[row, 0]), (table[row, 1],))


@numba.njit(cache=True, inline="always")
def attach(table):
    """Return the state whose arrays lie where ``table`` says (see ``address_table``)."""
    return EngineState(
        _f1(table, 0),
        _l1(table, 1),
        _i1(table, 2),
        _f1(table, 3),
        _f1(table, 4),
        _i1(table, 5),
        _i1(table, 6),
        _i1(table, 7),
        _f1(table, 8),
        _f2(table, 9),
        _l2(table, 10),
        _i1(table, 11),
        _f1(table, 12),
        _f2(table, 13),
        _f1(table, 14),
        _f1(table, 15),
        _f2(table, 16),
        _i2(table, 17),
        _i1(table, 18),
        _f1(table, 19),
        _f1(table, 20),
        _f1(table, 21),
        _l1(table, 22),
        _l1(table, 23),
        _l1(table, 24),
        _l1(table, 25),
        _l1(table, 26),
        _l2(table, 27),
        _f1(table, 28),
        _b1(table, 29),
    )
