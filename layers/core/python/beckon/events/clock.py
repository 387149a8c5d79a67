"""The sender's clock: reading its times, and correcting them by when the message was sent and received."""

import math
from typing import Any

from beckon.events.body import kind
from beckon.values import DAY_MS, Refused, time_ms

# Numbers below are seconds, above milliseconds: 10¹¹ s is the year 5138, 10¹¹ ms was in March 1973.
SECONDS_BELOW = 10**11
AHEAD_MS = DAY_MS
LATEST_MS = 10**13 - 1  # the year 2286; keys hold 13 digits


def sender_ms(value: Any, field: str) -> int | None:
    """Return a sender's time, ISO-8601 in any zone or an epoch in seconds or milliseconds, as UTC ms; None if none.

    Raises:
        Refused: not a time, before 1970, or after 2286.
    """
    match value:
        case None | "":
            return None
        case str():
            try:
                ts = time_ms(value)
            except (ValueError, OverflowError):
                raise Refused(
                    "bad-timestamp", f"{field} {value[:40]!r} is no time; send ISO-8601, as 2026-01-31T12:00:00Z", field
                ) from None
        case int() | float() if not isinstance(value, bool) and math.isfinite(value):
            ts = round(value * 1000) if abs(value) < SECONDS_BELOW else round(value)
        case _:
            raise Refused(
                "bad-timestamp", f"{field} must be ISO-8601 text or an epoch number, not {kind(value)}", field
            )
    if ts < 0:
        raise Refused("timestamp-before-1970", f"{field} is before 1970; send when it happened", field)
    if ts > LATEST_MS:
        raise Refused("bad-timestamp", f"{field} is after the year 2286; send when it happened", field)
    return ts


def corrected_ms(original: int | None, sent: int | None, received: int) -> int:
    """Return when it happened by our clock: received − (sent − original).

    A message without a time happened when it was received; without `sent`, the sender's clock is believed.

    Raises:
        Refused: more than 24 hours ahead of us, or before 1970.
    """
    if original is None:
        return received
    ts = original if sent is None else received - (sent - original)
    if ts > received + AHEAD_MS:
        raise Refused(
            "timestamp-ahead",
            "timestamp is more than 24 hours ahead; set the sender's clock, or send sentAt by the same clock",
            "timestamp",
        )
    if ts < 0:
        raise Refused("timestamp-before-1970", "timestamp is before 1970; send when it happened", "timestamp")
    return ts
