"""Records of the table's stream."""

from collections.abc import Mapping
from typing import Any

from beckon.aws.table import body_of, user_partition
from beckon.events.model import Event

_TEXTS = ("shop", "message_id", "type", "user_key")
_MAYBE_TEXTS = ("anonymous_key", "item", "currency", "order_id", "rec_id")
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, where datetime ends


def event_of(record: Mapping[str, Any]) -> Event | None:
    """Return the event that a stream record brings; None if what it brings is no event, or another than its key says.

    Such a record would fail again however often it came, and hold up all behind it. It is not kept here: archive reads
    the same stream and keeps it with its reason.
    """
    try:
        change = record["dynamodb"]
        event = Event.from_record(body_of(change["NewImage"]))
        owner = user_partition(event.shop, event.user_key)
        return event if _is_sound(event) and owner == change["Keys"]["PK"]["S"] else None
    except (KeyError, TypeError, ValueError):
        return None


def _is_sound(event: Event) -> bool:
    return (
        all(isinstance(getattr(event, name), str) for name in _TEXTS)
        and all(isinstance(getattr(event, name), str | None) for name in _MAYBE_TEXTS)
        and all(isinstance(ts, int) and 0 <= ts <= _LAST_MS for ts in (event.ts, event.received_ts))
        and isinstance(event.value, int | float | None)
        and isinstance(event.quantity, int | None)
    )
