"""The loop inside this process: the wire parser, the ranking and the graph of the product, over stores in memory."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

from beckon.artefact.model import MANIFEST, Pointer
from beckon.catalog.ports import Change
from beckon.conversions.model import Exposure
from beckon.events.bots import DeclaredBots
from beckon.events.model import Event, Rejection
from beckon.events.parsing import Delivery, parse
from beckon.ranking.model import Request, new_rec_id
from beckon.ranking.models import Models
from beckon.ranking.scorer import OnnxScorer
from beckon.ranking.service import Recommending
from beckon.values import DAY_MS
from infra.demo.client import Failed
from infra.demo.experiment import Shown, Surface
from infra.demo.messages import Message

SHOP = "default"
SECRET = b"of a shop that exists in memory alone"
RETENTION_MS = 180 * DAY_MS
MODEL_BYTES = 1 << 30


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

    def models(self, shop: str) -> list[str]:  # noqa: ARG002 - the port's
        """Return the ids of models that have a manifest, newest first."""
        return sorted({model_id for model_id, name in self._files if name == MANIFEST}, reverse=True)


class NoChanges:
    """A catalogue that has not changed since the model was made."""

    def changes(self, shop: str, after_ts: int) -> Sequence[Change]:  # noqa: ARG002 - the port's
        """Return nothing."""
        return ()


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
            catalogue=NoChanges(),
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
