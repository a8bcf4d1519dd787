"""Hand the kernel plain pointers to its arrays.

Compiled code that received the arrays themselves would count references and check for negative
indices at every access, which costs ten times the simulation and minutes of compilation. The caller
(``RequestEngine``) owns the arrays and outlives each call, so that plain pointers are safe.
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

_ARRAYS = EngineState._fields[:-1]


def address_table(state: EngineState) -> NDArray[np.int64]:
    """Return the address of each array of ``state``, shape (fields,)."""
    table = np.zeros(len(_ARRAYS), dtype=np.int64)
    for row, name in enumerate(_ARRAYS):
        array = getattr(state, name)
        if not array.flags.c_contiguous:
            raise ValueError(f"EngineState: field {name} must be C-contiguous")
        table[row] = array.ctypes.data
    return table


@numba.njit(forceinline=True)
def attach(address):
    """Return the state as pointers, from the address of its table (see ``address_table``).

    Rows of arrays with two axes lie one after the other: the first axis' stride is theirs to know.
    """
    table = _to_int64(address)
    return EngineState(
        _to_float64(table[0]),
        _to_int64(table[1]),
        _to_int32(table[2]),
        _to_float64(table[3]),
        _to_float64(table[4]),
        _to_int32(table[5]),
        _to_int32(table[6]),
        _to_int32(table[7]),
        _to_float64(table[8]),
        _to_float64(table[9]),
        _to_int64(table[10]),
        _to_float64(table[11]),
        _to_float64(table[12]),
        _to_int32(table[13]),
        _to_int32(table[14]),
        _to_int32(table[15]),
        _to_float64(table[16]),
        _to_float64(table[17]),
        _to_float64(table[18]),
        _to_float64(table[19]),
        _to_float64(table[20]),
        _to_float64(table[21]),
        _to_float64(table[22]),
        _to_float64(table[23]),
        _to_int32(table[24]),
        _to_int32(table[25]),
        _to_int32(table[26]),
        _to_float64(table[27]),
        _to_int32(table[28]),
        _to_int32(table[29]),
        _to_int32(table[30]),
        _to_float64(table[31]),
        _to_float64(table[32]),
        _to_float64(table[33]),
        _to_int64(table[34]),
        _to_int64(table[35]),
        _to_int64(table[36]),
        _to_int64(table[37]),
        _to_int64(table[38]),
        _to_int32(table[39]),
        _to_float64(table[40]),
        _to_int8(table[41]),
        _to_float64(table[42]),
        _to_float64(table[43]),
        _to_float64(table[44]),
        _to_int64(table[45]),
        _to_int32(table[46]),
        _to_int32(table[47]),
        address,
    )
