"""A fitted model, and its scores in plain numpy: what the exported graph must equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.chances import Calibration
from beckon.learning.content import Content, content_of
from beckon.learning.counts import row_scale
from beckon.learning.members.contract import Known
from beckon.learning.members.ensemble import blended_rows
from beckon.learning.members.trending import trend_of
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Floats, SparseRows

SCORE_CELLS = 1 << 22
# Rows as full as this score faster as a dense matrix, where that is small.
DENSE_ITEMS = 4_096
DENSE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that scores.

    `ids` the items in index order; `rows` M [items, items]; `content` F and its dense space; `trend` [items] in 0..1;
    `scale` σ; `calibration` of probabilities, None until there is enough to fit it.
    """

    ids: tuple[str, ...]
    rows: SparseRows
    content: Content
    trend: Floats
    scale: float
    recipe: Recipe
    calibration: Calibration | None = None

    @property
    def content_scale(self) -> float:
        """Return w·σ: what one newest event of perfectly alike content, or a need, adds to a score."""
        return self.recipe.content * self.scale

    @property
    def repeat_scale(self) -> float:
        """Return r·σ: what the newest event adds to its own item, beyond how often that item was met again."""
        return self.recipe.repeat * self.scale

    @property
    def prior(self) -> Floats:
        """Return π·σ·trend: what an item has before anything is known of the person."""
        return (self.recipe.prior * self.scale * self.trend).astype(np.float32)

    def with_recipe(self, recipe: Recipe) -> "Model":
        """Return the model under a recipe that differs only in what is applied after counting (ρ, γ, w, π)."""
        return replace(self, recipe=recipe)


def fit(sequences: Sequences, content: Content, recipe: Recipe) -> Model:
    """Return the ensemble fitted on `sequences` by a recipe.

    s_j = Σ_k (v_k·M[h_k, j] + w·σ·v_k^γ·F[h_k]·F[j] + v_k²·r·σ·[h_k = j]) + π·σ·trend_j, v_k = weight_k·ρ^k and k = 0
    for the newest event; M is the members' rows together.
    Own items fade with the square, so that no number of earlier visits overtakes the item met last (ρ² < ½).
    d_j counts people, not events, so that nobody can talk an item up or down by repetition.
    """
    return fit_known(Known.of(sequences, content, recipe.user_events), recipe)


def fit_known(known: Known, recipe: Recipe) -> Model:
    """Return the same as `fit`, with what an earlier fit on the same events worked out."""
    rows = blended_rows(known, recipe)
    trend = trend_of(known.once, recipe)
    return Model(known.seen.ids, rows, known.content, trend, row_scale(rows, known.degrees), recipe)


def describe(ids: Sequence[str], tokens: Mapping[str, Sequence[str]], recipe: Recipe) -> Content:
    """Return the content of the model's items under a recipe."""
    return content_of(ids, tokens, recipe.dense)


@dataclass(frozen=True, slots=True)
class Histories:
    """Whom to score: `items` [users, L] newest first, −1 pads, and `weights` [users, L] before recency."""

    items: NDArray[np.int64]
    weights: Floats

    def rows(self, first: int, last: int) -> "Histories":
        """Return some of the users."""
        return Histories(self.items[first:last], self.weights[first:last])


def collaborative(model: Model, histories: Histories) -> Floats:
    """Return Σ_k weight_k·ρ^k·M[h_k] [users, items], weights of `histories` and recency of the recipe applied."""
    users, places, weights = _flat(model, histories)
    n_items = len(model.ids)
    if n_items <= DENSE_ITEMS and len(model.rows.columns) > DENSE_SHARE * n_items**2:
        matrix = np.zeros((n_items, n_items), dtype=np.float32)
        matrix[model.rows.row_of_cell(), model.rows.columns] = model.rows.values
        weighed = np.zeros((len(histories.items), n_items), dtype=np.float32)
        np.add.at(weighed, (users, histories.items[users, places]), weights)
        return weighed @ matrix
    owner, cells = model.rows.cells_of(histories.items[users, places])
    targets = users[owner] * len(model.ids) + model.rows.columns[cells]
    terms = model.rows.values[cells] * weights[owner]
    size = len(histories.items) * len(model.ids)
    return np.bincount(targets, weights=terms, minlength=size).reshape(-1, len(model.ids)).astype(np.float32)


def of_own(model: Model, histories: Histories) -> Floats:
    """Return Σ_k v_k·|v_k| at h_k itself [users, items], v_k = weight_k·ρ^k, not yet scaled by r·σ."""
    users, places, weights = _flat(model, histories)
    own = np.zeros((len(histories.items), len(model.ids)), dtype=np.float32)
    np.add.at(own, (users, histories.items[users, places]), weights * np.abs(weights))
    return own


def by_content(model: Model, histories: Histories) -> Floats:
    """Return Σ_k v_k^γ·F[h_k]·Fᵀ [users, items], v_k = weight_k·ρ^k, not yet scaled by w·σ; v^γ keeps v's sign."""
    content, size = model.content, (len(histories.items), len(model.ids))
    users, places, weights = _flat(model, histories)
    weights = np.sign(weights) * np.abs(weights) ** np.float32(model.recipe.taste)
    owner, cells = content.rows.cells_of(histories.items[users, places])
    tokens, values, users = content.rows.columns[cells], content.rows.values[cells] * weights[owner], users[owner]
    column = np.searchsorted(content.common, tokens)
    is_common = np.isin(tokens, content.common)
    taste = np.zeros((size[0], len(content.common)), dtype=np.float32)
    np.add.at(taste, (users[is_common], column[is_common]), values[is_common])
    owner, cells = content.postings.cells_of(tokens)
    targets = users[owner] * size[1] + content.postings.columns[cells]
    terms = content.postings.values[cells] * values[owner]
    rare = np.bincount(targets, weights=terms, minlength=size[0] * size[1]).reshape(size)
    return taste @ content.common_values + rare.astype(np.float32)


def scores(model: Model, histories: Histories, need: NDArray[Any] | None = None) -> Floats:
    """Return the score of every item for every user [users, items]; `need` [users, D] in the dense space."""
    total = collaborative(model, histories) + np.float32(model.content_scale) * by_content(model, histories)
    total += model.prior
    if model.recipe.repeat:
        total += np.float32(model.repeat_scale) * of_own(model, histories)
    if need is not None:
        total = total + np.float32(model.content_scale) * (need.astype(np.float32) @ model.content.dense.T)
    return total.astype(np.float32)


def users_at_once(model: Model) -> int:
    """Return how many users to score together, so that a block of scores stays within some tens of MiB."""
    return max(1, SCORE_CELLS // max(1, len(model.ids)))


def _flat(model: Model, histories: Histories) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    users, places = np.nonzero(histories.items >= 0)
    weights = histories.weights[users, places] * model.recipe.recency**places
    return users, places, weights.astype(np.float32)
