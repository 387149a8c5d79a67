"""How well a model foretells the next item: full ranking, against baselines, repeats and new items apart."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.model import Histories, Model, scores, users_at_once
from beckon.learning.sequences import KINDS, Sequences
from beckon.learning.sparse import Bools, Floats, Ints, Longs
from beckon.values import DAY_MS

MISSED = np.iinfo(np.int64).max
POPULAR_HALF_LIFE_MS = 14 * DAY_MS


@dataclass(frozen=True, slots=True)
class Targets:
    """Next items to foretell: `histories` [targets, L] newest first, and the `items` that came next.

    `is_repeat`: the person had met the item before. `first` and `last`: the target's whole history is the events
    [first, last) of `events`.
    """

    events: Sequences
    histories: Histories
    items: Ints
    is_repeat: Bools
    first: Longs
    last: Longs

    def __len__(self) -> int:
        return len(self.items)

    def some(self, most: int) -> "Targets":
        """Return at most `most` of the targets, evenly spread."""
        if len(self) <= most:
            return self
        kept = np.linspace(0, len(self) - 1, most).astype(np.int64)
        histories = Histories(self.histories.items[kept], self.histories.weights[kept])
        return Targets(
            self.events, histories, self.items[kept], self.is_repeat[kept], self.first[kept], self.last[kept]
        )

    def weighed(self, event_weights: Mapping[str, float]) -> "Targets":
        """Return the same targets, their histories weighed by event type; types not named weigh 0."""
        by_kind = np.array([event_weights.get(kind, 0.0) for kind in KINDS], dtype=np.float32)
        places = np.maximum(self.last[:, None] - 1 - np.arange(self.histories.items.shape[1]), 0)
        weights = np.where(self.histories.items >= 0, by_kind[self.events.kinds[places]], 0).astype(np.float32)
        return replace(self, histories=Histories(self.histories.items, weights))

    def of(self, kind: str) -> int:
        """Return how many events of the histories are of an event type."""
        places = np.maximum(self.last[:, None] - 1 - np.arange(self.histories.items.shape[1]), 0)
        return int(((self.histories.items >= 0) & (self.events.kinds[places] == KINDS.index(kind))).sum())


def targets_at(sequences: Sequences, places: Longs, length: int, least: int = 1) -> Targets:
    """Return the events at `places` as targets, each after the same person's events before it, at least `least`."""
    firsts = np.searchsorted(sequences.users, sequences.users[places])
    known = places - firsts >= least
    places, firsts = places[known], firsts[known]
    back = places[:, None] - 1 - np.arange(length)
    inside = back >= firsts[:, None]
    back = np.maximum(back, 0)
    histories = Histories(
        np.where(inside, sequences.items[back], -1).astype(np.int64),
        np.where(inside, sequences.weights[back], 0).astype(np.float32),
    )
    repeats = sequences.repeats()[places]
    return Targets(sequences, histories, sequences.items[places], repeats, firsts, places)


def leave_out(sequences: Sequences, newest: int, length: int) -> Targets:
    """Return each person's event of place `newest` from the end (0: the last) as a target."""
    return targets_at(sequences, np.flatnonzero(sequences.from_end() == newest), length)


def model_ranks(model: Model, targets: Targets, *, exclude_seen: bool) -> Longs:
    """Return the target's rank among all items of the model, from 1, ties against us; MISSED if it was excluded.

    With `exclude_seen` the items of the history cannot be recommended, so a repeat is missed.
    """
    ranks = np.empty(len(targets), dtype=np.int64)
    step = users_at_once(model)
    for first in range(0, len(targets), step):
        block = slice(first, min(first + step, len(targets)))
        found = scores(model, targets.histories.rows(block.start, block.stop))
        ranks[block] = ranks_in(found, targets, block, exclude_seen=exclude_seen)
    return ranks


