"""The two-tower reference: embeddings → normalised dot → Dense(1, sigmoid), in numpy."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.bench.learning.adam import Adam, SparseAdam, summed
from infra.bench.learning.ranking import Scorer
from infra.bench.learning.sampling import by_user, pairs, unit_rows
from infra.bench.learning.task import Bools, Floats, Longs, Task

BATCH, EPOCHS, RATE = 32, 10, 0.01
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"width": 32, "negatives": 1},
    {"width": 64, "negatives": 1},
    {"width": 32, "negatives": 4},
    {"width": 64, "negatives": 4},
)


def loss_and_gradients(
    user: Floats, item: Floats, dense: NDArray[Any], labels: Floats
) -> tuple[float, Floats, Floats, NDArray[Any]]:
    """Return the loss, and its gradients by user and item vectors [batch, width] and by `dense` (w, b).

    p = σ(w·cos(u, v) + b); loss = −mean(y·ln p + (1 − y)·ln(1 − p)). With δ = (p − y)/batch:
    ∂/∂u = δ·w·(v̂ − cos·û)/‖u‖, ∂/∂v alike, ∂/∂w = Σ δ·cos, ∂/∂b = Σ δ.
    Source: the seed's Keras model; the form is Covington et al. 2016's two towers with logistic loss.
    """
    user_length = np.sqrt(np.einsum("bd,bd->b", user, user))[:, None]
    item_length = np.sqrt(np.einsum("bd,bd->b", item, item))[:, None]
    u, v = user / user_length, item / item_length
    cos = np.einsum("bd,bd->b", u, v)
    logit = dense[0] * cos + dense[1]
    loss = float(np.mean(np.logaddexp(0, logit) - labels * logit))
    delta = (1 / (1 + np.exp(-logit)) - labels) / len(labels)
    pull = (delta * dense[0])[:, None]
    to_user = pull * (v - cos[:, None] * u) / user_length
    to_item = pull * (u - cos[:, None] * v) / item_length
    return loss, to_user, to_item, np.array([delta @ cos, delta.sum()], dtype=dense.dtype)


def epochs(task: Task, mask: Bools, settings: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Scorer]:
    """Yield one scorer, after all ten epochs of batches of 32: the form is given, Keras' own starts included.

    Tuned are the width and how many uniformly drawn items stand against each positive.
    """
    count, width = int(mask.sum()) * (1 + settings["negatives"]), settings["width"]
    steps = EPOCHS * -(-count // BATCH)
    tables = [
        SparseAdam(rng.uniform(-0.05, 0.05, (rows, width)).astype(np.float32), RATE, steps)
        for rows in (task.n_users, task.n_items)
    ]
    dense = np.array([rng.uniform(-np.sqrt(3), np.sqrt(3)), 0], dtype=np.float32)
    optimiser = Adam([dense], RATE)
    for _ in range(EPOCHS):
        users, items, labels = pairs(task, mask, settings["negatives"], rng)
        for begin in range(0, count, BATCH):
            block = slice(begin, begin + BATCH)
            _train(tables, optimiser, users[block], items[block], labels[block])
    user, item = (unit_rows(one.whole()) for one in tables)
    sign = np.float32(1 if dense[0] >= 0 else -1)
    yield by_user(task, mask, lambda who: sign * (user[who] @ item.T))


def _train(tables: list[SparseAdam], optimiser: Adam, users: Longs, items: Longs, labels: Floats) -> None:
    dense = optimiser.parameters[0]
    user, item = tables[0].rows(users), tables[1].rows(items)
    _, to_user, to_item, to_dense = loss_and_gradients(user, item, dense, labels)
    tables[0].step(*summed(users, to_user))
    tables[1].step(*summed(items, to_item))
    optimiser.step([to_dense])
