"""DMF in numpy: Xue et al., Deep matrix factorization models for recommender systems, IJCAI 2017."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infra.bench.learning.adam import Adam, SparseAdam, summed
from infra.bench.learning.ranking import Scorer
from infra.bench.learning.sampling import pairs, unit_rows
from infra.bench.learning.task import Bools, Floats, Longs, Task

EPOCHS, HIDDEN, LATENT, HISTORY = 30, 64, 64, 1_000
LEAST = 1e-6  # the paper's μ
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"rate": 0.002, "batch": 2048, "negatives": 2},
    {"rate": 0.005, "batch": 4096, "negatives": 2},
    {"rate": 0.0001, "batch": 256, "negatives": 7},  # the paper's section 4.1
)


@dataclass(frozen=True, slots=True)
class Bags:
    """Who met what: of each owner, the members `values[starts[o]:starts[o + 1]]`, distinct."""

    starts: Longs
    values: Longs

    @classmethod
    def of(cls, owners: Longs, members: Longs, n_owners: int, n_members: int) -> Self:
        """Return the bags of these pairs, each pair once."""
        keys = np.unique(owners * n_members + members)
        counts = np.bincount(keys // n_members, minlength=n_owners)
        return cls(np.concatenate(([0], np.cumsum(counts))), keys % n_members)

    def cells(self, owners: Longs) -> tuple[Longs, Longs]:
        """Return, for the bags of some owners one after another, (place in `owners`, member)."""
        lengths = self.starts[owners + 1] - self.starts[owners]
        place = np.repeat(np.arange(len(owners)), lengths)
        before = np.cumsum(lengths) - lengths
        return place, self.values[np.arange(len(place)) - before[place] + self.starts[owners][place]]


def bag_sums(table: Floats, place: Longs, n_bags: int) -> Floats:
    """Return Σ of the rows of each bag [bags, width]; `place` ascending; 0 for an empty bag."""
    out = np.zeros((n_bags, table.shape[1]), dtype=table.dtype)
    if len(place):
        firsts = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
        out[place[firsts]] = np.add.reduceat(table, firsts, axis=0)
    return out


def tower(summed_rows: Floats, layers: list[NDArray[Any]]) -> Floats:
    """Return p = ReLU(W₂ᵀ l₁ + b₂), l₁ = W₁ᵀ y the sum of the rows of W₁ that the interactions choose (equation 5)."""
    weights, bias = layers
    found: Floats = np.maximum(summed_rows @ weights + bias, 0)
    return found


def loss_and_gradients(
    user: Floats, item: Floats, layers: list[list[NDArray[Any]]], labels: Floats
) -> tuple[float, Floats, Floats, list[list[NDArray[Any]]]]:
    """Return the loss and its gradients by the first layers' sums [batch, hidden] and by both towers' layers.

    ŷ = max(μ, cos(p, q)) (equations 6 and 13); loss = −mean(y·ln ŷ + (1 − y)·ln(1 − ŷ)), which the paper's
    normalised cross-entropy (equation 12) is where every rating is 1.
    """
    p, q = tower(user, layers[0]), tower(item, layers[1])
    p_length = np.sqrt(np.einsum("bd,bd->b", p, p) + 1e-12)[:, None]
    q_length = np.sqrt(np.einsum("bd,bd->b", q, q) + 1e-12)[:, None]
    u, v = p / p_length, q / q_length
    cos = np.einsum("bd,bd->b", u, v)
    is_free = (cos > LEAST) & (cos < 1 - LEAST)
    y = np.clip(cos, LEAST, 1 - LEAST)
    loss = float(-np.mean(labels * np.log(y) + (1 - labels) * np.log(1 - y)))
    pull = (is_free * (y - labels) / (y * (1 - y)) / len(labels)).astype(p.dtype)[:, None]
    sides = []
    for found, mine, other, length, of_side, below in (
        (p, u, v, p_length, layers[0], user),
        (q, v, u, q_length, layers[1], item),
    ):
        back = pull * (other - cos[:, None] * mine) / length * (found > 0)
        sides.append((back @ of_side[0].T, [below.T @ back, back.sum(0)]))
    return loss, sides[0][0], sides[1][0], [sides[0][1], sides[1][1]]


def epochs(task: Task, mask: Bools, settings: Mapping[str, Any], rng: np.random.Generator) -> Iterator[Scorer]:
    """Yield a scorer after each epoch; a user is what they met before the target, the item who met it in the mask."""
    users, items = task.users[mask], task.items[mask]
    bags = (Bags.of(users, items, task.n_users, task.n_items), Bags.of(items, users, task.n_items, task.n_users))
    batch, count = settings["batch"], len(users) * (1 + settings["negatives"])
    steps = EPOCHS * (count // batch + 1)
    tables = [
        SparseAdam(rng.normal(0, 0.1, (rows, HIDDEN)).astype(np.float32), settings["rate"], steps)
        for rows in (task.n_items, task.n_users)
    ]
    layers = [
        [rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, LATENT)).astype(np.float32), np.zeros(LATENT, dtype=np.float32)]
        for _ in range(2)
    ]
    optimiser = Adam([*layers[0], *layers[1]], settings["rate"])
    for _ in range(EPOCHS):
        who, what, labels = pairs(task, mask, settings["negatives"], rng)
        for begin in range(0, count, batch):
            block = slice(begin, begin + batch)
            _train(tables, bags, layers, optimiser, (who[block], what[block], labels[block]))
        yield _scorer(task, tables, bags[1], layers)


def _train(
    tables: list[SparseAdam],
    bags: tuple[Bags, Bags],
    layers: list[list[NDArray[Any]]],
    optimiser: Adam,
    batch: tuple[Longs, Longs, Floats],
) -> None:
    sides, sums = [], []
    for table, bag, numbers in zip(tables, bags, batch[:2], strict=True):
        distinct, inverse = np.unique(numbers, return_inverse=True)
        place, members = bag.cells(distinct)
        rows, within = np.unique(members, return_inverse=True)
        sums.append(bag_sums(table.rows(rows)[within], place, len(distinct))[inverse])
        sides.append((table, inverse, place, rows, within))
    _, to_user, to_item, to_layers = loss_and_gradients(sums[0], sums[1], layers, batch[2])
    for gradient, (table, inverse, place, rows, within) in zip((to_user, to_item), sides, strict=True):
        _, of_distinct = summed(inverse, gradient)
        if len(rows):
            table.step(rows, summed(within, of_distinct[place])[1])
    optimiser.step([*to_layers[0], *to_layers[1]])


def _scorer(task: Task, tables: list[SparseAdam], of_items: Bags, layers: list[list[NDArray[Any]]]) -> Scorer:
    place, members = of_items.cells(np.arange(task.n_items))
    item = unit_rows(tower(bag_sums(tables[1].whole()[members], place, task.n_items), layers[1]))
    first, own = tables[0].whole(), [one.copy() for one in layers[0]]

    def scorer(places: Longs) -> Floats:
        histories = task.histories(places, HISTORY)
        row, column = np.nonzero(histories >= 0)
        pair = np.unique(row * task.n_items + histories[row, column])
        sums = bag_sums(first[pair % task.n_items], pair // task.n_items, len(places))
        return unit_rows(tower(sums, own)) @ item.T

    return scorer
