"""A fitted model, and its scores in plain numpy: what the exported graph must equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.chances import Calibration
from beckon.learning.content import Content, content_of
from beckon.learning.counts import directed_counts, row_scale, transition_rows
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Floats, SparseRows

SCORE_CELLS = 1 << 22


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
        """Return the model under a recipe that differs only in what is applied after counting (ρ, w, π)."""
        return replace(self, recipe=recipe)


def fit(sequences: Sequences, content: Content, recipe: Recipe) -> Model:
    """Return the directed count model with content.

    s_j = Σ_k ρ^k (M[h_k, j] + w·σ·F[h_k]·F[j] + ρ^k·r·σ·[h_k = j]) + π·σ·trend_j, k = 0 for the newest event.
    Own items fade with the square, so that no number of earlier visits overtakes the item met last (ρ² < ½).
    d_j counts people, not events, so that nobody can talk an item up or down by repetition.
    """
    seen = sequences.where(sequences.from_end() < recipe.user_events)
    once = seen.where(np.isin(np.arange(len(seen)), seen.latest_of_pairs(), assume_unique=True))
    degrees = np.bincount(once.items, minlength=len(sequences.ids))
    cells, counts = directed_counts(seen.users, seen.items, len(sequences.ids), recipe)
    rows = transition_rows(cells, counts, degrees, recipe)
    return Model(sequences.ids, rows, content, trend_of(once, recipe), row_scale(rows, degrees), recipe)


def trend_of(once: Sequences, recipe: Recipe) -> Floats:
    """Return Σ_people 2^(−age/half-life) [items], the largest scaled to 1; age is from the newest event of all."""
    if not len(once):
        return np.zeros(len(once.ids), dtype=np.float32)
    ages = (once.ts.max() - once.ts) / recipe.trend_half_life_ms
    sums = np.bincount(once.items, weights=np.exp2(-np.minimum(ages, 1_000.0)), minlength=len(once.ids))
    return (sums / sums.max()).astype(np.float32)


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
    """Return Σ_k weight_k·ρ^k·F[h_k]·Fᵀ [users, items], not yet scaled by w·σ."""
    content, size = model.content, (len(histories.items), len(model.ids))
    users, places, weights = _flat(model, histories)
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
