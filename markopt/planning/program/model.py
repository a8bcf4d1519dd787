"""A linear model with integer columns as sparse arrays, grown block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SparseModel:
    """min cost.x + offset, row_lower <= A x <= row_upper, lower <= x <= upper; A row by row (CSR).

    ``blocks`` names consecutive columns and rows: (name, first, shape).
    """

    cost: Array
    lower: Array
    upper: Array
    integer: NDArray[np.bool_]
    row_lower: Array
    row_upper: Array
    starts: Indices
    columns: Indices
    values: Array
    offset: float
    column_blocks: tuple[tuple[str, int, tuple[int, ...]], ...]
    row_blocks: tuple[tuple[str, int, int], ...]

    def rows_of(self, name: str) -> Indices:
        """Return the rows of the blocks of that name."""
        spans = [np.arange(at, at + count) for block, at, count in self.row_blocks if block == name]
        return np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)

    def entries(self, rows: Indices) -> tuple[Indices, Indices, Array]:
        """Return starts, columns and values of some rows as a CSR matrix of their own."""
        first, count = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(count)])
        at = np.arange(int(starts[-1])) + np.repeat(first - starts[:-1], count)
        return starts, self.columns[at], self.values[at]

    def column_names(self) -> list[str]:
        """Return a name per column, such as ``launch[0,3]``."""
        names: list[str] = []
        for name, _, shape in self.column_blocks:
            names += [f"{name}[{','.join(map(str, at))}]" for at in np.ndindex(*shape)]
        return names

    def row_names(self) -> list[str]:
        """Return a name per row, such as ``ramp[12]``."""
        return [f"{name}[{at}]" for name, _, count in self.row_blocks for at in range(count)]


class ModelBuilder:
    """Collects columns and rows by block; ``build`` sorts them into one SparseModel."""

    def __init__(self) -> None:
        self._columns: list[tuple[Array, Array, Array, NDArray[np.bool_]]] = []
        self._column_blocks: list[tuple[str, int, tuple[int, ...]]] = []
        self._column_count = 0
        self._entries: list[tuple[Indices, Indices, Array]] = []
        self._row_bounds: list[tuple[Array, Array]] = []
        self._row_blocks: list[tuple[str, int, int]] = []
        self._row_count = 0

    def add_columns(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        cost: Any = 0.0,
        lower: Any = 0.0,
        upper: Any = np.inf,
        integer: Any = False,
    ) -> Indices:
        """Add a block of columns; arguments broadcast to ``shape``. Return their indices."""
        size = int(np.prod(shape))
        spread = [np.broadcast_to(part, shape).ravel() for part in (cost, lower, upper, integer)]
        self._columns.append((spread[0], spread[1], spread[2], spread[3].astype(bool)))
        self._column_blocks.append((name, self._column_count, shape))
        first = self._column_count
        self._column_count += size
        return np.arange(first, first + size, dtype=np.int64).reshape(shape)

    def add_rows(self, name: str, count: int, *, lower: Any = -np.inf, upper: Any = np.inf) -> int:
        """Add a block of empty rows; bounds broadcast. Return the index of the first."""
        first = self._row_count
        self._row_bounds.append(
            (
                np.broadcast_to(np.asarray(lower, dtype=np.float64), (count,)),
                np.broadcast_to(np.asarray(upper, dtype=np.float64), (count,)),
            )
        )
        self._row_blocks.append((name, first, count))
        self._row_count += count
        return first

    def put(self, rows: Any, columns: Any, values: Any) -> None:
        """Set coefficients; the arguments broadcast. Set each place once."""
        parts = [np.asarray(rows), np.asarray(columns), np.asarray(values, dtype=np.float64)]
        shape = np.broadcast_shapes(*(part.shape for part in parts))
        spread = [part if part.shape == shape else np.broadcast_to(part, shape) for part in parts]
        self._entries.append((spread[0].ravel(), spread[1].ravel(), spread[2].ravel()))

    def build(self, offset: float = 0.0) -> SparseModel:
        """Return the model."""
        rows, columns, values = (
            np.concatenate([entry[part] for entry in self._entries]) for part in range(3)
        )
        order = np.argsort(rows, kind="stable")
        starts = np.zeros(self._row_count + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=self._row_count), out=starts[1:])
        cost, lower, upper, integer = (
            np.concatenate([column[part] for column in self._columns]) for part in range(4)
        )
        return SparseModel(
            cost=cost.astype(np.float64),
            lower=lower.astype(np.float64),
            upper=upper.astype(np.float64),
            integer=integer.astype(bool),
            row_lower=np.concatenate([bounds[0] for bounds in self._row_bounds]),
            row_upper=np.concatenate([bounds[1] for bounds in self._row_bounds]),
            starts=starts,
            columns=columns[order],
            values=values[order],
            offset=offset,
            column_blocks=tuple(self._column_blocks),
            row_blocks=tuple(self._row_blocks),
        )
