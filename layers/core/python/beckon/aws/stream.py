"""Records of the table's stream."""

from collections.abc import Mapping
from typing import Any

from beckon.aws.table import body_of
from beckon.events.model import Event


def event_of(record: Mapping[str, Any]) -> Event | None:
    """Return the event that a stream record brings; None if what it brings is no event.

    Such a record is not kept here: archive reads the same stream and keeps it with its reason.
    """
    try:
        return Event.from_record(body_of(record["dynamodb"]["NewImage"]))
    except (KeyError, TypeError, ValueError):
        return None
