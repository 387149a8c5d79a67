"""The loop inside this process: the wire parser, the ranking and the graph of the product, over stores in memory."""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

from beckon.artefact.model import MANIFEST, Pointer
from beckon.artefact.ports import Stored
from beckon.catalog.model import Item
from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure
from beckon.events.bots import DeclaredBots
from beckon.events.delivery import Delivery
from beckon.events.model import Event, Rejection
from beckon.events.parsing import parse
from beckon.lake.archive import objects_of
from beckon.lake.rows import Placed
from beckon.lake.schema import DATASETS
from beckon.learning.service import Retraining
from beckon.ranking.model import Request, new_rec_id
from beckon.ranking.models import Models
from beckon.ranking.scorer import OnnxScorer
from beckon.ranking.service import Recommending
from beckon.values import DAY_MS, day
from infra.demo.client import Failed
from infra.demo.experiment import Shown, Surface
from infra.demo.messages import Message
from infra.demo.shop import Product, Shop

SHOP = "default"
SECRET = b"of a shop that exists in memory alone"
RETENTION_MS = 180 * DAY_MS
MODEL_BYTES = 1 << 30
RUN_MS = 900_000  # what a retrain is given


class MemoryHistory:
    """What people did, by person. A fake of ranking's `History`, for one shop."""

    def __init__(self) -> None:
        self._by_person: dict[str, list[Event]] = defaultdict(list)

    def add(self, event: Event) -> None:
        """Keep an event."""
        self._by_person[event.user_key].append(event)

    def recent(
        self,
        shop: str,  # noqa: ARG002 - the port's
        user_key: str,
        *,
        types: frozenset[str],
        limit: int,
        since: int,
        now: int,  # noqa: ARG002 - nothing expires here
    ) -> list[Event]:
        """Return a person's newest events that name an item, newest first."""
        mine = [e for e in self._by_person[user_key] if e.type in types and e.item is not None and e.ts >= since]
        return sorted(mine, key=lambda event: (event.ts, event.message_id), reverse=True)[:limit]


class MemoryModels:
    """Model files and one pointer. A fake of `ModelStore`, for one shop."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], bytes] = {}
        self._pointer: Pointer | None = None

    def pointer(self, shop: str, known_etag: str | None = None) -> Pointer | None:  # noqa: ARG002 - the port's
        """Return the pointer unless it still has `known_etag`."""
        return None if self._pointer is None or self._pointer.etag == known_etag else self._pointer

    def move(self, shop: str, pointer: Pointer, expected_etag: str | None) -> bool:  # noqa: ARG002 - the port's
        """Move the pointer if it still has `expected_etag`."""
        if (self._pointer.etag if self._pointer else None) != expected_etag:
            return False
        self._pointer = replace(pointer, etag=pointer.model_id)
        return True

    def read(self, shop: str, model_id: str, name: str) -> bytes:  # noqa: ARG002 - the port's
        """Return a file. Raises FileNotFoundError if there is none."""
        if (model_id, name) not in self._files:
            raise FileNotFoundError(name)
        return self._files[model_id, name]

    def write(self, shop: str, model_id: str, name: str, content: bytes) -> None:  # noqa: ARG002 - the port's
        """Keep a file."""
        self._files[model_id, name] = content

    def files(self, shop: str) -> Iterator[Stored]:  # noqa: ARG002 - the port's
        """Yield the files, all written just now: nothing here grows old."""
        return (Stored(model_id, name, sys.maxsize) for model_id, name in list(self._files))

    def delete(self, shop: str, model_id: str, name: str) -> None:  # noqa: ARG002 - the port's
        """Remove a file."""
        self._files.pop((model_id, name), None)

    def models(self, shop: str) -> list[str]:  # noqa: ARG002 - the port's
        """Return the ids of models that have a manifest, newest first."""
        return sorted({model_id for model_id, name in self._files if name == MANIFEST}, reverse=True)


class MemoryLake:
    """Objects by key. A fake of `LakeStore`."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = dict(objects)

    def list(self, prefix: str) -> list[str]:
        """Return the keys that start with `prefix`, sorted."""
        return sorted(key for key in self._objects if key.startswith(prefix))

    def versions(self, prefix: str) -> dict[str, str]:
        """Return the keys that start with `prefix`, with a digest of what they hold."""
        return {key: hashlib.sha256(self._objects[key]).hexdigest() for key in self.list(prefix)}

    def read(self, key: str) -> bytes:
        """Return an object. Raises FileNotFoundError if there is none."""
        if key not in self._objects:
            raise FileNotFoundError(key)
        return self._objects[key]

    def write(self, key: str, content: bytes) -> None:
        """Put an object."""
        self._objects[key] = content

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._objects.pop(key, None)


