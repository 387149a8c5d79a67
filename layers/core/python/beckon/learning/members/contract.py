"""What every member of the ensemble is given, and what it gives: item tables that score by one equation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from beckon.learning.content import Content
from beckon.learning.counts import both_ways, directed_counts
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Floats, SparseRows


@dataclass(frozen=True, slots=True)
class Known:
    """What members learn from, with what several of them need worked out once.

    `seen`: people's newest events; `once`: of these, each person's newest of each item; `degrees` d: people an item.
    """

    seen: Sequences
    once: Sequences
    degrees: NDArray[np.int64]
    content: Content
    _pairs: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, sequences: Sequences, content: Content, user_events: int) -> "Known":
        """Return what is known of `sequences`; only a person's newest `user_events` count."""
        seen = sequences.where(sequences.from_end() < user_events)
        once = seen.where(np.isin(np.arange(len(seen)), seen.latest_of_pairs(), assume_unique=True))
        return cls(seen, once, np.bincount(once.items, minlength=len(sequences.ids)), content)

    def pairs(self, recipe: Recipe) -> SparseRows:
        """Return C [items, items], who followed whom; the last that was asked for is kept."""
        counted = ("T", recipe.pair_decay, recipe.pair_window)
        asked = ("C", *counted[1:], recipe.backward)
        n_items = len(self.seen.ids)
        cells, counts = self._once(counted, lambda: directed_counts(self.seen.users, self.seen.items, n_items, recipe))
        pairs: SparseRows = self._once(asked, lambda: both_ways(cells, counts, n_items, recipe.backward))
        return pairs

    def _once(self, asked: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if asked not in self._pairs:
            for old in [key for key in self._pairs if key[0] == asked[0]]:
                del self._pairs[old]
            self._pairs[asked] = make()
        return self._pairs[asked]


@dataclass(frozen=True, slots=True)
class Tables:
    """A member's items, all of them, as tables. What a member does not know it leaves out.

    A person whose history holds item h_k with weight v_k scores item j with
    Σ_k v_k·rows[h_k, j] + Σ_k sign(v_k)·|v_k|^γ·tokens[h_k]·tokens[j] + prior[j].
    `dense` [items, D] are vectors whose dot is likeness: for what is new, similar or various; they do not score.
    """

    rows: SparseRows | None = None
    tokens: SparseRows | None = None
    prior: Floats | None = None
    dense: Floats | None = None


class Member(Protocol):
    """One model: the same `known` and recipe give the same tables, whatever else was fitted before."""

    def __call__(self, known: Known, recipe: Recipe) -> Tables:
        """Return the member's tables."""
        ...
