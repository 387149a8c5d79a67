"""A lopsided shop, an oracle of the model in plain loops, and fakes of learning's ports."""

import math
from collections import defaultdict
from typing import Any

import pyarrow as pa

from beckon.catalog.model import Item
from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure
from beckon.lake.parquet import encode
from beckon.lake.schema import DATASETS, object_key
from beckon.learning.recipe import Recipe
from beckon.learning.sequences import Sequences, sequences_from
from beckon.values import DAY_MS
from tests.ingest_fakes import MemoryLake

SHOP = "north"
NOW = 1_790_000_000_000
MINUTE = 60_000

# Each person's items, oldest first. No two items are alike, c is looped by dan, f is met once, h never.
VISITS = {
    "ann": "abcad",
    "bob": "abd",
    "cat": "bce",
    "dan": "cecececece",
    "eve": "ag",
    "fay": "f",
    "gus": "dacb",
}
TOKENS = {
    "a": ("brand=x", "category=1"),
    "b": ("brand=y", "category=1"),
    "c": ("brand=x", "category=2", "colour=red", "size=9"),
    "e": ("category=2",),
    "g": ("brand=y", "category=2", "colour=red"),
    "h": ("brand=x", "category=1", "colour=red"),
}
ITEMS = "abcdefgh"


def events_table(visits: dict[str, str], *, kind: str = "view", step: int = MINUTE) -> pa.Table:
    """The events of D's schema that learning reads, sorted as the lake reads them."""
    rows = []
    for person in sorted(visits):
        rows += [
            {
                "message_id": f"{person}-{n}",
                "type": kind,
                "user_key": person,
                "ts": NOW - DAY_MS + n * step + len(person),
                "item": item,
                "received_ts": NOW,
            }
            for n, item in enumerate(visits[person])
        ]
    return pa.Table.from_pylist(rows, schema=DATASETS["events"].schema)


def sequences(visits: dict[str, str] = VISITS, recipe: Recipe | None = None) -> Sequences:
    return sequences_from(events_table(visits), TOKENS, (recipe or Recipe()).event_weights)


def put(lake: MemoryLake, table: pa.Table, name: str = "1-2", dataset: str = "events", shop: str = SHOP) -> str:
    key = object_key(dataset, shop, "2026-09-21", name)
    lake.write(key, encode(table, DATASETS[dataset]))
    return key


def exposures_table(exposures: list[Exposure]) -> pa.Table:
    rows = [{name: value for name, value in one.to_record().items() if name != "shop"} for one in exposures]
    return pa.Table.from_pylist(rows, schema=DATASETS["exposures"].schema)


class Oracle:
    """The model in loops over names, in double precision; it shares no line with the code, and knows no matrix."""

    def __init__(self, visits: dict[str, str], tokens: dict[str, tuple[str, ...]], recipe: Recipe, scale: float):
        self.recipe, self.scale = recipe, scale
        self.items = sorted({i for seen in visits.values() for i in seen} | set(tokens))
        followed: dict[tuple[str, str], float] = defaultdict(float)
        self.people: dict[str, set[str]] = defaultdict(set)
        for person, seen in visits.items():
            strongest: dict[tuple[str, str], float] = {}
            for p, first in enumerate(seen):
                self.people[first].add(person)
                for q in range(p + 1, len(seen)):
                    worth = recipe.pair_decay ** (q - p - 1)
                    strongest[first, seen[q]] = max(strongest.get((first, seen[q]), 0.0), worth)
            for pair, worth in strongest.items():
                followed[pair] += worth
        self.followed = followed
        self.last_met: dict[str, list[int]] = defaultdict(list)
        described = [i for i in self.items if tokens.get(i)]
        count: dict[str, int] = defaultdict(int)
        for item in described:
            for token in tokens[item]:
                count[token] += 1
        self.vectors = {}
        for item in self.items:
            raw = {t: math.log(len(described) / count[t]) for t in tokens.get(item, ())}
            length = math.sqrt(sum(value * value for value in raw.values()))
            self.vectors[item] = {t: value / length for t, value in raw.items()} if length else {}

    def neighbour(self, i: str, j: str) -> float:
        both = self.followed[i, j] + self.recipe.backward * self.followed[j, i]
        weight_i = max(0.5, len(self.people[i])) ** -self.recipe.source_power
        weight_j = max(0.5, len(self.people[j])) ** -self.recipe.target_power
        return both * weight_i * weight_j

    def alike(self, i: str, j: str) -> float:
        return sum(value * self.vectors[j].get(token, 0.0) for token, value in self.vectors[i].items())

    def part(self, seen: str, item: str, age: int) -> float:
        weight = self.recipe.recency**age
        own = self.recipe.repeat * self.scale * weight**2 if seen == item else 0.0
        alike = weight**self.recipe.taste * self.recipe.content * self.scale * self.alike(seen, item)
        return weight * self.neighbour(seen, item) + alike + own


class MemoryLeases:
    def __init__(self) -> None:
        self.held: dict[str, tuple[str, int]] = {}

    def take(self, shop: str, owner: str, now: int, until: int) -> bool:
        holder = self.held.get(shop)
        if holder is not None and holder[0] != owner and holder[1] >= now:
            return False
        self.held[shop] = (owner, until)
        return True

    def release(self, shop: str, owner: str) -> None:
        if self.held.get(shop, ("", 0))[0] == owner:
            del self.held[shop]


class CatalogueOf:
    """A catalogue of a few items and what was deleted, as far as learning reads one."""

    def __init__(self, items: list[Item] = [], deleted: list[Change] = []):  # noqa: B006 -- never changed
        self.items, self.deleted = {item.id: item for item in items}, list(deleted)

    def all(self, shop: str) -> Any:
        return (item for item in self.items.values() if item.shop == shop)

    def changes(self, shop: str, after_ts: int) -> list[Change]:
        made = [Change(item.id, item.updated, item) for item in self.items.values() if item.shop == shop]
        return sorted((one for one in (*made, *self.deleted) if one.ts > after_ts), key=lambda one: one.ts)


def item(name: str, **more: Any) -> Item:
    known: dict[str, Any] = {"shop": SHOP, "id": name, "title": name.upper(), "updated": NOW - 5 * DAY_MS}
    return Item(**(known | more))