def popularity_ranks(sequences: Sequences, targets: Targets, *, exclude_seen: bool) -> Longs:
    """Return the target's rank by popularity in `sequences`, ties against it, as in `model_ranks`.

    Popularity is how many people met an item, ever or with a half-life of two weeks: the better of both by N@10 of
    these very targets, so that nothing passes for good by being compared with the weaker one.
    """
    once = sequences.where(np.isin(np.arange(len(sequences)), sequences.latest_of_pairs(), assume_unique=True))
    ages = (once.ts.max(initial=0) - once.ts) / POPULAR_HALF_LIFE_MS
    both = [
        _ranks_by(np.bincount(once.items, weights=weights, minlength=len(once.ids)), targets, exclude_seen=exclude_seen)
        for weights in (np.ones(len(once)), np.exp2(-np.minimum(ages, 1_000.0)))
    ]
    return max(both, key=lambda ranks: float(gains(ranks).sum()))


def _ranks_by(popular: NDArray[np.float64], targets: Targets, *, exclude_seen: bool) -> Longs:
    ranks = np.empty(len(targets), dtype=np.int64)
    step = max(1, (1 << 22) // max(1, len(popular)))
    for first in range(0, len(targets), step):
        block = slice(first, min(first + step, len(targets)))
        found = np.tile(popular.astype(np.float32), (block.stop - block.start, 1))
        ranks[block] = ranks_in(found, targets, block, exclude_seen=exclude_seen)
    return ranks


def last_item_ranks(targets: Targets) -> Longs:
    """Return the target's place among the distinct items of its history, newest first; MISSED if it is not there.

    The baseline that knows nothing but that people come back to what they looked at last.
    """
    ranks = np.full(len(targets), MISSED, dtype=np.int64)
    for place in np.flatnonzero(targets.is_repeat).tolist():
        history = targets.histories.items[place]
        distinct = list(dict.fromkeys(history[history >= 0].tolist()))
        if int(targets.items[place]) in distinct:
            ranks[place] = distinct.index(int(targets.items[place])) + 1
    return ranks


def ranks_in(found: Floats, targets: Targets, block: slice, *, exclude_seen: bool) -> Longs:
    """Return the rank of each target of the block in its row of scores [block, items]; `found` is changed."""
    wanted = targets.items[block]
    if exclude_seen:
        first, last = targets.first[block], targets.last[block]
        owner = np.repeat(np.arange(len(first)), last - first)
        before = np.cumsum(last - first) - (last - first)
        place = np.arange(len(owner)) - before[owner] + first[owner]
        found[owner, targets.events.items[place]] = -np.inf
    own = found[np.arange(len(found)), wanted]
    ranks = np.sum(found >= own[:, None], axis=1).astype(np.int64)
    ranks[np.isneginf(own)] = MISSED
    return ranks


def recalls(ranks: Longs, k: int = 10) -> NDArray[np.float64]:
    """Return 1 for each target among the first k, else 0: with one target each, recall@k = hit rate@k is the mean."""
    return (ranks <= k).astype(np.float64)


def gains(ranks: Longs, k: int = 10) -> NDArray[np.float64]:
    """Return 1/log₂(rank + 1) for each target among the first k, else 0.

    The mean is nDCG@k: with one relevant item the ideal DCG is 1.
    """
    within = ranks <= k
    return np.where(within, 1 / np.log2(np.where(within, ranks, 1) + 1.0), 0.0)


def summary(ranks: Longs, targets: Targets) -> Mapping[str, Any]:
    """Return R@10, N@10 and how many targets, of all, and of repeats and new items apart."""

    def of(kept: Bools) -> dict[str, Any]:
        some = ranks[kept]
        if not len(some):
            return {"recall_at_10": None, "ndcg_at_10": None, "targets": 0}
        recall, gain = float(recalls(some).mean()), float(gains(some).mean())
        return {"recall_at_10": round(recall, 5), "ndcg_at_10": round(gain, 5), "targets": len(some)}

    everything = np.ones(len(ranks), dtype=np.bool_)
    return of(everything) | {"repeat": of(targets.is_repeat), "new": of(~targets.is_repeat)}


def paired_difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of ours − theirs, target by target, and its standard error; (0, 0) without targets."""
    if not len(ours):
        return 0.0, 0.0
    difference = ours - theirs
    return float(difference.mean()), float(difference.std() / np.sqrt(len(difference)))
