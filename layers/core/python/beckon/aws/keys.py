"""Shops and keys in the table: a key under its id for look-ups, and under its shop for listing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from beckon.access.model import StoredKey
from beckon.aws.table import Key, at, body_of, credential_key, credential_listing_key, row, shop_key
from beckon.aws.transactions import transact

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoKeys:
    """The adapter of `access.ports.Keys`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def find(self, key_id: str) -> StoredKey | None:
        """Return the key of that id, by a consistent read."""
        item = self._get(credential_key(key_id))
        return None if item is None else StoredKey.from_record(body_of(item))

    def create_shop(self, shop: str, created: int, keys: Sequence[StoredKey]) -> bool:
        """Put the shop and its keys in one transaction, if the shop is absent."""
        record = self._put_absent(shop_key(shop), {"shop": shop, "created": created})
        return not transact(self._client, [record, *(put for key in keys for put in self._puts(key))])

    def add(self, key: StoredKey) -> bool:
        """Put the key, if its shop exists; shops are never removed, so that looking first is enough."""
        if self._get(shop_key(key.shop)) is None:
            return False
        if transact(self._client, self._puts(key)):
            raise RuntimeError("a new key's id is taken: the random source repeats itself")
        return True

    def revoke(self, shop: str, key_id: str) -> bool:
        """Delete the key in both places, if the shop lists it."""
        listing = self._delete(credential_listing_key(shop, key_id))
        listing["Delete"]["ConditionExpression"] = "attribute_exists(PK)"
        return not transact(self._client, [listing, self._delete(credential_key(key_id))])

    def listed(self, shop: str) -> list[StoredKey]:
        """Return the shop's keys, oldest first."""
        partition, _ = credential_listing_key(shop, "")
        found = [StoredKey.from_record(body_of(item)) for item in self._partition(partition)]
        return sorted(found, key=lambda key: (key.created, key.id))

    def shops(self) -> list[str]:
        """Return every shop, sorted as the table sorts."""
        partition, _ = shop_key("")
        return [item["SK"]["S"] for item in self._partition(partition)]

    def _get(self, key: Key) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self._table, Key=at(key), ConsistentRead=True)
        return answer.get("Item")

    def _partition(self, partition: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def _puts(self, key: StoredKey) -> list[Any]:
        places = (credential_key(key.id), credential_listing_key(key.shop, key.id))
        return [self._put_absent(place, key.to_record()) for place in places]

    def _put_absent(self, key: Key, record: dict[str, Any]) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": self._table,
                "Item": row(key, record),
                "ConditionExpression": "attribute_not_exists(PK)",
            }
        }

    def _delete(self, key: Key) -> dict[str, Any]:
        return {"Delete": {"TableName": self._table, "Key": at(key)}}
