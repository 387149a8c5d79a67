"""What items are: idf-weighted tokens, exact, and the dense space that newer items and needs share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.sparse import Floats, Longs, SparseRows

ITEM_TOKENS = 64
VOCABULARY = 50_000
DECIMALS = 5
EXACT_TOKENS = 1_500
EXACT_PAIRS = 10_000_000
# Tokens that more than one item in 128 has are common, the 64 most frequent at most.
COMMON_SHARE = 128
COMMON_TOKENS = 64
_SPARE = 16
_ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class Content:
    """F, dense vectors and the dense space.

    `rows` F [items, tokens], each row of unit length (or empty); `vocabulary` the tokens, sorted, and `idf` their
    weights; `directions` V [tokens, D]; `dense` E = F V [items, D]. D is at least 1.

    F once more, by token, as scoring reads it: the `common` tokens, that so many items have that a column of a dense
    table is cheaper than a list, as `common_values` [common, items]; all others as `postings` [tokens, items].
    """

    rows: SparseRows
    vocabulary: tuple[str, ...]
    idf: NDArray[np.float64]
    directions: NDArray[np.float64]
    dense: Floats
    common: Longs
    common_values: Floats
    postings: SparseRows


def content_of(ids: Sequence[str], tokens: Mapping[str, Sequence[str]], dense: int) -> Content:
    """Return the content of items `ids`, of which `tokens` has some; idf = ln(n/df) over the items that have any.

    A token that every item has says nothing and is left out; an item keeps its 64 rarest tokens. V are the leading
    right singular vectors of F, signs fixed, rounded so that a stored direction and a used one are the same.
    """
    described = [tokens.get(one, ()) for one in ids]
    frequency = Counter(token for found in described for token in found)
    n_described = max(1, sum(1 for found in described if found))
    ranked = sorted((t for t, df in frequency.items() if df < n_described), key=lambda t: (-frequency[t], t))
    vocabulary = tuple(sorted(ranked[:VOCABULARY]))
    place = {token: index for index, token in enumerate(vocabulary)}
    idf = np.log(n_described / np.array([frequency[token] for token in vocabulary], dtype=np.float64))
    owners: list[int] = []
    columns: list[int] = []
    for index, found in enumerate(described):
        known = sorted((place[token] for token in found if token in place), key=lambda t: (-idf[t], t))[:ITEM_TOKENS]
        owners += [index] * len(known)
        columns += sorted(known)
    owner, column = np.array(owners, dtype=np.int64), np.array(columns, dtype=np.int64)
    norms = np.sqrt(np.bincount(owner, weights=idf[column] ** 2, minlength=len(ids)))
    rows = SparseRows.from_cells(owner, column, idf[column] / norms[owner], (len(ids), len(vocabulary)))
    directions = np.round(leading_directions(rows, dense), DECIMALS) + 0.0  # no negative zeros
    return Content(rows, vocabulary, idf, directions, rows.times(directions.astype(np.float32)), *_by_token(rows))


def leading_directions(rows: SparseRows, most: int) -> NDArray[np.float64]:
    """Return V [width, D], the leading right singular vectors of `rows`, strongest first; D = min(most, rank) ≥ 1.

    Few tokens exactly, as eigenvectors of FᵀF; many by subspace iteration from a fixed start. Each
    vector's largest component is positive, so that the same data give the same signs.
    Source: Halko, Martinsson & Tropp, Finding structure with randomness, 2011, arXiv 0909.4061.
    """
    width, pairs = rows.width, int((rows.lengths**2).sum())
    if not len(rows.columns):
        return np.zeros((width, 1))
    if width <= EXACT_TOKENS and pairs <= EXACT_PAIRS:
        squares, vectors = np.linalg.eigh(_gram(rows))
        strengths, basis = np.sqrt(np.maximum(squares[::-1], 0)), vectors[:, ::-1]
    else:
        turned = rows.transposed()
        basis = np.random.default_rng(0).standard_normal((width, min(most + _SPARE, len(rows.starts) - 1, width)))
        for _ in range(_ITERATIONS):
            basis, _ = np.linalg.qr(turned.times(rows.times(basis)))
        _, strengths, inner = np.linalg.svd(rows.times(basis), full_matrices=False)
        basis = basis @ inner.T
    kept = max(1, min(most, int(np.sum(strengths > strengths[0] * 1e-6))))
    basis = basis[:, :kept]
    largest = basis[np.argmax(np.abs(np.round(basis, DECIMALS)), axis=0), np.arange(basis.shape[1])]
    return basis * np.where(largest < 0, -1.0, 1.0)


def _gram(rows: SparseRows) -> NDArray[np.float64]:
    """Return FᵀF [width, width], from the pairs of cells that share a row."""
    owner, other = rows.cells_of(rows.row_of_cell())
    places = rows.columns[owner].astype(np.int64) * rows.width + rows.columns[other]
    terms = rows.values[owner].astype(np.float64) * rows.values[other]
    return np.bincount(places, weights=terms, minlength=rows.width**2).reshape(rows.width, rows.width)


def _by_token(rows: SparseRows) -> tuple[Longs, Floats, SparseRows]:
    """Return the common tokens, their columns as rows of a table, and the items of every other token."""
    n_items = len(rows.starts) - 1
    turned = rows.transposed()
    often = np.argsort(-turned.lengths, kind="stable")[:COMMON_TOKENS]
    common = np.sort(often[turned.lengths[often] * COMMON_SHARE > n_items])
    token = turned.row_of_cell()
    is_common = np.isin(token, common)
    table = np.zeros((len(common), n_items), dtype=np.float32)
    table[np.searchsorted(common, token[is_common]), turned.columns[is_common]] = turned.values[is_common]
    rare = ~is_common
    postings = SparseRows.from_cells(token[rare], turned.columns[rare], turned.values[rare], (rows.width, n_items))
    return common, table, postings


def cosines(vector: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return u·v_j / (‖u‖ ‖v_j‖) for vector u [D] and rows v_j of others [n, D]; 0 where either has no length."""
    dots = others.astype(np.float64) @ vector.astype(np.float64)
    lengths = np.linalg.norm(others.astype(np.float64), axis=1) * np.linalg.norm(vector.astype(np.float64))
    return np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
