"""Events and rejections in the table, each exactly once."""

from typing import TYPE_CHECKING, Any

import orjson

from beckon.aws.table import Key, event_key, rejection_key, seen_key
from beckon.aws.transactions import transact
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
        """Put the event if it is absent; one without a time of its own, together with the marker of its id."""
        ttl = max(event.ts + self._retention_ms, event.received_ts + LEAST_MS)
        item = _item(event_key(event), ttl, body=event.to_record())
        if event.original_ts is not None:
            return put_if_absent(self._client, self._table, item)
        marker = _item(seen_key(event), ttl)
        put = {"TableName": self._table, "ConditionExpression": _ABSENT}
        # The marker comes first: its condition decides.
        return not transact(self._client, [{"Put": {**put, "Item": marker}}, {"Put": {**put, "Item": item}}])


class DynamoRejections:
    """The rejections of the table, a week each."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    def keep(self, rejection: Rejection) -> None:
        """Put the rejection if it is absent."""
        item = _item(rejection_key(rejection), rejection.received_ts + REJECTION_MS, body=rejection.to_record())
        put_if_absent(self._client, self._table, item)


def put_if_absent(client: "DynamoDBClient", table: str, item: dict[str, Any]) -> bool:
    """Put `item` and return True, or return False if its key is taken."""
    try:
        client.put_item(TableName=table, Item=item, ConditionExpression=_ABSENT)
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _item(key: Key, expires_ms: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"PK": {"S": key[0]}, "SK": {"S": key[1]}, "ttl": {"N": str(expires_ms // SECOND_MS)}}
    if body is not None:
        item["body"] = {"S": orjson.dumps(body).decode()}
    return item
