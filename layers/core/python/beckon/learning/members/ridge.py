"""Sequential ridge: what follows an item that the other items of a history do not explain better."""

import numpy as np
from numpy.typing import NDArray

from beckon.learning.members.contract import Known, Tables
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows

# Beyond either the solve takes too long and too much memory for a small function.
MOST_ITEMS = 4_096
MOST_WORK = 1 << 40
# What the rows may hold in all, of 8 bytes a cell.
MOST_CELLS = 1 << 23
_PEOPLE_AT_ONCE = 2_048


def is_small_enough(known: Known) -> bool:
    """Return whether the catalogue that people met is small enough to solve for."""
    met = int(np.count_nonzero(known.degrees))
    people = len(np.unique(known.once.users))
    return 0 < met <= MOST_ITEMS and met * met * (people + 3 * met) <= MOST_WORK


def ridge(known: Known, recipe: Recipe) -> Tables:
    """Return rows B = (A + λ·diag(d^θ))⁻¹ C; none where the catalogue is too large for it.

    A [items, items]: the people who met both; C as for directed counts, undamped. B minimises ‖X B − Y‖² + penalty for
    binary histories X and decayed futures Y. Rows are truncated, by size, only where all would not fit.
    Cost: 2.7·items³ multiplications.
    Source: Choi et al., Session-aware linear item-item models, 2021, arXiv 2103.16104.
    """
    n_items = len(known.seen.ids)
    if not is_small_enough(known):
        none = np.empty(0, dtype=np.int64)
        return Tables(rows=SparseRows.from_cells(none, none, none, (n_items, n_items)))
    met = np.flatnonzero(known.degrees)
    place = np.zeros(n_items, dtype=np.int64)
    place[met] = np.arange(len(met))
    gram = _together(known, place, len(met))
    gram[np.diag_indices(len(met))] += recipe.penalty * known.degrees[met].astype(np.float64) ** recipe.penalty_power
    pairs = known.pairs(recipe)
    follows = np.zeros((len(met), len(met)), dtype=np.float32)
    follows[place[pairs.row_of_cell()], place[pairs.columns]] = pairs.values
    solved = np.linalg.solve(gram, follows)
    most = min(len(met), recipe.row_cells, max(1, MOST_CELLS // len(met)))
    if most < len(met):
        kept = np.sort(np.argpartition(-np.abs(solved), most - 1, axis=1)[:, :most], axis=1)
    else:
        kept = np.broadcast_to(np.arange(len(met)), solved.shape)
    values = np.take_along_axis(solved, kept, axis=1)
    rows = np.repeat(met, kept.shape[1])
    return Tables(rows=SparseRows.from_cells(rows, met[kept.ravel()], values.ravel(), (n_items, n_items)))


def _together(known: Known, place: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Return A, exact: whole numbers below 2²⁴."""
    gram = np.zeros((count, count), dtype=np.float32)
    _, people = np.unique(known.once.users, return_inverse=True)
    for first in range(0, int(people.max()) + 1, _PEOPLE_AT_ONCE):
        some = (people >= first) & (people < first + _PEOPLE_AT_ONCE)
        met = np.zeros((_PEOPLE_AT_ONCE, count), dtype=np.float32)
        met[people[some] - first, place[known.once.items[some]]] = 1.0
        gram += met.T @ met
    return gram
