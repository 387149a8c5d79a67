"""What a model would recommend to people as they are now, beside what the model before it recommends to the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.artefact.model import ItemTable, Serving
from beckon.artefact.probes import Run
from beckon.learning.evaluation import leave_out
from beckon.learning.model import Histories, Model, scores, users_at_once
from beckon.learning.sequences import Sequences
from beckon.learning.sparse import Bools, Longs

# Enough to tell 5 % from 10 % of overlap; fewer where the catalogue is large, for the older graph is run by ONNX's own
# evaluator (3 s for 100 people and 12 k items).
PEOPLE, FEWEST, CELLS = 200, 50, 1_200_000
K = 10
GROUPS = 10  # of equally many items, from the least popular to the most
TOP = 10
BATCH = 25  # people a run of the older graph


@dataclass(frozen=True, slots=True)
class Lists:
    """`items` [people, K] indices of the model's items, best first; −1 where a list is shorter. `scores` likewise."""

    items: Longs
    scores: NDArray[np.float64]

    @property
    def flat(self) -> Longs:
        """Return every place that is filled."""
        return self.items[self.items >= 0]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose lists are compared: `histories` newest first, weighed by event type, and what may be shown to each."""

    histories: Histories
    allowed: Bools

    def __len__(self) -> int:
        return len(self.allowed)


def asked_of(sequences: Sequences, length: int, off_sale: Sequence[int], *, exclude_seen: bool) -> Asked:
    """Return some people who came more than once, evenly spread, each after all but the last of their events."""
    people = min(PEOPLE, max(FEWEST, CELLS // max(1, len(sequences.ids))))
    targets = leave_out(sequences, 0, length).some(people)
    allowed = np.ones((len(targets), len(sequences.ids)), dtype=np.bool_)
    allowed[:, list(off_sale)] = False
    if exclude_seen:
        for row, (first, last) in enumerate(zip(targets.first.tolist(), targets.last.tolist(), strict=True)):
            allowed[row, sequences.items[first:last]] = False
    return Asked(targets.histories, allowed)


def lists_of(model: Model, asked: Asked) -> Lists:
    """Return the model's lists; equal scores by index, as the graph has them."""
    items = np.full((len(asked), K), -1, dtype=np.int64)
    kept = np.full((len(asked), K), -np.inf)
    step = users_at_once(model)
    for first in range(0, len(asked), step):
        block = slice(first, min(first + step, len(asked)))
        found = np.where(asked.allowed[block], scores(model, asked.histories.rows(block.start, block.stop)), -np.inf)
        best = np.argsort(-found, axis=1, kind="stable")[:, :K]
        score = np.take_along_axis(found, best, axis=1)
        items[block, : best.shape[1]] = np.where(np.isneginf(score), -1, best)
        kept[block, : best.shape[1]] = score
    return Lists(items, kept)


def lists_before(run: Run, table: ItemTable, serving: Serving, asked: Asked, ids: Sequence[str]) -> Lists:
    """Return the lists of an older model's graph in the indices of `ids`; what is not there any more is −1.

    The people's events weigh what they do in the newer model: of the older one its recency alone is applied.
    """
    place, own = {one: at for at, one in enumerate(table.ids)}, {one: at for at, one in enumerate(ids)}
    to_old = np.array([*(place.get(one, -1) for one in ids), -1], dtype=np.int64)
    to_new = np.array([*(own.get(one, -1) for one in table.ids), -1], dtype=np.int64)
    is_known = to_new[:-1] >= 0
    items, kept = np.full((len(asked), K), -1, dtype=np.int64), np.full((len(asked), K), -np.inf)
    length = min(serving.history_length, asked.histories.items.shape[1])
    fading = serving.recency ** np.arange(length)
    for first in range(0, len(asked), BATCH):
        block = slice(first, min(first + BATCH, len(asked)))
        allow = np.zeros((block.stop - block.start, len(table.ids)), dtype=np.bool_)
        allow[:, is_known] = asked.allowed[block][:, to_new[:-1][is_known]]
        found, score = run(
            {
                "history": to_old[asked.histories.items[block, :length]],
                "weight": asked.histories.weights[block, :length] * fading,
                "need": np.zeros((len(allow), serving.dense)),
                "allow": allow,
                "extra": [],
                "k": K,
            }
        )
        size = len(found[0])
        items[block, :size] = to_new[np.array(found, dtype=np.int64)]
        kept[block, :size] = np.array(score)
    return Lists(items, kept)


def breadth(lists: Lists, people_of: Longs, off_sale: int) -> dict[str, Any]:
    """Return how broad lists are and how much they favour what is popular.

    `coverage`: distinct items, of as many as so many places could show; `popularity`: people who met an item, mean
    over the places; `groups`: share of the places by popularity of the item, tenths of all items, the most popular
    last. `people_of` [items] says how many people met each; cost: a sort of the items.
    """
    flat = lists.flat
    reachable = min(len(people_of) - off_sale, lists.items.size)
    tenth = np.empty(len(people_of), dtype=np.int64)
    tenth[np.argsort(people_of, kind="stable")] = np.arange(len(people_of)) * GROUPS // max(1, len(people_of))
    shares = np.bincount(tenth[flat], minlength=GROUPS) / max(1, len(flat))
    return {
        "lists": len(lists.items),
        "distinct": len(np.unique(flat)),
        "coverage": round(len(np.unique(flat)) / max(1, reachable), 5),
        "popularity": round(float(people_of[flat].mean()), 4) if len(flat) else 0.0,
        "groups": [round(share, 5) for share in shares.tolist()],
    }


def most_shown(lists: Lists, ids: Sequence[str]) -> list[list[Any]]:
    """Return the items that most lists have, with their share of the lists."""
    shown, counts = np.unique(lists.flat, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:TOP]
    return [[ids[shown[at]], round(float(counts[at]) / max(1, len(lists.items)), 4)] for at in order.tolist()]


def drift(new: Lists, old: Lists, ids: Sequence[str], old_ids: Sequence[str]) -> dict[str, Any]:
    """Return what changed since the model before: lists of the same people, and the items there are.

    `overlap`: of a new list's items, the share that the old list has too; `same_first`: lists that begin alike;
    `score`: mean score of the first place, before and now.
    """
    shares = [
        len(set(mine) & set(theirs)) / len(mine)
        for mine, theirs in (
            ([i for i in one if i >= 0], [i for i in other if i >= 0])
            for one, other in zip(new.items.tolist(), old.items.tolist(), strict=True)
        )
        if mine
    ]
    both = (new.items[:, 0] >= 0) & (old.items[:, 0] >= 0)
    return {
        "overlap": round(float(np.mean(shares)), 4) if shares else None,
        "same_first": round(float((new.items[both, 0] == old.items[both, 0]).mean()), 4) if both.any() else None,
        "score": [round(float(one.scores[both, 0].mean()), 5) for one in (old, new)] if both.any() else None,
        "items_in": len(set(ids) - set(old_ids)),
        "items_out": len(set(old_ids) - set(ids)),
        "items": len(ids),
    }
