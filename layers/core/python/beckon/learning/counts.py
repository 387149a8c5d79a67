"""Directed counts: how often item j followed item i, each ordered pair once a person, in whole numbers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.recipe import Recipe
from beckon.learning.sparse import Longs, SparseRows, stable_order

FIXED_POINT = 1 << 20
# What one person's pairs may add up to, about 36 different items' worth: nobody speaks louder, however busy.
MOST_SAID = 200
PAIRS_AT_ONCE = 1 << 21


def directed_counts(users: NDArray[Any], items: NDArray[Any], n_items: int, recipe: Recipe) -> tuple[Longs, Longs]:
    """Return the cells (i·n + j, ascending) and counts of T[i,j] = Σ_u max{ρ_C^(q−p−1) : p < q, i_p = i, i_q = j}.

    A pair counts once a person, at its strongest, so that a loop of two items is worth no more than one visit; and
    all of a person's pairs are scaled down together where they add up to more than 200.
    Counts are int64 in units of 2⁻²⁰: a person's cells can be subtracted again without a trace.

    Args: users [events], ascending; items [events], each person's oldest first.
    Cost: O(events × pair_window) time; memory is bounded by merging every ~2 M pairs, like with like.
    """
    weights = np.rint(FIXED_POINT * recipe.pair_decay ** np.arange(recipe.pair_window)).astype(np.int64)
    merged: list[tuple[Longs, Longs]] = []
    for first, last in _chunks(users, recipe.pair_window):
        merged.append(_count_chunk(users[first:last], items[first:last].astype(np.int64), n_items, weights))
        while len(merged) > 1 and len(merged[-2][0]) <= 2 * len(merged[-1][0]):
            merged.append(_merge(merged.pop(), merged.pop()))
    while len(merged) > 1:
        merged.append(_merge(merged.pop(), merged.pop()))
    return merged[0] if merged else (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def both_ways(cells: Longs, counts: Longs, n_items: int, backward: float) -> SparseRows:
    """Return C = T + b·Tᵀ [items, items]."""
    rows, columns = cells // n_items, cells % n_items
    order = stable_order(columns)  # turned round and still ascending, since two sorted lists are soon merged
    turned, against = (columns * n_items + rows)[order], np.rint(counts * backward).astype(np.int64)[order]
    cells, counts = _sum_cells(np.concatenate((cells, turned)), np.concatenate((counts, against)))
    cells, counts = cells[counts > 0], counts[counts > 0]
    return SparseRows.from_cells(cells // n_items, cells % n_items, counts / FIXED_POINT, (n_items, n_items))


def transition_rows(cells: Longs, counts: Longs, degrees: NDArray[Any], recipe: Recipe) -> SparseRows:
    """Return M = D^(−a) C D^(−c) [items, items], C = T + b·Tᵀ; rows are kept to their strongest."""
    return damped(both_ways(cells, counts, len(degrees), recipe.backward), degrees, recipe)


def damped(pairs: SparseRows, degrees: NDArray[Any], recipe: Recipe) -> SparseRows:
    """Return D^(−a) C D^(−c) of counts C, d_j at least ½; rows are kept to their strongest.

    a = c = ½ on undirected counts (b = 1) is the cosine of item vectors.
    """
    floored = np.maximum(degrees.astype(np.float64), 0.5)
    source = np.repeat(floored**-recipe.source_power, pairs.lengths)
    values = pairs.values * source * (floored**-recipe.target_power)[pairs.columns]
    return replace(pairs, values=values.astype(np.float32)).strongest(recipe.row_cells)


def row_scale(rows: SparseRows, degrees: NDArray[Any], top: int = 10) -> float:
    """Return σ, the size of a strong collaborative score: the median over events of their item's mean top-10 cell.

    Derived from the matrix, not from people's scores, so that erasing a person by subtraction gives what retraining
    without them would. 1 if there is no cell.
    """
    if not len(rows.columns):
        return 1.0
    means = np.zeros(len(degrees))
    for row in np.flatnonzero((rows.lengths > 0) & (degrees > 0)).tolist():
        cells = rows.values[rows.starts[row] : rows.starts[row + 1]]
        means[row] = (cells if len(cells) <= top else np.partition(cells, -top)[-top:]).sum(dtype=np.float64) / top
    order = np.argsort(means, kind="stable")
    heaped = np.cumsum(np.where(rows.lengths[order] > 0, degrees[order], 0).astype(np.float64))
    middle = int(np.searchsorted(heaped, heaped[-1] / 2))
    found = float(means[order][middle])
    return found if found > 0 else 1.0


def _count_chunk(users: NDArray[Any], items: Longs, n_items: int, weights: Longs) -> tuple[Longs, Longs]:
    """Return one chunk of people's cells, each pair once a person."""
    people = np.cumsum(np.concatenate(([0], users[1:] != users[:-1]))).astype(np.int64)
    pairs, values = [], []
    for step in range(1, min(len(weights), len(items) - 1) + 1):
        near = np.flatnonzero(people[step:] == people[:-step])
        if not len(near):
            break  # nobody has so long a history
        pairs.append((people[near] * n_items + items[near]) * n_items + items[near + step])
        values.append(np.full(len(near), weights[step - 1]))
    if not pairs:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    once, strongest = np.unique(np.concatenate(pairs), return_index=True)  # the first is the nearest, so the strongest
    said, owner = np.concatenate(values)[strongest], once // (n_items * n_items)
    share = np.minimum(1.0, MOST_SAID * FIXED_POINT / np.bincount(owner, weights=said)[owner])
    return _sum_cells(once % (n_items * n_items), np.rint(said * share).astype(np.int64))


def _merge(one: tuple[Longs, Longs], other: tuple[Longs, Longs]) -> tuple[Longs, Longs]:
    """Return the cells of both with their summed counts."""
    return _sum_cells(np.concatenate((one[0], other[0])), np.concatenate((one[1], other[1])))


def _sum_cells(cells: Longs, counts: Longs) -> tuple[Longs, Longs]:
    """Return distinct cells, ascending, with their summed counts."""
    if not len(cells):
        return cells, counts
    order = np.argsort(cells, kind="stable")
    cells, counts = cells[order], counts[order]
    firsts = np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1])))
    return cells[firsts], np.add.reduceat(counts, firsts)


def _chunks(users: NDArray[Any], window: int) -> Iterator[tuple[int, int]]:
    """Yield [first, last) ranges of whole people with about `PAIRS_AT_ONCE` pairs each."""
    if not len(users):
        return
    firsts = np.concatenate((np.flatnonzero(np.concatenate(([True], users[1:] != users[:-1]))), [len(users)]))
    lengths = np.diff(firsts)
    pairs = np.cumsum(lengths * np.minimum(lengths, window))
    begin = 0
    while begin < len(lengths):
        done = pairs[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, side="right")))
        yield int(firsts[begin]), int(firsts[end])
        begin = end
