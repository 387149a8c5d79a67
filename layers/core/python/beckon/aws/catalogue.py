"""Items in the table: under their id, in a listing, and as lines of the shop's change log, all in one transaction."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import ClientError

from beckon.aws.table import (
    LISTING_BUCKETS,
    Key,
    at,
    body_of,
    change_key,
    item_key,
    listing_key,
    listing_partition,
    row,
)
from beckon.aws.transactions import MAX_ACTIONS, transact
from beckon.catalog import cursor as cursors
from beckon.catalog.model import Item
from beckon.catalog.ports import Change
from beckon.values import DAY_MS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHANGE_DAYS = 90  # a scorer whose model is older starts from a newer model, or from every item
_ACTIONS_AN_ITEM = 3
_MOST_READ = 100  # keys of a batch read
_READ_WAITS_SECONDS = (0.05, 0.2, 0.8)


class DynamoCatalogue:
    """The adapter of `catalog.ports.Catalogue`.

    The listing and the change log repeat the item's body, so that a page of items or of changes is one Query: items
    are read by the thousand and written one by one. A deleted item leaves its time behind for as long as its change
    line, so that an item put again later is later than its deletion, whatever the clocks say.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def put(self, items: Sequence[Item]) -> int:
        """Write the items that differ, 33 a transaction: what one fault leaves unwritten, sending again writes."""
        latest = {(item.shop, item.id): item for item in items}
        changed = 0
        for some in batched(latest.values(), MAX_ACTIONS // _ACTIONS_AN_ITEM, strict=False):
            kept = self._kept([item_key(item.shop, item.id) for item in some])
            differing = [new for item in some if (new := _successor(item, kept)) is not None]
            if differing:
                transact(self._client, [action for item in differing for action in self._puts(item)])
            changed += len(differing)
        return changed

    def get(self, shop: str, item_id: str) -> Item | None:
        """Return the item, by a consistent read."""
        kept = self._kept([item_key(shop, item_id)]).get(item_key(shop, item_id), {"deleted": 0})
        return None if "deleted" in kept else Item.from_record(kept)

    def named(self, shop: str, ids: Sequence[str]) -> dict[str, Item]:
        """Return those of the items that exist, by id: a consistent batch read a hundred."""
        found: dict[str, Item] = {}
        for some in batched(dict.fromkeys(ids), _MOST_READ, strict=False):
            kept = self._kept([item_key(shop, item_id) for item_id in some])
            items = (Item.from_record(body) for body in kept.values() if "deleted" not in body)
            found |= {item.id: item for item in items}
        return found

    def delete(self, shop: str, item_id: str, now: int) -> bool:
        """Take the item out of its three places, if it is there."""
        kept = self._kept([item_key(shop, item_id)]).get(item_key(shop, item_id))
        if kept is None or "deleted" in kept:
            return False
        ts = max(now, _changed(kept) + 1)
        expires = ts + CHANGE_DAYS * DAY_MS
        gone = row(item_key(shop, item_id), {"deleted": ts}, expires)
        line = row(change_key(shop, ts, item_id), {"id": item_id}, expires)
        transact(
            self._client,
            [
                {"Put": {"TableName": self._table, "Item": gone}},
                {"Delete": {"TableName": self._table, "Key": at(listing_key(shop, item_id))}},
                {"Put": {"TableName": self._table, "Item": line}},
            ],
        )
        return True

    def page(self, shop: str, limit: int, cursor: str | None) -> tuple[list[Item], str | None]:
        """Return up to `limit` items, listing bucket by listing bucket."""
        start = (0, "") if cursor is None else cursors.decode(shop, cursor)
        found = list(islice(self._listing(shop, start, limit + 1), limit + 1))
        more = len(found) > limit
        return [item for _, item in found[:limit]], cursors.encode(shop, found[limit - 1][0]) if more else None

    def all(self, shop: str) -> Iterator[Item]:
        """Yield every item, a megabyte a read."""
        return (item for _, item in self._listing(shop, (0, ""), None))

    def changes(self, shop: str, after_ts: int) -> list[Change]:
        """Return the change lines after `after_ts`, by a consistent read."""
        partition, _ = change_key(shop, 0, "")
        rows = self._query(partition, "SK >= :sk", f"{max(after_ts + 1, 0):013d}", None)
        return [_change(stored) for stored in rows]

    def _puts(self, item: Item) -> list[Any]:
        record = item.to_record()
        expires = item.updated + CHANGE_DAYS * DAY_MS
        rows = (
            row(item_key(item.shop, item.id), record),
            row(listing_key(item.shop, item.id), record),
            row(change_key(item.shop, item.updated, item.id), {"id": item.id, "item": record}, expires),
        )
        return [{"Put": {"TableName": self._table, "Item": one}} for one in rows]

    def _kept(self, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
        """Return the bodies under those of at most _MOST_READ keys that exist."""
        found: dict[Key, dict[str, Any]] = {}
        asked: Any = {self._table: {"Keys": [at(key) for key in keys], "ConsistentRead": True}}
        for wait in (*_READ_WAITS_SECONDS, None):
            answer = self._client.batch_get_item(RequestItems=asked)
            stored = answer["Responses"].get(self._table, [])
            found.update({(one["PK"]["S"], one["SK"]["S"]): body_of(one) for one in stored})
            asked = answer.get("UnprocessedKeys")
            if not asked:
                return found
            if wait is not None:
                time.sleep(wait)
        busy: Any = {"Error": {"Code": "ThrottlingException", "Message": "keys were left unprocessed, again and again"}}
        raise ClientError(busy, "BatchGetItem")

    def _listing(self, shop: str, start: cursors.Place, limit: int | None) -> Iterator[tuple[cursors.Place, Item]]:
        first, after = start
        for bucket in range(first, LISTING_BUCKETS):
            partition = listing_partition(shop, bucket)
            for stored in self._query(partition, "SK > :sk", (after if bucket == first else "") or " ", limit):
                yield (bucket, stored["SK"]["S"]), Item.from_record(body_of(stored))

    def _query(self, partition: str, condition: str, sort: str, limit: int | None) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=f"PK = :pk AND {condition}",
            ExpressionAttributeValues={":pk": {"S": partition}, ":sk": {"S": sort}},
            ConsistentRead=True,
            PaginationConfig={} if limit is None else {"PageSize": limit},
        )
        for page in pages:
            yield from page["Items"]


def _successor(item: Item, before: Mapping[Key, Mapping[str, Any]]) -> Item | None:
    """Return the item as it is to be kept, later than what was; None if only its time differs from what is kept."""
    kept = before.get(item_key(item.shop, item.id))
    if kept is None:
        return item
    if orjson.loads(orjson.dumps(item.to_record())) | {"updated": _changed(kept)} == kept:
        return None
    return replace(item, updated=max(item.updated, _changed(kept) + 1))


def _changed(kept: Mapping[str, Any]) -> int:
    """Return when (UTC ms) the item last changed, its deletion included."""
    return int(kept["deleted"] if "deleted" in kept else kept["updated"])


def _change(stored: Mapping[str, Any]) -> Change:
    body = body_of(stored)
    item = Item.from_record(body["item"]) if "item" in body else None
    return Change(body["id"], int(stored["SK"]["S"].partition("#")[0]), item)
