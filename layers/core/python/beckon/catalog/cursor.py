"""Where a listing goes on: an opaque text that another shop's caller, or a typing error, cannot use."""

import base64
import hashlib
import json

from beckon.values import KEY_PART_BYTES, Refused

_CHECK_BYTES = 6
_LONGEST = KEY_PART_BYTES + 1  # a key part, or the mark and digest of a longer one

type Place = tuple[int, str]  # listing bucket, and the sort key last listed


def encode(shop: str, place: Place) -> str:
    """Return the cursor of `place`."""
    content = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(shop, content) + content).decode().rstrip("=")


def decode(shop: str, cursor: str) -> Place:
    """Return the place of a cursor.

    The check is against mistakes; it keeps no secret, since a place is only ever looked up among the shop's own items.

    Raises:
        Refused: the text is no cursor of this shop.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        place = json.loads(content)
    except ValueError:
        raise _foreign() from None
    match place:
        case [int(bucket), str(after)] if check == _check(shop, content) and after.isascii() and len(after) <= _LONGEST:
            if encode(shop, (bucket, after)) == cursor:  # and not merely another spelling of it
                return bucket, after
    raise _foreign()


def _foreign() -> Refused:
    return Refused("invalid-request", "the cursor is not one this shop was given; list from the start", "cursor")


def _check(shop: str, content: bytes) -> bytes:
    return hashlib.sha256(shop.encode() + b"\0" + content).digest()[:_CHECK_BYTES]
