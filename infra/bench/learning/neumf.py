"""NeuMF in numpy: He et al., Neural collaborative filtering, WWW 2017, arXiv 1708.05031, section 3.4."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.bench.learning.adam import Adam, SparseAdam, summed
from infra.bench.learning.ranking import Scorer
from infra.bench.learning.sampling import by_user, pairs
from infra.bench.learning.task import Bools, Floats, Task

EPOCHS = 30
PAIRS_AT_ONCE = 1 << 14  # what the processor's cache holds
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"factors": 8, "rate": 0.001, "batch": 256, "negatives": 4},  # the paper's section 4.1
    {"factors": 16, "rate": 0.005, "batch": 1024, "negatives": 4},
    {"factors": 8, "rate": 0.005, "batch": 512, "negatives": 4},
    {"factors": 16, "rate": 0.001, "batch": 256, "negatives": 4},
)


def start(factors: int, rng: np.random.Generator) -> list[NDArray[Any]]:
    """Return the tower's W₁, b₁, W₂, b₂ and the output's h, b.

    With f factors the tower is 4f → 2f → f, embeddings of 2f a side; N(0, .01²) for h as in the paper, and He's
    √(2/fan-in) for the tower, without which ReLUs at .01 learn nothing in so few epochs.
    """
    layers: list[NDArray[Any]] = []
    for wide, narrow in pairwise((4 * factors, 2 * factors, factors)):
        layers += [rng.normal(0, np.sqrt(2 / wide), (wide, narrow)), np.zeros(narrow)]
    layers += [rng.normal(0, 0.1, 2 * factors), np.zeros(1)]
    return [one.astype(np.float32) for one in layers]


def loss_and_gradients(
    user: Floats, item: Floats, layers: list[NDArray[Any]], labels: Floats
) -> tuple[float, Floats, Floats, list[NDArray[Any]]]:
    """Return the loss and its gradients by user and item rows [batch, 3f] and by the layers.

    A row is (p^G of f, p^M of 2f). ŷ = σ(h·[p^G ⊙ q^G, φ] + b), φ = ReLU(W₂ᵀ ReLU(W₁ᵀ [p^M, q^M] + b₁) + b₂)
    (equations 11 and 12); loss = mean binary cross-entropy (equation 7).
    """
    w1, b1, w2, b2, h, b = layers
    f = len(b2)
    together = np.concatenate((user[:, f:], item[:, f:]), axis=1)
    first = np.maximum(together @ w1 + b1, 0)
    second = np.maximum(first @ w2 + b2, 0)
    last = np.concatenate((user[:, :f] * item[:, :f], second), axis=1)
    logit = last @ h + b[0]
    loss = float(np.mean(np.logaddexp(0, logit) - labels * logit))
    delta = (1 / (1 + np.exp(-logit)) - labels) / np.float32(len(labels))
    back = delta[:, None] * h
    to_second = back[:, f:] * (second > 0)
    to_first = (to_second @ w2.T) * (first > 0)
    to_both = to_first @ w1.T
    to_user = np.concatenate((back[:, :f] * item[:, :f], to_both[:, : 2 * f]), axis=1)
    to_item = np.concatenate((back[:, :f] * user[:, :f], to_both[:, 2 * f :]), axis=1)
    gradients = [together.T @ to_first, to_first.sum(0), first.T @ to_second, to_second.sum(0), last.T @ delta]
    return loss, to_user, to_item, [*gradients, np.array([delta.sum()], dtype=b.dtype)]


def epochs(task: Task, mask: Bools, settings: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Scorer]:
    """Yield a scorer after each epoch, no pre-training."""
    factors, batch = settings["factors"], settings["batch"]
    count = int(mask.sum()) * (1 + settings["negatives"])
    layers = start(factors, rng)
    optimiser = Adam(layers, settings["rate"])
    tables = [
        SparseAdam(
            rng.normal(0, 0.1, (rows, 3 * factors)).astype(np.float32), settings["rate"], EPOCHS * (count // batch + 1)
        )
        for rows in (task.n_users, task.n_items)
    ]
    for _ in range(EPOCHS):
        users, items, labels = pairs(task, mask, settings["negatives"], rng)
        for begin in range(0, count, batch):
            block = slice(begin, begin + batch)
            user, item = tables[0].rows(users[block]), tables[1].rows(items[block])
            _, to_user, to_item, to_layers = loss_and_gradients(user, item, layers, labels[block])
            tables[0].step(*summed(users[block], to_user))
            tables[1].step(*summed(items[block], to_item))
            optimiser.step(to_layers)
        user, item = tables[0].whole(), tables[1].whole()
        yield _scorer(task, mask, user, item, layers)


def _scorer(task: Task, mask: Bools, user: Floats, item: Floats, layers: list[NDArray[Any]]) -> Scorer:
    return by_user(task, mask, lambda who: all_logits(user[who], item, layers))


def all_logits(user: Floats, item: Floats, layers: list[NDArray[Any]]) -> Floats:
    """Return h·[…] of every user with every item [users, items], the first layer's halves computed once."""
    w1, b1, w2, b2, h, _ = layers
    f = len(b2)
    scores: Floats = (user[:, :f] * h[:f]) @ item[:, :f].T
    of_users, of_items = user[:, f:] @ w1[: 2 * f] + b1, item[:, f:] @ w1[2 * f :]
    step = max(1, PAIRS_AT_ONCE // len(item))
    for begin in range(0, len(user), step):
        first = np.maximum(of_users[begin : begin + step, None] + of_items[None], 0).reshape(-1, 2 * f)
        second = np.maximum(first @ w2 + b2, 0) @ h[f:]
        scores[begin : begin + step] += second.reshape(-1, len(item))
    return scores
