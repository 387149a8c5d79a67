"""What a person did with items, each deed once however often and in whatever order it was reported."""

from collections.abc import Iterable
from dataclasses import dataclass

from beckon.conversions.attribution import outcome_of
from beckon.conversions.model import Outcome
from beckon.events.model import Event
from beckon.values import DAY_MS

HALF_LIFE_MS = 30 * DAY_MS  # a deed says half as much a month later

# What a deed says of interest in its item. A removal takes back what the cart said, and a refund what the purchase
# did; other types say nothing.
STRENGTH = {"view": 1.0, "click": 1.0, "cart": 3.0, "remove": -3.0, "purchase": 5.0, "refund": -5.0}


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a person did with an item. `source` × `item` × `kind` is its key, as an outcome's.

    `money` is of the whole line, negative for a refund; None when none was sent.
    """

    source: str
    kind: str
    item: str
    ts: int
    money: float | None = None
    currency: str | None = None
    quantity: int = 1


def deeds(events: Iterable[Event], outcomes: Iterable[Outcome]) -> list[Deed]:
    """Return the deeds of events and outcomes, oldest first; of two reports of one deed the earlier stands.

    An event and its outcome are one deed, and so are two reports of an order's line.
    """
    found = [deed for event in events if (deed := _of_event(event)) is not None]
    found += [_of_outcome(outcome) for outcome in outcomes if outcome.kind in STRENGTH]
    first: dict[tuple[str, str, str], Deed] = {}
    for deed in found:
        key = deed.source, deed.item, deed.kind
        first[key] = min(first.get(key, deed), deed, key=lambda one: (one.ts, repr(one)))
    return sorted(first.values(), key=_in_time)


def strengths(done: Iterable[Deed], now: int) -> list[tuple[Deed, float]]:
    """Return each deed with what it says at `now` (UTC ms): w = STRENGTH[kind] · 2^(−age / HALF_LIFE_MS).

    An item counts once a UTC day and kind, by the day's first deed, so that a page reloaded all day is one look. A
    deed of the future, by a wrong clock, has age 0.
    """
    first: dict[tuple[int, str, str], Deed] = {}
    for deed in sorted(done, key=_in_time):
        first.setdefault((deed.ts // DAY_MS, deed.item, deed.kind), deed)
    return [(deed, STRENGTH[deed.kind] * decay(deed.ts, now)) for deed in first.values()]


def decay(ts: int, now: int) -> float:
    """Return 2^(−age / HALF_LIFE_MS), 1 for what is yet to come."""
    return float(2.0 ** (-max(now - ts, 0) / HALF_LIFE_MS))


def _of_event(event: Event) -> Deed | None:
    outcome = outcome_of(event, (), 0)
    if outcome is not None:
        return _of_outcome(outcome)
    if event.type not in STRENGTH or event.item is None:
        return None
    return Deed(event.message_id, event.type, event.item, event.ts, event.value, event.currency)


def _of_outcome(outcome: Outcome) -> Deed:
    return Deed(
        outcome.source, outcome.kind, outcome.item, outcome.ts, outcome.value, outcome.currency, outcome.quantity
    )


def _in_time(deed: Deed) -> tuple[int, str, str, str]:
    return deed.ts, deed.source, deed.item, deed.kind
