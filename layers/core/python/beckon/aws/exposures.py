"""Exposures in the table: in the partition of the person they were served to, by time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from beckon.aws.table import body_of, exposure_key, exposure_range, row, user_partition
from beckon.conversions.model import Exposure

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoExposures:
    """The adapter of `conversions.ports.Exposures`; what it logs is kept for `kept_ms`."""

    def __init__(self, client: "DynamoDBClient", table: str, kept_ms: int) -> None:
        self._client, self._table, self._kept_ms = client, table, kept_ms

    def log(self, exposure: Exposure) -> None:
        """Put the exposure under a key of its own, so that a retried put changes nothing."""
        expires = exposure.ts + self._kept_ms
        self._client.put_item(TableName=self._table, Item=row(exposure_key(exposure), exposure.to_record(), expires))

    def window(self, shop: str, user_keys: Sequence[str], since: int, until: int) -> list[Exposure]:
        """Return the exposures of the window, one Query a person."""
        found = [exposure for key in dict.fromkeys(user_keys) for exposure in self._served(shop, key, since, until)]
        return sorted(found, key=lambda exposure: (exposure.ts, exposure.rec_id))

    def _served(self, shop: str, user_key: str, since: int, until: int) -> Iterator[Exposure]:
        first, last = exposure_range(since, until)
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="PK = :pk AND SK BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": user_partition(shop, user_key)},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            ConsistentRead=True,
        )
        for page in pages:
            yield from (Exposure.from_record(body_of(stored)) for stored in page["Items"])
