"""Training pairs for models that learn from positives and drawn negatives, and what they say of unknown users."""

from collections.abc import Callable

import numpy as np

from infra.bench.learning.ranking import Scorer
from infra.bench.learning.task import Bools, Floats, Longs, Task


def pairs(task: Task, mask: Bools, negatives: int, rng: np.random.Generator) -> tuple[Longs, Longs, Floats]:
    """Return shuffled users, items and labels: each event once with label 1, and `negatives` drawn items with 0.

    Items are drawn uniformly; one that the user did meet is drawn again, three times at most.
    """
    users, items = task.users[mask], task.items[mask]
    met = np.unique(users * task.n_items + items)
    others = np.repeat(users, negatives)
    drawn = rng.integers(0, task.n_items, len(others))
    for _ in range(3):
        place = np.searchsorted(met, others * task.n_items + drawn)
        again = np.flatnonzero(met[np.minimum(place, len(met) - 1)] == others * task.n_items + drawn)
        drawn[again] = rng.integers(0, task.n_items, len(again))
    order = rng.permutation(len(users) + len(others))
    labels = np.concatenate((np.ones(len(users)), np.zeros(len(others)))).astype(np.float32)
    return np.concatenate((users, others))[order], np.concatenate((items, drawn))[order], labels[order]


def by_user(task: Task, mask: Bools, score: Callable[[Longs], Floats]) -> Scorer:
    """Return a scorer of users by number; one who has no event in the mask gets popularity."""
    known = np.zeros(task.n_users, dtype=np.bool_)
    known[task.users[mask]] = True
    popularity = task.popularity(mask)

    def scorer(places: Longs) -> Floats:
        users = task.users[places]
        return np.where(known[users][:, None], score(users), popularity)

    return scorer


def unit_rows(table: Floats) -> Floats:
    """Return the rows scaled to length 1; a row of zeros stays."""
    lengths = np.sqrt(np.einsum("nd,nd->n", table, table))[:, None]
    found: Floats = table / np.maximum(lengths, np.float32(1e-12))
    return found
