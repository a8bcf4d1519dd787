"""Array field types that freeze, validate and serialise themselves."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator


def frozen_floats(values: Any) -> NDArray[np.float64]:
    """Return a read-only float64 copy of ``values``."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def frozen_integers(values: Any) -> NDArray[np.int64]:
    """Return a read-only int64 copy of ``values``; fractions are refused."""
    array = np.asarray(values)
    if array.dtype == np.int64:  # what observations are made of, several times a minute
        copied = array.copy()
        copied.setflags(write=False)
        return copied
    whole = np.issubdtype(array.dtype, np.integer)
    rounded = np.array(array if whole else np.rint(array), dtype=np.int64)
    if not whole and array.size and not np.allclose(array, rounded, atol=1e-6):
        raise ValueError(f"expected whole numbers, got {array.tolist()}")
    rounded.setflags(write=False)
    return rounded


def _as_list(array: NDArray[Any]) -> Any:
    return array.tolist()


Floats = Annotated[NDArray[np.float64], PlainValidator(frozen_floats), PlainSerializer(_as_list)]
Integers = Annotated[NDArray[np.int64], PlainValidator(frozen_integers), PlainSerializer(_as_list)]
