"""Where each entity lives in the one table: partition and sort keys, and the JSON body under `body`.

Events, exposures, outcomes, items and rejections are stored as `PK, SK, body` (JSON text) and, where they expire,
`ttl` (epoch seconds). Counters keep plain number attributes, because they are added to.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from beckon.conversions.counters import CounterName
from beckon.conversions.model import Exposure, Outcome
from beckon.events.model import Event, Rejection
from beckon.values import SECOND_MS, key_part

REJECTION_SHARDS = 8
LISTING_BUCKETS = 8
METRIC_SHARDS = 8

type Key = tuple[str, str]


def at(key: Key) -> dict[str, Any]:
    """Return a key as the attributes the client wants."""
    partition, sort = key
    return {"PK": {"S": partition}, "SK": {"S": sort}}


def row(key: Key, body: Mapping[str, Any], expires: int | None = None) -> dict[str, Any]:
    """Return a row as the attributes the client wants; it is removed some time after `expires` (UTC ms)."""
    kept = at(key) | {"body": {"S": orjson.dumps(body).decode()}}
    return kept if expires is None else kept | {"ttl": {"N": str(expires // SECOND_MS)}}


def body_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a row."""
    body: dict[str, Any] = orjson.loads(stored["body"]["S"])
    return body


def user_partition(shop: str, user_key: str) -> str:
    """Return the partition of one person: events, exposures, outcomes, profile."""
    return f"{shop}#U#{user_key}"


def event_key(event: Event) -> Key:
    """Return `E#` (impressions `V#`, so that they do not starve the history page) by the sender's own time and id."""
    prefix = "V" if event.type == "impression" else "E"
    ts = event.ts if event.original_ts is None else event.original_ts
    return user_partition(event.shop, event.user_key), f"{prefix}#{ts:013d}#{key_part(event.message_id)}"


def seen_key(event: Event) -> Key:
    """Return the marker that makes an event without a time of its own known by its message id alone."""
    return user_partition(event.shop, event.user_key), f"N#{key_part(event.message_id)}"


def rejection_key(rejection: Rejection) -> Key:
    """Return a shard of the shop's rejections and the rejection's own digest."""
    return f"{rejection.shop}#R#{_bucket(rejection.digest, REJECTION_SHARDS)}", f"R#{rejection.digest}"


def exposure_key(exposure: Exposure) -> Key:
    """Return the exposure's place in its user's partition, by time served."""
    return user_partition(exposure.shop, exposure.user_key), f"X#{exposure.ts:013d}#{exposure.rec_id}"


def exposure_range(since: int, until: int) -> Key:
    """Return the first and the last sort key of a person's exposures served from `since` to `until`, inclusive."""
    return f"X#{max(since, 0):013d}#", f"X#{max(until, 0):013d}$"  # "$" follows "#"


def outcome_key(outcome: Outcome) -> Key:
    """Return the outcome's place in its user's partition: source event × item × kind."""
    parts = "#".join((key_part(outcome.source), key_part(outcome.item), outcome.kind))
    return user_partition(outcome.shop, outcome.user_key), f"O#{parts}"


def order_key(outcome: Outcome) -> Key:
    """Return the mark that an order's line was recorded, whoever reported it."""
    return f"{outcome.shop}#S#{key_part(outcome.source)}", f"S#{key_part(outcome.item)}#{outcome.kind}"


def counter_key(shop: str, user_key: str, name: CounterName) -> Key:
    """Return the counter's item in one of the shop's shards, by person so that one person's lines share it."""
    parts = "#".join(key_part(part) for part in (name.surface, name.policy, name.model, name.variant))
    return f"{shop}#M#{_bucket(user_key, METRIC_SHARDS)}", f"H#{name.hour}#{parts}"


def item_key(shop: str, item: str) -> Key:
    """Return the item's own partition."""
    return f"{shop}#I#{key_part(item)}", "I"


def listing_key(shop: str, item: str) -> Key:
    """Return the item's line in one of the shop's listing buckets, so that items can be listed without a Scan."""
    return listing_partition(shop, _bucket(item, LISTING_BUCKETS)), key_part(item)


def listing_partition(shop: str, bucket: int) -> str:
    """Return the partition of one of the shop's listing buckets, 0 … LISTING_BUCKETS − 1."""
    return f"{shop}#IL#{bucket}"


def change_key(shop: str, ts: int, item: str) -> Key:
    """Return the line of the shop's catalogue change log, in time order."""
    return f"{shop}#D", f"{ts:013d}#{key_part(item)}"


def credential_key(key_id: str) -> Key:
    """Return where a key is looked up by its id: the sha256 of a plain key, or an access key id."""
    return f"K#{key_id}", "K"


def credential_listing_key(shop: str, key_id: str) -> Key:
    """Return the key's line in its shop's list of keys."""
    return f"{shop}#K", key_id


def shop_key(shop: str) -> Key:
    """Return the shop's line in the list of all shops."""
    return "SHOPS", shop


def lease_key(shop: str) -> Key:
    """Return where a run says that it is training the shop's model."""
    return f"{shop}#C", "L#retrain"


def _bucket(text: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]) % buckets
