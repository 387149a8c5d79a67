"""Events and rejections in the table, each exactly once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from beckon.aws.table import Key, event_key, rejection_key, seen_key
from beckon.events.model import Event, Rejection
from beckon.values import DAY_MS, SECOND_MS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REJECTION_MS = 7 * DAY_MS
LEAST_MS = 2 * DAY_MS  # long enough for the stream, which carries what is older than the retention to the lake

_ABSENT = "attribute_not_exists(PK)"


class DynamoEventLog:
    """The events of the table. Throttling and every other fault of AWS raise after the client's own retries."""

    def __init__(self, client: "DynamoDBClient", table: str, retention_days: int) -> None:
        self._client, self._table, self._retention_ms = client, table, retention_days * DAY_MS

    def append(self, event: Event) -> bool:
        """Put the event if it is absent; one without a time of its own, under the time its id was first seen."""
        if event.original_ts is None:
            event = replace(event, ts=self._first_seen(event))
        item = _item(event_key(event), self._expiry(event)) | {"body": _text(event.to_record())}
        return put_if_absent(self._client, self._table, item)

    def _first_seen(self, event: Event) -> int:
        """Return when the event's id was first seen, and remember it.

        Two puts at half the price of a transaction: killed between them, the re-send finds the first one's time and
        puts the event under the same key.
        """
        marker = _item(seen_key(event), self._expiry(event)) | {"ts": {"N": str(event.ts)}}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=marker,
                ConditionExpression=_ABSENT,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as fault:
            found: Any = fault.response  # with `Item`, which the stubs do not know
            return int(found["Item"]["ts"]["N"])
        return event.ts

    def _expiry(self, event: Event) -> int:
        return max(event.ts + self._retention_ms, event.received_ts + LEAST_MS)


class DynamoRejections:
    """The rejections of the table, a week each."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def keep(self, rejection: Rejection) -> None:
        """Put the rejection if it is absent."""
        item = _item(rejection_key(rejection), rejection.received_ts + REJECTION_MS)
        put_if_absent(self._client, self._table, item | {"body": _text(rejection.to_record())})


def put_if_absent(client: "DynamoDBClient", table: str, item: dict[str, Any]) -> bool:
    """Put `item` and return True, or return False if its key is taken."""
    try:
        client.put_item(TableName=table, Item=item, ConditionExpression=_ABSENT)
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _item(key: Key, expires_ms: int) -> dict[str, Any]:
    return {"PK": {"S": key[0]}, "SK": {"S": key[1]}, "ttl": {"N": str(expires_ms // SECOND_MS)}}


def _text(record: Mapping[str, Any]) -> dict[str, str]:
    return {"S": orjson.dumps(record).decode()}
