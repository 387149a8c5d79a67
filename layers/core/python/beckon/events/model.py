"""An event, and a rejected message with its reason."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

TYPES = ("view", "click", "cart", "remove", "purchase", "refund", "search", "impression", "rating", "need", "custom")


@dataclass(frozen=True, slots=True)
class Event:
    """What one person did once. Times are UTC ms.

    `user_key` is the partition: the named user when one was sent, else the anonymous id. `anonymous_key` is the
    second identity of a message that carries both. `original_ts` is the sender's own clock and, with `message_id`,
    the event's key (a re-send is the same key); None when the sender gave no time. `ts` is corrected for that clock.
    """

    shop: str
    message_id: str
    type: str
    user_key: str
    ts: int
    original_ts: int | None
    received_ts: int
    name: str | None = None
    anonymous_key: str | None = None
    item: str | None = None
    value: float | None = None
    currency: str | None = None
    quantity: int | None = None
    order_id: str | None = None
    rec_id: str | None = None
    page: str | None = None
    referrer: str | None = None
    locale: str | None = None
    device: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the event as plain JSON values; absent fields are left out."""
        # Not asdict: it copies `properties` deeply, and this is written for every event.
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, {})}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Event":
        """Return the event `to_record` wrote; fields a newer version added are ignored."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        return cls(**({"original_ts": None} | known))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that is no event: kept for a person to read, never retried.

    `reason` is a stable code, `detail` says what was wrong and what to do, `payload` is the message as JSON text with
    raw ids replaced by pseudonyms and cut to 8 KiB, `digest` names the rejection so that a re-send is kept once.
    """

    shop: str
    reason: str
    detail: str
    field: str | None
    payload: str
    digest: str
    received_ts: int
    index: int
    message_id: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the rejection as plain JSON values; absent fields are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Rejection":
        """Return the rejection `to_record` wrote."""
        known = {name: record[name] for name in cls.__slots__ if name in record}
        return cls(**({"field": None} | known))