class FixedCatalogue:
    """A catalogue that never changes. A fake of what learning and ranking ask of `Catalogue`."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = {item.id: item for item in items}

    def put(self, items: Sequence[Item]) -> int:
        """Keep items."""
        self._items |= {item.id: item for item in items}
        return len(items)

    def get(self, shop: str, item_id: str) -> Item | None:  # noqa: ARG002 - the port's
        """Return an item."""
        return self._items.get(item_id)

    def delete(self, shop: str, item_id: str, now: int) -> bool:  # noqa: ARG002 - the port's
        """Remove an item."""
        return self._items.pop(item_id, None) is not None

    def page(self, shop: str, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:  # noqa: ARG002
        """Return all items as one page."""
        return list(self._items.values()), None

    def all(self, shop: str) -> Iterator[Item]:  # noqa: ARG002 - the port's
        """Yield every item."""
        yield from self._items.values()

    def changes(self, shop: str, after_ts: int) -> list[Change]:  # noqa: ARG002 - the port's
        """Return nothing: there are none."""
        return []


class NobodyElse:
    """A lease that is always free. A fake of `Leases`, for one process."""

    def take(self, shop: str, owner: str, now: int, until: int) -> bool:  # noqa: ARG002 - the port's
        """Return that it was taken."""
        return True

    def release(self, shop: str, owner: str) -> None:
        """Do nothing."""


class Forgotten:
    """A log of exposures that keeps none: the nulls count conversions from the shoppers themselves."""

    def log(self, exposure: Exposure) -> None:
        """Do nothing."""


class AtOnce(Executor):
    """Does its work while it is asked."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of work that is done."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Inside:
    """A `Loop` in this process, from a time on, with a clock that goes on by a second at each look."""

    def __init__(self, models: MemoryModels, start: int) -> None:
        self.history = MemoryHistory()
        self._clock = start
        self._lists = 0
        self._bots = DeclaredBots()
        self._recommending = Recommending(
            models=Models(models, OnnxScorer.open, AtOnce(), MODEL_BYTES),
            history=self.history,
            catalogue=FixedCatalogue(),
            exposures=Forgotten(),
            retention_ms=RETENTION_MS,
            pool=AtOnce(),
        )

    def now(self) -> int:
        """Return the clock's time in UTC ms."""
        self._clock += 1_000
        return self._clock

    def send(self, messages: Sequence[Message]) -> None:
        """Take messages as `collect` does. Raises Failed for one that is no event: the nulls send good ones only."""
        for event in events_of(messages, self._clock):
            self.history.add(event)

    def show(self, shopper: str, surface: Surface, k: int) -> Shown:
        """Return a list as `recommend` ranks it."""
        now = self.now()
        self._lists += 1
        rec_id = new_rec_id(now, self._lists.to_bytes(10))
        key = Delivery(SHOP, SECRET, now, RETENTION_MS).pseudonym("anonymous", shopper)
        served = self._recommending.recommend(SHOP, (key,), Request(surface, k), rec_id, now)
        return Shown(rec_id, tuple(slot.id for slot in served.ranking.items))


def learn(shop: Shop, events: Sequence[Event], now: int) -> MemoryModels:
    """Return a store with the model that `retrain` makes of the events and the shop's catalogue.

    Raises:
        Failed: no model was promoted.
    """
    models = MemoryModels()
    items = [parsed_item(product, now) for product in shop.products]
    training = Retraining(MemoryLake(lake_of(events)), FixedCatalogue(items), models, NobodyElse(), lambda: [SHOP])
    result = training.retrain(SHOP, "nulls", now, lambda: RUN_MS)
    if not result["promoted"]:
        raise Failed(f"no model: {result}")
    return models


def lake_of(events: Sequence[Event]) -> dict[str, bytes]:
    """Return the lake's objects of the events, as `archive` writes them."""
    placed = [
        Placed("events", SHOP, day(event.received_ts), _row(event), sequence) for sequence, event in enumerate(events)
    ]
    return objects_of(placed)


def parsed_item(product: Product, now: int) -> Item:
    """Return a product as the catalogue keeps it."""
    record = product.to_item() | {"shop": SHOP, "updated": now - DAY_MS}
    return Item.from_record(record)


def _row(event: Event) -> dict[str, Any]:
    record = event.to_record()
    row = {name: record.get(name) for name in DATASETS["events"].schema.names}
    return row | {"properties": json.dumps(dict(event.properties))}


def events_of(messages: Sequence[Message], received: int) -> list[Event]:
    """Return the events that messages are parsed to. Raises Failed for a message that is none."""
    delivery = Delivery(SHOP, SECRET, received, RETENTION_MS)
    events: list[Event] = []
    for index, message in enumerate(messages):
        parsed = parse(message, index % 1_000, delivery, DeclaredBots())
        if isinstance(parsed, Rejection):
            raise Failed(f"a message of the simulated shop was refused: {parsed.detail}")
        events.extend(parsed.events)
    return events
