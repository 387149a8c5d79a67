"""What an event came of: the outcome it is, credited to the list that showed the item."""

from collections.abc import Iterable, Sequence

from beckon.conversions.model import KINDS, ORDER, Credit, Exposure, Outcome
from beckon.events.model import Event

NAMED = "rec_id"  # the event named the list that showed the item
LAST_SHOWN = "last_shown"  # the newest list in the window that showed the item


def outcome_of(event: Event, served: Sequence[Exposure], window_ms: int) -> Outcome | None:
    """Return the outcome of a click, cart, purchase or refund of an item; None for any other event.

    The whole outcome is credited to the exposure in `served` that the event names by `rec_id`, if that showed the
    item, else to the newest one of the `window_ms` up to the event that did, the greater rec_id where two are equally
    new; to none if none did. Lines of an order are known by the order, so that two reports of it are one outcome.
    """
    if event.type not in KINDS or event.item is None:
        return None
    showed = [one for one in served if any(slot.item == event.item for slot in one.slots)]
    ordered = event.order_id is not None and event.type in ("purchase", "refund")
    return Outcome(
        shop=event.shop,
        user_key=event.user_key,
        source=f"{ORDER}{event.order_id}" if ordered else event.message_id,
        item=event.item,
        kind=event.type,
        ts=event.ts,
        value=_money(event),
        currency=event.currency,
        quantity=_quantity(event),
        credits=tuple(_credits(event, showed, window_ms)),
    )


def served_until(event: Event) -> int:
    """Return the time (UTC ms) up to which a list served can be the event's cause.

    A list the event names was served before the event arrived, even if the sender's clock says otherwise.
    """
    return event.ts if event.rec_id is None else max(event.ts, event.received_ts)


def _credits(event: Event, showed: Sequence[Exposure], window_ms: int) -> Iterable[Credit]:
    first = event.ts - window_ms
    named = [one for one in showed if one.rec_id == event.rec_id and first <= one.ts <= served_until(event)]
    before = [one for one in showed if first <= one.ts <= event.ts]
    for rule, candidates in ((NAMED, named), (LAST_SHOWN, before)):
        if candidates:
            cause = max(candidates, key=lambda one: (one.ts, one.rec_id))
            return [Credit(cause.rec_id, 1.0, rule, cause.surface, cause.policy, cause.model_id, cause.variant)]
    return []


def _quantity(event: Event) -> int:
    return 1 if event.quantity is None else event.quantity


def _money(event: Event) -> float | None:
    """Return price × quantity, to a millionth; negative for a refund, whichever sign was sent."""
    if event.value is None:
        return None
    money = round(event.value * _quantity(event), 6)
    return -abs(money) if event.type == "refund" else money
