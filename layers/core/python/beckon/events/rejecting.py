"""What is kept of a message that is no event: its reason, and no more of it than may be."""

import hashlib
from typing import Any

import orjson

from beckon.events.content import bounded
from beckon.events.delivery import Delivery
from beckon.events.model import Rejection
from beckon.values import Identity, Refused, user_key

PAYLOAD_BYTES = 8 * 1024

# Nothing is kept of these: the first by the wish of the person, the second because the sender sends them again.
UNKEPT = {"opted-out", "too-many-events"}

VOLATILE = ("sentAt", "writeKey")  # differ between two sendings of one message
_IDENTITIES: tuple[tuple[str, Identity], ...] = (("userId", "user"), ("anonymousId", "anonymous"))
_SHOWN = ("type", "event", "name", "messageId", "timestamp", "originalTimestamp", "properties")


def rejection_of(message: Any, index: int, delivery: Delivery, refusal: Refused) -> Rejection:
    """Return the rejection that keeps a refused message; its digest is the same whenever it is sent."""
    given = message.get("messageId") if isinstance(message, dict) else None
    message_id = given[:256] if isinstance(given, str) else None
    payload = "" if refusal.code in UNKEPT else _payload(message, delivery)
    try:
        volatile = VOLATILE if isinstance(message, dict) else ()
        kept = {k: v for k, v in message.items() if k not in volatile} if isinstance(message, dict) else message
        content = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        content = f"{message_id} {payload}".encode("utf-8", "surrogatepass")
    # Keyed, since the content may hold an id that could be guessed.
    digest = user_key(
        delivery.secret, delivery.shop, "anonymous", f"{refusal.code} {hashlib.sha256(content).hexdigest()}"
    )
    return Rejection(
        shop=delivery.shop,
        reason=refusal.code,
        detail=refusal.detail,
        field=refusal.field,
        payload=payload,
        digest=digest,
        received_ts=delivery.received_ts,
        index=index,
        message_id=None if message_id is None else message_id.encode("utf-8", "replace").decode(),
    )


def _payload(message: Any, delivery: Delivery) -> str:
    """Return what of a rejected message may be kept: no traits, no context, pseudonyms for ids, at most 8 KiB."""
    if not isinstance(message, dict):
        return ""
    shown = {name: message[name] for name in _SHOWN if name in message}
    ids = [v for name in ("userId", "anonymousId", "previousId") if isinstance(v := message.get(name), str) and v]
    for name, identity in _IDENTITIES:
        if isinstance(message.get(name), str):
            shown[name] = delivery.pseudonym(identity, message[name])
    try:
        if isinstance(shown.get("properties"), dict):
            shown["properties"] = bounded(shown["properties"], tuple(ids))[0]
        text = orjson.dumps(shown)
    except TypeError:  # too deep, or half a character
        return ""
    return text[:PAYLOAD_BYTES].decode("utf-8", "ignore")
