"""A caller, and the keys by which callers are known."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

type Scope = Literal["write", "secret"]
type KeyKind = Literal["write", "secret", "access"]

PREFIXES = {"write": "wk_", "secret": "sk_"}

_ID = re.compile(r"AK[A-Z0-9]{18}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the shop, and whether by its public write key or by its secret key."""

    shop: str
    kind: Scope


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of a key: never the key itself, but its id (see `key_id`), shop, kind and time (UTC ms)."""

    id: str
    shop: str
    kind: KeyKind
    created: int

    def to_record(self) -> dict[str, Any]:
        """Return the key as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "StoredKey":
        """Return the key `to_record` wrote; fields a newer version added are ignored."""
        return cls(**{name: record[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A key just made: what is stored of it, and the text its holder gets to see once."""

    stored: StoredKey
    text: str


def is_key_id(text: str) -> bool:
    """Whether `text` is a key's id rather than a key."""
    return _ID.fullmatch(text) is not None


def key_id(text: str) -> str:
    """Return the id under which a write or secret key is stored: its sha256. An access key id is its own."""
    # A plain hash is enough: the keys are random and long, so there is nothing to guess from it.
    return text if is_access_key_id(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_access_key_id(text: str) -> bool:
    """Whether `text` has the form of an access key id: AK and 18 upper-case letters or digits."""
    return text.startswith("AK") and is_key_id(text)


def secret_access_key(secret: bytes, access_key_id: str) -> str:
    """Return an access key's secret half: derived, HMAC-SHA256(secret, id), so that it is kept nowhere."""
    digest = hmac.new(secret, access_key_id.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def fresh_key(shop: str, kind: KeyKind, now: int, random: Callable[[int], bytes]) -> FreshKey:
    """Return a new key of `kind` from `random` bytes: 90 bits for an access key id, which is no secret, else 192."""
    if kind == "access":
        text = "AK" + base64.b32encode(random(12)).decode()[:18]
    else:
        text = PREFIXES[kind] + base64.urlsafe_b64encode(random(24)).decode()
    return FreshKey(StoredKey(key_id(text), shop, kind, now), text)
