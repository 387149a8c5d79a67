"""People's events as arrays, oldest first, from the lake's table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beckon.events.takeback import UNDOES, taken_back
from beckon.learning.sparse import Bools, Floats, Ints, Longs
from beckon.values import DAY_MS

# Event types that may speak of an item's appeal, in the order of their codes.
KINDS = ("view", "click", "cart", "purchase", "rating", "custom")
# Beyond either, no person shops: the account is a machine's, or many people's.
MOST_A_DAY = 500
MOST_EVENTS = 5_000


@dataclass(frozen=True, slots=True)
class Sequences:
    """Events that say something about taste: `users` ascending, each person's events oldest first.

    `ids` are all items of the model, sorted; `items` index them. `ts` is UTC ms; `kinds` are places in KINDS, and
    `weights` come from them. `caused`: which events a served list brought about, None if none did.
    """

    ids: tuple[str, ...]
    users: Ints
    items: Ints
    ts: Longs
    weights: Floats
    kinds: NDArray[np.int8]
    caused: Bools | None = None

    def __len__(self) -> int:
        return len(self.items)

    def where(self, kept: Bools) -> "Sequences":
        """Return the events that are kept, over the same items."""
        return Sequences(
            self.ids,
            self.users[kept],
            self.items[kept],
            self.ts[kept],
            self.weights[kept],
            self.kinds[kept],
            None if self.caused is None else self.caused[kept],
        )

    def newest(self, among: Bools) -> Longs:
        """Return the place of each person's newest event among some that no served list brought about, ascending."""
        places = np.flatnonzero(among if self.caused is None else among & ~self.caused)
        is_last = np.append(np.diff(self.users[places]) != 0, True)[: len(places)]
        return np.asarray(places[is_last], dtype=np.int64)

    def weighed(self, event_weights: Mapping[str, float]) -> "Sequences":
        """Return the same events with the weights of their types; types not named weigh 0."""
        by_kind = np.array([event_weights.get(kind, 0.0) for kind in KINDS], dtype=np.float32)
        return replace(self, weights=by_kind[self.kinds])

    def heard(self, event_weights: Mapping[str, float]) -> "Sequences":
        """Return the events of types that have a weight, with their weights."""
        found = self.weighed(event_weights)
        return found.where(found.weights > 0)

    def of_people(self) -> "Sequences":
        """Return the sequences without accounts of more than 500 events in a day (UTC) or 5,000 in all.

        If nobody else is there they stay: a list from them is better than none.
        """
        if not len(self):
            return self
        days = self.users.astype(np.int64) << 32 | self.ts // DAY_MS
        each, counts = np.unique(days, return_counts=True)
        too_fast = np.unique(each[counts > MOST_A_DAY] >> 32)
        too_many = np.flatnonzero(np.bincount(self.users) > MOST_EVENTS)
        kept = ~np.isin(self.users, np.concatenate((too_fast, too_many)))
        return self.where(kept) if kept.any() else self

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


def sequences_from(
    table: Any, catalogue: Iterable[str], event_weights: Mapping[str, float], caused: Bools | None = None
) -> Sequences:
    """Return the sequences of an Arrow `table` (user_key, ts, type, item; sorted by person and time) and the catalogue.

    Events without item, of a type that has no positive weight, or taken back are left out (by `order_id` too, where
    the table has it); items of the catalogue that nobody met are in the model too. `caused` [rows]: brought about by a
    served list.
    """
    users = _codes(table, "user_key")[0]
    items, names = _codes(table, "item")
    kinds, kind_names = _codes(table, "type")
    by_kind = np.array([event_weights.get(kind, 0.0) for kind in kind_names] + [0.0], dtype=np.float32)
    weights = by_kind[kinds]
    kept = (items >= 0) & (weights > 0) & (users >= 0) & ~_taken_back(table, users, kinds, kind_names)
    ts = table.column("ts").to_numpy().astype(np.int64)
    met = np.unique(items[kept])
    ids = tuple(sorted({names[index] for index in met.tolist()} | set(catalogue)))
    place = {name: index for index, name in enumerate(ids)}
    index_of = np.full(len(names) + 1, -1, dtype=np.int32)
    index_of[met] = [place[names[index]] for index in met.tolist()]
    # The table is sorted by person, so codes change where people do; number them all in that order, also the silent.
    changes = np.concatenate(([0], users[1:] != users[:-1])) if len(users) else np.empty(0)
    people = np.cumsum(changes).astype(np.int32)[kept]
    codes = np.array([KINDS.index(kind) if kind in KINDS else -1 for kind in kind_names], dtype=np.int8)
    by_lists = None if caused is None else caused[kept]
    return Sequences(ids, people, index_of[items[kept]], ts[kept], weights[kept], codes[kinds[kept]], by_lists)


def _taken_back(table: Any, users: NDArray[np.int64], kinds: NDArray[np.int64], kind_names: list[str]) -> Bools:
    """Return which events their own person took back; only people who took something back are looked at."""
    undone = np.zeros(len(users), dtype=np.bool_)
    undoing = np.isin(kinds, [place for place, kind in enumerate(kind_names) if kind in UNDOES])
    some = np.flatnonzero(np.isin(users, np.unique(users[undoing])) & (users >= 0))
    if not undoing.any():
        return undone
    part = table.take(some)
    items = part.column("item").to_pylist()
    orders = part.column("order_id").to_pylist() if "order_id" in table.column_names else [None] * len(some)
    steps = list(zip((kind_names[kind] for kind in kinds[some].tolist()), items, orders, strict=True))
    starts = np.flatnonzero(np.diff(users[some], prepend=-1))
    for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(some)], strict=True):
        undone[some[[first + place for place in sorted(taken_back(steps[first:last]))]]] = True
    return undone


def _codes(table: Any, column: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return a text column as codes (−1 where null) and the texts they stand for."""
    encoded = table.column(column).combine_chunks().dictionary_encode()
    if hasattr(encoded, "num_chunks"):
        encoded = encoded.combine_chunks()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
