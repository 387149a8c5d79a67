"""The words every room shares: shops, pseudonymous user keys, time in UTC milliseconds, and a caller's mistake."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import quote

SECOND_MS = 1_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
KEY_PART_BYTES = 200

type Identity = Literal["user", "anonymous"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Refused(ValueError):
    """A caller's mistake: a stable `code`, the `field` at fault, and in `detail` what is wrong and what to do.

    One place (`beckon.aws.http`) maps the code to an HTTP status.
    """

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.field = code, detail, field


def shop_id(text: str) -> str:
    """Return `text` if it can name a shop: 1-63 lower-case letters, digits and hyphens.

    Raises:
        Refused: any other text; a shop's id starts every key and path, so it must need no escaping.
    """
    if not _SHOP.fullmatch(text):
        raise Refused("bad-shop", f"shop {text[:80]!r} must be 1-63 lower-case letters, digits or hyphens", "shop")
    return text


def user_key(secret: bytes, shop: str, identity: Identity, caller_id: str) -> str:
    """Return the pseudonym under which a person is kept: 32 hex digits, HMAC-SHA256 truncated to 128 bits.

    The message is shop ‖ 0x00 ‖ identity ‖ 0x00 ‖ id. No raw id is at rest, the same id in two shops has no link,
    and an anonymous id that spells a named user's id is still somebody else.
    """
    message = b"\0".join((shop.encode(), identity.encode(), caller_id.encode("utf-8", "surrogatepass")))
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]


def stranger_key(shop: str, rec_id: str) -> str:
    """Return the key under which a list served to nobody known is kept: anyone who holds its rec_id can find it.

    No secret is needed, since a rec_id says nothing about a person: 32 hex digits of SHA-256(shop ‖ 0x00 ‖ rec_id).
    """
    return hashlib.sha256(b"\0".join((shop.encode(), rec_id.encode("utf-8", "surrogatepass")))).hexdigest()[:32]


def key_part(text: str) -> str:
    """Return caller-supplied `text` as a part of a table key: percent-encoded, and hashed beyond 200 bytes."""
    encoded = quote(text, safe="", errors="surrogatepass")
    if len(encoded) <= KEY_PART_BYTES:
        return encoded
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def time_ms(text: str) -> int:
    """Return an ISO-8601 time as UTC ms; a time without zone is UTC.

    Raises:
        ValueError: not an ISO-8601 time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND  # whole numbers: by way of a float, one time in 150 is 1 ms early


def iso(ts: int) -> str:
    """Return UTC ms as ISO-8601 with milliseconds and `Z`."""
    return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day(ts: int) -> str:
    """Return the UTC date of `ts` as YYYY-MM-DD, the lake's `dt`."""
    return datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d")
