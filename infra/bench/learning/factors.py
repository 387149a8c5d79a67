"""`implicit`'s ALS and BPR, as its own documentation uses them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy import sparse

from infra.bench.learning.ranking import Scorer
from infra.bench.learning.sampling import by_user
from infra.bench.learning.task import Bools, Floats, Longs, Task

THREADS = 2
ALS: tuple[Mapping[str, Any], ...] = (
    {"factors": 128, "regularization": 0.01, "alpha": 1.0, "iterations": 15},  # the library's defaults but the size
    {"factors": 128, "regularization": 0.01, "alpha": 10.0, "iterations": 15},
    {"factors": 256, "regularization": 0.01, "alpha": 10.0, "iterations": 15},
    {"factors": 128, "regularization": 1.0, "alpha": 10.0, "iterations": 15},
    {"factors": 256, "regularization": 1.0, "alpha": 40.0, "iterations": 15},
    {"factors": 64, "regularization": 0.1, "alpha": 40.0, "iterations": 15},
)
BPR: tuple[Mapping[str, Any], ...] = (
    {"factors": 128, "learning_rate": 0.01, "regularization": 0.01, "iterations": 100},  # the library's defaults
    {"factors": 128, "learning_rate": 0.05, "regularization": 0.01, "iterations": 100},
    {"factors": 128, "learning_rate": 0.05, "regularization": 0.03, "iterations": 200},
    {"factors": 64, "learning_rate": 0.05, "regularization": 0.005, "iterations": 200},
    {"factors": 128, "learning_rate": 0.1, "regularization": 0.02, "iterations": 200},
)


def als(task: Task, mask: Bools, settings: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Scorer]:
    """Yield implicit ALS (Hu, Koren & Volinsky 2008); a user's factors are solved again from the target's history."""
    model = AlternatingLeastSquares(**settings, num_threads=THREADS, random_state=int(rng.integers(1 << 31)))
    model.fit(_matrix(task, mask), show_progress=False)

    def scorer(places: Longs) -> Floats:
        histories = task.histories(places)
        row, age = np.nonzero(histories >= 0)
        ones = np.ones(len(row), dtype=np.float32)
        met = sparse.csr_matrix((ones, (row, histories[row, age])), (len(places), task.n_items))
        user: Floats = model.recalculate_user(np.arange(len(places)), met)
        item: Floats = model.item_factors
        return user @ item.T

    yield scorer


def bpr(task: Task, mask: Bools, settings: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Scorer]:
    """Yield implicit BPR (Rendle et al. 2009); users that are not in the mask get popularity."""
    model = BayesianPersonalizedRanking(**settings, num_threads=THREADS, random_state=int(rng.integers(1 << 31)))
    model.fit(_matrix(task, mask), show_progress=False)
    yield by_user(task, mask, lambda who: model.user_factors[who] @ model.item_factors.T)


def _matrix(task: Task, mask: Bools) -> Any:
    """Return how often each user met each item."""
    ones = np.ones(int(mask.sum()), dtype=np.float32)
    return sparse.csr_matrix((ones, (task.users[mask], task.items[mask])), (task.n_users, task.n_items))
