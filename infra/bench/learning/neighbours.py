"""Popularity, and item-kNN by cosine with and without attributes, over scipy's sparse matrices."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from scipy import sparse

from infra.bench.learning.ranking import Scorer
from infra.bench.learning.task import Bools, Floats, Longs, Task

POPULARITY: tuple[Mapping[str, Any], ...] = ({},)
KNN: tuple[Mapping[str, Any], ...] = tuple(
    {"recency": recency, "shrink": shrink, "most": most}
    for shrink, recency, most in product((5, 10, 0), (0.85, 0.7, 1.0, 0.5), (1000,))
)
WITH_ATTRIBUTES: tuple[Mapping[str, Any], ...] = tuple(
    {"recency": recency, "shrink": shrink, "most": 1000, "content": content}
    for shrink, content, recency in product((5, 0), (0.2, 0.1, 0.4), (0.85, 0.7, 0.55))
)


def popularity(task: Task, mask: Bools, _: Mapping[str, Any], __: np.random.Generator) -> Iterator[Scorer]:
    """Yield how many people met each item, the same for everybody."""
    counts = task.popularity(mask)
    yield lambda places: np.tile(counts, (len(places), 1))


def knn(task: Task, mask: Bools, settings: Mapping[str, Any], _: np.random.Generator) -> Iterator[Scorer]:
    """Yield s = Σ_k ρ^k S[item_k], S_ij = |U_i ∩ U_j| / (√(|U_i|·|U_j|) + shrink), a row's strongest cells kept.

    With `content` w, S + w·F·Fᵀ where F are the items' unit rows of idf-weighted attributes.
    Source: Sarwar et al., Item-based collaborative filtering, WWW 2001; Deshpande & Karypis 2004.
    """
    cells = np.unique(task.users[mask] * task.n_items + task.items[mask])
    ones = np.ones(len(cells), dtype=np.float32)
    met = sparse.csr_matrix((ones, (cells // task.n_items, cells % task.n_items)), (task.n_users, task.n_items))
    together = (met.T @ met).tocsr()
    lengths = np.sqrt(np.maximum(np.asarray(together.diagonal()), 1))
    owner = np.repeat(np.arange(task.n_items), np.diff(together.indptr))
    together.data /= lengths[owner] * lengths[together.indices] + settings["shrink"]
    together.setdiag(0)
    alike = _strongest(together, settings["most"])
    described = _attributes(task) if "content" in settings else None

    def scorer(places: Longs) -> Floats:
        weights = _weights(task, places, settings["recency"])
        scores = np.asarray((weights @ alike).todense(), dtype=np.float32)
        if described is not None:
            scores += np.float32(settings["content"]) * (weights @ described @ described.T).toarray()
        return scores

    yield scorer


def _weights(task: Task, places: Longs, recency: float) -> Any:
    """Return ρ^k of each event of the histories as a sparse matrix [places, items]; repeats add up."""
    histories = task.histories(places)
    row, age = np.nonzero(histories >= 0)
    values = (recency**age).astype(np.float32)
    return sparse.csr_matrix((values, (row, histories[row, age])), (len(places), task.n_items))


def _strongest(matrix: Any, most: int) -> Any:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((-matrix.data, rows))
    kept = order[(np.arange(len(order)) - matrix.indptr[rows[order]] < most) & (matrix.data[order] > 0)]
    return sparse.csr_matrix((matrix.data[kept], (rows[kept], matrix.indices[kept])), matrix.shape)


def _attributes(task: Task) -> Any:
    rows = np.repeat(np.arange(task.n_items), np.diff(task.token_starts))
    frequency = np.bincount(task.tokens)
    idf = np.log(task.n_items / np.maximum(frequency, 1)).astype(np.float32)
    found = sparse.csr_matrix((idf[task.tokens], (rows, task.tokens)), (task.n_items, len(frequency)))
    lengths = np.sqrt(np.asarray(found.multiply(found).sum(axis=1))).ravel()
    return (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ found).astype(np.float32).tocsr()
