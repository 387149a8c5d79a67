"""Dense embeddings of what people did: near items, also those that nobody met together."""

import numpy as np

from beckon.learning.content import leading_directions
from beckon.learning.members.contract import Known, Tables
from beckon.learning.members.cosine import cosine
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import Floats, SparseRows

NEIGHBOURS = 100
NOISE = 1e-4  # an item of which the kept directions hold no more has no place among them
_ITEMS_AT_ONCE = 1_024


def low_rank(known: Known, recipe: Recipe) -> Tables:
    """Return dense E [items, D] of unit rows (none for items nobody met), and rows: each item's 100 nearest by E_i·E_j.

    E are the leading directions of I + K, K the cosines of who met both, scaled by the roots of their strengths.
    """
    rows = cosine(known, recipe).rows
    n_items = len(known.seen.ids)
    if rows is None or not len(rows.columns):
        none = np.empty(0, dtype=np.int64)
        return Tables(
            SparseRows.from_cells(none, none, none, (n_items, n_items)), dense=np.zeros((n_items, 1), np.float32)
        )
    basis = leading_directions(_with_diagonal(rows), recipe.rank)
    image = basis + rows.times(basis)
    strengths = np.sqrt(np.maximum(np.einsum("ij,ij->j", basis, image), 0.0))
    dense = (basis * strengths).astype(np.float32)
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    known_items = (known.degrees > 0)[:, None] & (lengths > NOISE)
    dense = np.divide(dense, lengths, out=np.zeros_like(dense), where=known_items)
    return Tables(_nearest(dense, np.flatnonzero(known_items[:, 0])), dense=dense)


def _with_diagonal(rows: SparseRows) -> SparseRows:
    own = np.arange(rows.width)
    owner, columns = np.concatenate((rows.row_of_cell(), own)), np.concatenate((rows.columns, own))
    values = np.concatenate((rows.values, np.ones(rows.width, dtype=np.float32)))
    order = np.lexsort((columns, owner))
    return SparseRows.from_cells(owner[order], columns[order], values[order], (rows.width, rows.width))


def _nearest(dense: Floats, known_items: np.ndarray) -> SparseRows:
    """Return each known item's nearest others, positive likeness only."""
    n_items, most = len(dense), min(NEIGHBOURS, len(known_items) - 1)
    owners, columns, values = [], [], []
    others = dense[known_items]
    for first in range(0, len(known_items) if most > 0 else 0, _ITEMS_AT_ONCE):
        block = known_items[first : first + _ITEMS_AT_ONCE]
        alike = dense[block] @ others.T
        alike[np.arange(len(block)), np.arange(first, first + len(block))] = -1.0
        best = np.sort(np.argpartition(-alike, most - 1, axis=1)[:, :most], axis=1)
        found = np.take_along_axis(alike, best, axis=1)
        row, column = np.nonzero(found > 0)
        owners.append(block[row])
        columns.append(known_items[best[row, column]])
        values.append(found[row, column])
    if not owners:
        none = np.empty(0, dtype=np.int64)
        return SparseRows.from_cells(none, none, none, (n_items, n_items))
    return SparseRows.from_cells(
        np.concatenate(owners), np.concatenate(columns), np.concatenate(values), (n_items, n_items)
    )
