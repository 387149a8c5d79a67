"""Taking a request's messages: a verdict for each, given only after every event is durable."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from beckon.events.delivery import Delivery
from beckon.events.model import Event, Rejection
from beckon.events.parsing import Accepted, parse
from beckon.events.ports import Bots, EventLog, Rejections
from beckon.events.rejecting import UNKEPT

WRITERS = 16
MOST_KEPT = 100

type Write = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request's messages. `index` of a note is None where it is about all of them."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...]
    notes: tuple[tuple[int | None, str | None, str], ...]

    def to_answer(self) -> dict[str, Any]:
        """Return the answer's JSON: sent = accepted + rejected, duplicates are part of accepted."""
        return {
            "success": True,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": [
                {"index": r.index, "message_id": r.message_id, "code": r.reason, "detail": r.detail, "field": r.field}
                for r in self.rejected
            ],
            "notes": [{"index": index, "message_id": mid, "note": note} for index, mid, note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Collection:
    """Collects events. Safe to run twice: what was written before is a duplicate."""

    events: EventLog
    rejections: Rejections
    bots: Bots

    def take(self, messages: Sequence[Any], delivery: Delivery) -> Verdict:
        """Return the verdict on each message, when all that is accepted and all that is kept is durable.

        A fault of the store raises after the writes under way have ended: the sender sends all of it again, and what
        had been written is then a duplicate.
        """
        verdicts = [parse(message, index, delivery, self.bots) for index, message in enumerate(messages)]
        rejected = tuple(one for one in verdicts if isinstance(one, Rejection))
        keepable = [one for one in rejected if one.reason not in UNKEPT]
        first, later = _first_of_each(verdicts)
        new = _all_of(
            [lambda event=event: self.events.append(event) for event in first]
            + [lambda one=one: _kept(self.rejections, one) for one in keepable[:MOST_KEPT]]
        )
        are_new = dict(zip((_identity(event) for event in first), new, strict=False))
        accepted = duplicates = 0
        notes: list[tuple[int | None, str | None, str]] = []
        for index, one in enumerate(verdicts):
            if isinstance(one, Rejection):
                continue
            accepted += 1
            written = [are_new[_identity(event)] for event in one.events if (index, _identity(event)) not in later]
            duplicates += not any(written)
            notes.extend((index, one.message_id, note) for note in one.notes)
        if len(keepable) > MOST_KEPT:
            notes.append(
                (None, None, f"{len(keepable) - MOST_KEPT} rejected messages beyond {MOST_KEPT} were not kept")
            )
        return Verdict(accepted, duplicates, rejected, tuple(notes))


type Key = tuple[str, bool, int | None, str]


def _identity(event: Event) -> Key:
    """Return what makes an event the same event as another, as the log's key does."""
    return event.user_key, event.type == "impression", event.original_ts, event.message_id


def _first_of_each(verdicts: Sequence[Accepted | Rejection]) -> tuple[list[Event], set[tuple[int, Key]]]:
    """Return each event once, as first sent, and where in the request the others are."""
    first: dict[Key, Event] = {}
    later: set[tuple[int, Key]] = set()
    for index, one in enumerate(verdicts):
        if isinstance(one, Rejection):
            continue
        for event in one.events:
            key = _identity(event)
            if key in first:
                later.add((index, key))
            else:
                first[key] = event
    return list(first.values()), later


def _kept(rejections: Rejections, rejection: Rejection) -> bool:
    rejections.keep(rejection)
    return True


def _all_of(writes: Sequence[Write]) -> list[bool]:
    """Return what each write said, all being done; the first fault ends those not yet begun, and raises."""
    new = [False] * len(writes)
    lanes = min(WRITERS, len(writes))
    failed = threading.Event()

    def write_lane(lane: int) -> None:
        for position in range(lane, len(writes), lanes):
            if failed.is_set():
                return
            try:
                new[position] = writes[position]()
            except BaseException:
                failed.set()
                raise

    if lanes <= 1:
        for lane in range(lanes):
            write_lane(lane)
        return new
    with ThreadPoolExecutor(lanes) as pool:  # a lane each, since a future for each write costs more than the rest
        futures = [pool.submit(write_lane, lane) for lane in range(lanes)]
    for future in futures:
        future.result()
    return new
