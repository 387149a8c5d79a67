"""People's events as arrays, oldest first, from the lake's table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.learning.sparse import Bools, Floats, Ints, Longs


@dataclass(frozen=True, slots=True)
class Sequences:
    """Events that say something about taste: `users` ascending, each person's events oldest first.

    `ids` are all items of the model, sorted; `items` index them. `ts` is UTC ms; `weights` come from the event type.
    """

    ids: tuple[str, ...]
    users: Ints
    items: Ints
    ts: Longs
    weights: Floats

    def __len__(self) -> int:
        return len(self.items)

    def where(self, kept: Bools) -> "Sequences":
        """Return the events that are kept, over the same items."""
        return Sequences(self.ids, self.users[kept], self.items[kept], self.ts[kept], self.weights[kept])

    def from_end(self) -> Longs:
        """Return each event's place from its person's newest: 0 is the newest."""
        if not len(self.users):
            return np.empty(0, dtype=np.int64)
        lasts = np.flatnonzero(np.concatenate((self.users[1:] != self.users[:-1], [True])))
        return np.repeat(lasts, np.diff(lasts, prepend=-1)) - np.arange(len(self.users))

    def repeats(self) -> Bools:
        """Return which events are of an item that the person had met before."""
        keys = self.users.astype(np.int64) * max(1, len(self.ids)) + self.items
        _, firsts = np.unique(keys, return_index=True)
        again = np.ones(len(keys), dtype=np.bool_)
        again[firsts] = False
        return again

    def latest_of_pairs(self) -> Longs:
        """Return the places of each person's newest event of each item: what counts an account once an item."""
        keys = (self.users.astype(np.int64) * max(1, len(self.ids)) + self.items)[::-1]
        _, firsts = np.unique(keys, return_index=True)
        return np.sort(len(keys) - 1 - firsts)


def sequences_from(table: Any, catalogue: Iterable[str], event_weights: Mapping[str, float]) -> Sequences:
    """Return the sequences of an Arrow `table` (user_key, ts, type, item; sorted by person and time) and the catalogue.

    Events without item, or of a type that has no positive weight, are left out; items of the catalogue that nobody
    met are in the model too.
    """
    users = _codes(table, "user_key")[0]
    items, names = _codes(table, "item")
    kinds, kind_names = _codes(table, "type")
    by_kind = np.array([event_weights.get(kind, 0.0) for kind in kind_names] + [0.0], dtype=np.float32)
    weights = by_kind[kinds]
    kept = (items >= 0) & (weights > 0) & (users >= 0)
    ts = table.column("ts").to_numpy().astype(np.int64)
    met = np.unique(items[kept])
    ids = tuple(sorted({names[index] for index in met.tolist()} | set(catalogue)))
    place = {name: index for index, name in enumerate(ids)}
    index_of = np.full(len(names) + 1, -1, dtype=np.int32)
    index_of[met] = [place[names[index]] for index in met.tolist()]
    # The table is sorted by person, so codes change where people do; number them in that order.
    kept_users = users[kept]
    changes = np.concatenate(([0], kept_users[1:] != kept_users[:-1])) if len(kept_users) else np.empty(0)
    return Sequences(ids, np.cumsum(changes).astype(np.int32), index_of[items[kept]], ts[kept], weights[kept])


def _codes(table: Any, column: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return a text column as codes (−1 where null) and the texts they stand for."""
    encoded = table.column(column).combine_chunks().dictionary_encode()
    if hasattr(encoded, "num_chunks"):
        encoded = encoded.combine_chunks()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
