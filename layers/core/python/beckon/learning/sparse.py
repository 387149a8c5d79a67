"""Sparse rows in numpy alone, because the data layer has no scipy."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

type Ints = NDArray[np.int32]
type Longs = NDArray[np.int64]
type Floats = NDArray[np.float32]
type Bools = NDArray[np.bool_]

BLOCK_CELLS = 1 << 23


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix [rows, width] by its cells: row i is `columns/values[starts[i]:starts[i+1]]`, columns ascending."""

    starts: Longs
    columns: Ints
    values: Floats
    width: int

    @classmethod
    def from_cells(
        cls, rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]
    ) -> Self:
        """Return the matrix with these cells, which are distinct and sorted by row, then column."""
        starts = np.zeros(shape[0] + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=shape[0]), out=starts[1:])
        return cls(starts, columns.astype(np.int32), values.astype(np.float32), shape[1])

    @property
    def lengths(self) -> Longs:
        """Return the number of cells of each row."""
        return np.diff(self.starts)

    def row_of_cell(self) -> Longs:
        """Return the row of every cell."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)

    def transposed(self) -> "SparseRows":
        """Return the matrix with rows and columns exchanged."""
        order = stable_order(self.columns)
        return SparseRows.from_cells(
            self.columns[order], self.row_of_cell()[order], self.values[order], (self.width, len(self.starts) - 1)
        )

    def times(self, dense: NDArray[Any]) -> NDArray[Any]:
        """Return matrix @ dense, [rows, width] × [width, n]; n is cut into blocks so that memory stays bounded."""
        out = np.zeros((len(self.starts) - 1, dense.shape[1]), dtype=dense.dtype)
        filled = np.flatnonzero(self.lengths)
        if not len(filled):
            return out
        step = max(1, BLOCK_CELLS // len(self.columns))
        for first in range(0, dense.shape[1], step):
            block = np.ascontiguousarray(dense[:, first : first + step])
            terms = block[self.columns] * self.values[:, None].astype(dense.dtype)
            out[filled, first : first + step] = np.add.reduceat(terms, self.starts[filled], axis=0)
        return out

    def strongest(self, most: int) -> "SparseRows":
        """Return the matrix with at most the `most` largest cells of each row (ties: the lower column stays).

        Cost: a partition of each row that is longer; nothing is sorted.
        """
        longer = np.flatnonzero(self.lengths > most).tolist()
        if not longer:
            return self
        kept = np.ones(len(self.columns), dtype=np.bool_)
        for row in longer:
            cells = slice(self.starts[row], self.starts[row + 1])
            values = self.values[cells]
            floor = np.partition(values, len(values) - most)[len(values) - most]
            stays = values > floor
            stays[np.flatnonzero(values == floor)[: most - np.count_nonzero(stays)]] = True
            kept[cells] = stays
        starts = np.concatenate(([0], np.cumsum(np.minimum(self.lengths, most))))
        return SparseRows(starts, self.columns[kept], self.values[kept], self.width)

    def cells_of(self, rows: NDArray[Any]) -> tuple[Longs, Longs]:
        """Return, for the cells of the given rows one after another, (place in `rows`, place in `columns`)."""
        lengths = self.lengths[rows]
        owner = np.repeat(np.arange(len(rows)), lengths)
        before = np.cumsum(lengths) - lengths
        return owner, np.arange(len(owner)) - before[owner] + self.starts[rows][owner]


def stable_order(indices: NDArray[Any]) -> Longs:
    """Return the places of indices (0 ≤ index < 2³²) in ascending order, equal ones as they come.

    By 16 bits at a time, which numpy sorts by radix and not by comparing.
    """
    order = np.argsort((indices & 0xFFFF).astype(np.uint16), kind="stable")
    high = (indices >> 16).astype(np.uint16)
    if not len(high) or not high.any():
        return order
    return order[np.argsort(high[order], kind="stable")]
